# SPDX-License-Identifier: MIT
"""simulate: a device that updates itself from our own server, and everything that can go wrong."""

import concurrent.futures
import contextlib
import os
import random
import re
import resource
import signal
import socket
import struct
import subprocess
import time

import pytest

import bad_servers
import image as image_format
import server as server_module
from bad_servers import BadServer, make_image
from device import (FREE_PORTS, SECTOR, Device, blank, builds_that_ran, put, put_parameters,
                    record, recorded, slot_of)
from image import MAPS
from tool import (BAD_INPUT, NO_INPUT, NOT_ALL, OK, PROGRAM, ROOT, UNAVAILABLE, USAGE, Maybe, Tool,
                  assert_refused, assert_shape)

LAYOUTS = ["1MB.app1", "1MB.app2", "2MB-c1", "512KB.app2"]


class Builds:
    """Builds 1 and 2 of a small firmware: ELFs, and the images for the slots."""

    def __init__(self, folder):
        self.folder = folder
        for number in (1, 2):
            subprocess.run(
                ["make", "-s", "-C", ROOT / "examples/firmware", f"OUT={folder}/{number}",
                 f"BUILD={number}", "PAD_KB=8",
                 *(f"{folder}/{number}/{name}.elf" for name in LAYOUTS)], check=True, timeout=120)

    def elf(self, number, slot, name="1MB"):
        layout = f"{name}.app{slot}" if name in ("1MB", "512KB") else name
        return self.folder / str(number) / f"{layout}.elf"

    def image(self, number, slot, name="1MB"):
        return subprocess.run(
            [PROGRAM, "convert", "--app", str(slot), "--flash-size", name, "-o", "-",
             self.elf(number, slot, name)], stdout=subprocess.PIPE, check=True, timeout=30).stdout


@pytest.fixture(scope="session")
def builds(tmp_path_factory):
    return Builds(tmp_path_factory.mktemp("builds"))


@pytest.fixture(scope="module")
def images(builds):
    """{(build, slot): image} of the 1MB map."""
    return {(b, s): builds.image(b, s) for b in (1, 2) for s in (1, 2)}


@pytest.fixture
def simulate(tmp_path):
    """Starts devices; those still running are ended."""
    running = []

    def start(*args, **kwargs):
        kwargs.setdefault("cwd", tmp_path)
        running.append(Device(*args, **kwargs))
        return running[-1]

    yield start
    for one in running:
        one.end()
    assert not [one.err() for one in running if "Sanitizer" in one.err()]


@pytest.fixture(scope="module")
def shared_serve(builds, tmp_path_factory):
    """Serves build 1 for slot 1 and build 2 for slot 2."""
    one = server_module.Server(builds.elf(1, 1), builds.elf(2, 2), "--bind", "127.0.0.1",
                               cwd=tmp_path_factory.mktemp("serve"))
    yield one
    one.end()
    assert "Sanitizer" not in one.err()


def url(server):
    return f"http://127.0.0.1:{server.port}"


@pytest.fixture
def flash(tmp_path, images):
    """A flash with build 1 in slot 1 and rubbish in slot 2."""
    content = blank()
    put(content, "1MB", 1, images[1, 1])
    put(content, "1MB", 2, bytes(5 * SECTOR))
    path = tmp_path / "flash.bin"
    path.write_bytes(content)
    return path


# ---- updates ----

@pytest.mark.parametrize("name", ["1MB", "2MB-c1"])
def test_there_and_back(simulate, serve, builds, tmp_path, name):
    """By trigger and from the page, from build 1 to 2 and back; restarts keep the state."""
    elfs = [tmp_path / "one.elf", tmp_path / "two.elf"]
    for slot, path in enumerate(elfs, 1):
        path.write_bytes(builds.elf(2, slot, name).read_bytes())
    server = serve(*elfs, "--flash-size", name)
    args = ("--server", url(server), "--flash-size", name, "flash.bin")
    one = simulate("--load", builds.elf(1, 1, name), *args)
    one.wait_for_boot(1, 1)
    assert "build 1 runs in slot user1" in one.ask(one.page)
    assert "update begins" in one.pull_trigger()
    one.wait_for_boot(2, 2)
    assert "build 2 runs in slot user2" in one.ask(one.page)
    assert one.stop() == OK
    flash = (tmp_path / "flash.bin").read_bytes()
    assert slot_of(flash, name, 1, 1000) == builds.image(1, 1, name)[:1000]
    image = builds.image(2, 2, name)
    assert slot_of(flash, name, 2, len(image)) == image
    assert recorded(flash) == 2

    for path, slot in zip(elfs, (1, 2)):
        path.write_bytes(builds.elf(1, slot, name).read_bytes())
    two = simulate("--load", builds.elf(1, 1, name), *args)
    two.wait_for_boot(2, 2)
    page = two.ask(two.page)
    link = re.search(r'<a href="http://127\.0\.0\.1:(\d+)/">begin update</a>', page)
    assert int(link.group(1)) == two.trigger
    two.ask(int(link.group(1)))
    two.wait_for_boot(1, 1)
    assert two.stop(signal.SIGINT) == OK
    assert recorded((tmp_path / "flash.bin").read_bytes()) == 1


def test_log(tool, shared_serve, flash):
    out = tool.ok("simulate", *FREE_PORTS, "--auto", "--updates", "2", "--server",
                  url(shared_serve), str(flash)).out
    lines = out.splitlines()
    boot = ["2nd boot version : 1.6", "  SPI Speed      : 40MHz", "  SPI Mode       : QIO",
            "  SPI Flash Size & Map: 8Mbit(512KB+512KB)"]
    assert re.fullmatch(r"page on http://127\.0\.0\.1:\d+/", lines[0])
    assert re.fullmatch(r"trigger on port \d+", lines[1])
    assert lines[2:8] == [*boot, "jump to run user1 @ 1000",
                          "firmware: build 1 runs in slot user1"]
    assert lines[8] == f"firmware: update from {url(shared_serve)}/user2.bin"
    assert lines[9] == "upgrade file download start"
    restart = lines.index("firmware: restart")
    assert lines[restart - 3:restart - 1] == ["upgrade file download finish", "reboot to use 2"]
    assert re.fullmatch(r"firmware: update done: \d+ bytes in \d+ segments, CRC [0-9A-F]{8}, "
                        r"[\d.]+ s", lines[restart - 1])
    assert lines[restart + 1:restart + 7] == [*boot, "jump to run user2 @ 81000",
                                              "firmware: build 2 runs in slot user2"]
    assert builds_that_ran(out) == [(1, 1), (2, 2), (1, 1)]
    assert re.fullmatch(r"1 device: 2 updates done, 0 failed, 0 dead, [\d.]+ s", lines[-1])


def test_flash_settings_of_a_bootloader(tool, tmp_path, images):
    """Its header says which map, and the log shows mode and clock."""
    content = blank("4MB")
    content[:4] = bytes([0xE9, 1, 2, 0x4F])
    put(content, "4MB", 2, images[2, 2])
    put_parameters(content, record(2), selector=0)
    (tmp_path / "dump.bin").write_bytes(content)
    out = tool("simulate", *FREE_PORTS, "--auto", "--updates", "1", "--server",
               "http://127.0.0.1:1", "dump.bin").out
    assert ("  SPI Speed      : 80MHz\n  SPI Mode       : DIO\n"
            "  SPI Flash Size & Map: 32Mbit(512KB+512KB)\n") in out
    assert builds_that_ran(out) == [(2, 2)]
    assert_refused(tool("simulate", "--flash-size", "1MB", "dump.bin"), BAD_INPUT, "4MB", "1MB")


def test_image_without_a_tag_has_its_crc_for_a_name(tool, tmp_path):
    image = make_image(20004, app=1)
    (tmp_path / "image.bin").write_bytes(image)
    out = tool("simulate", *FREE_PORTS, "--auto", "--updates", "1", "--server",
               "http://127.0.0.1:1", "--load", "image.bin").out
    crc = struct.unpack("<I", image[-4:])[0]
    assert f"firmware: image {crc:08X} runs in slot user1\n" in out


@pytest.mark.parametrize("mss", [536, 1440, 9000])
def test_mss(tool, shared_serve, flash, mss):
    out = tool.ok("simulate", *FREE_PORTS, "--auto", "--updates", "1", "--mss", str(mss),
                  "--server", url(shared_serve), str(flash)).out
    assert builds_that_ran(out) == [(1, 1), (2, 2)]


def test_folder_of_the_server(tool, flash, images):
    with BadServer(bad_servers.good, body=images[2, 2]) as server:
        tool.ok("simulate", *FREE_PORTS, "--auto", "--updates", "1", "--server",
                server.url("/a/b/"), str(flash))
        paths = [r.split(b" ")[:2] for r in server.requests]
    assert paths == [[b"HEAD", b"/a/b/user2.bin"], [b"GET", b"/a/b/user2.bin"]]


def test_folder_that_is_another_one_in_head(tool, flash, images):
    """The SDK replaces GET and keep-alive in the path too."""
    with BadServer(bad_servers.good, body=images[2, 2]) as server:
        out = tool.ok("simulate", *FREE_PORTS, "--auto", "--updates", "1", "--server",
                      server.url("/abcGETxyz"), str(flash)).out
        paths = [r.split(b" ")[:2] for r in server.requests]
        assert "firmware: HEAD asks for /abcHEADxyz/user2.bin: the SDK replaces GET" in out
        assert paths == [[b"HEAD", b"/abcHEADxyz/user2.bin"], [b"GET", b"/abcGETxyz/user2.bin"]]
        assert_refused(tool("simulate", "--server", server.url("/" + "a" * 463), str(flash)), USAGE,
                       "too long for a device")


# ---- page and trigger ----

def test_page_is_served_during_an_update(simulate, shared_serve, flash):
    one = simulate("--stall", "600", "--server", url(shared_serve), flash)
    one.wait_for_boot(1, 1)
    one.pull_trigger()
    one.wait_for(r"^firmware: \d+ of \d+ bytes$")
    limit = time.monotonic() + 10
    while "<progress" not in (page := one.ask(one.page)) and time.monotonic() < limit:
        time.sleep(0.01)
    assert re.search(r"update: \d+ of \d+ bytes", page) and "begin update" not in page
    assert "build 1 runs in slot user1" in page
    assert "no update begins" in one.pull_trigger()
    began = time.monotonic()
    assert one.stop() == OK
    assert time.monotonic() - began < 10, "a device that waits can be stopped"
    assert one.log().count("firmware: update from") == 1
    assert recorded(flash.read_bytes()) == 1


@pytest.mark.parametrize("request_", [b"", b"x", b"GET / HTTP/1.0\r\n\r\n", b"\0" * 9000],
                         ids=["nothing", "a byte", "http", "a lot"])
def test_any_connection_is_a_trigger(simulate, shared_serve, flash, request_):
    one = simulate("--server", url(shared_serve), flash)
    one.wait_for_boot(1, 1)
    with socket.create_connection(("127.0.0.1", one.trigger), timeout=20) as s:
        if request_:
            s.sendall(request_)
        one.wait_for_boot(2, 2)


def test_a_trigger_that_sends_nothing_is_answered(simulate, shared_serve, flash):
    one = simulate("--server", url(shared_serve), flash)
    one.wait_for_boot(1, 1)
    assert "update begins" in one.ask(one.trigger, request=b"")


def test_page_port_is_hard_to_upset(simulate, flash):
    one = simulate(flash)
    one.wait_for_boot(1, 1)
    assert one.ask(one.page, b"GET /x HTTP/1.0\r\n\r\n").startswith("HTTP/1.0 404 ")
    assert one.ask(one.page, b"\r\n\r\n").startswith("HTTP/1.0 400 ")
    assert one.ask(one.page, b"GET / HTTP/1.0\n\n").startswith("HTTP/1.0 200 ")
    assert one.ask(one.page, b"GET / " + b"x" * 2042).startswith("HTTP/1.0 200 ")
    head = one.ask(one.page, b"HEAD / HTTP/1.0\r\n\r\n")
    assert head.endswith("\r\n\r\n") and "Content-Length: " in head
    silent = [socket.create_connection(("127.0.0.1", one.page), timeout=20) for _ in range(50)]
    assert "build 1" in one.ask(one.page)
    for s in silent:
        assert s.recv(10) == b"", "closed after a while"
        s.close()
    assert "firmware: update" not in one.log()


def test_server_is_who_triggers(simulate, flash):
    """Without --server it is asked on port 8888; here nobody listens, or somebody else does."""
    one = simulate("--updates", "1", "--time", "5", flash)
    one.wait_for_boot(1, 1)
    with contextlib.suppress(OSError):
        one.pull_trigger()
    one.wait_for(r"^firmware: update from http://127\.0\.0\.1:8888/user2\.bin$")


# ---- loss of power ----

def run_many(jobs):
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for done in concurrent.futures.as_completed([pool.submit(*job) for job in jobs]):
            done.result()


class PowerBench:
    """One folder a case; `content` is the flash before the power is cut."""

    def __init__(self, server, folder, content, image, running=1):
        self.server = server
        self.folder = folder
        self.content = bytes(content)
        self.image = image
        self.running = running

    def simulate(self, case, *args):
        folder = self.folder / case.replace(":", "-")
        folder.mkdir(exist_ok=True)
        return Tool(folder)("simulate", *FREE_PORTS, "--auto", "--updates", "1", "--server",
                            url(self.server), *args, "flash.bin")

    def cut(self, case):
        """The flash after it, and what the log said."""
        folder = self.folder / case.replace(":", "-")
        folder.mkdir()
        (folder / "flash.bin").write_bytes(self.content)
        result = self.simulate(case, "--power-cut-at", case)
        assert result.status == NOT_ALL, result
        assert re.search(r"^power cut at ", result.out, re.M), result
        assert len(result.errors) == 1 and "dead: power: " in result.err, result
        return (folder / "flash.bin").read_bytes()

    def recover(self, case, running=None):
        """Restarted, it boots `running`; then it updates completely."""
        running = running or self.running
        result = self.simulate(case)
        assert result.status == OK, f"{case}\n{result}"
        wanted = {1: (1, 1), 2: (2, 2)}
        assert builds_that_ran(result.out) == [wanted[running], wanted[3 - running]], case
        assert "error magic!" not in result.out


def test_power_cut_anywhere_in_the_image(tool, shared_serve, flash, images, tmp_path):
    image = images[2, 2]
    # The bootloader writes its first record.
    assert tool("simulate", "--resets", "1", str(flash)).status == OK
    sectors = -(-len(image) // SECTOR)
    bench = PowerBench(shared_serve, tmp_path, flash.read_bytes(), image)
    positions = {0, 1, len(image) - 1, len(image)} | set(range(0, len(image), SECTOR))
    positions |= {p + d for p in range(SECTOR, len(image), SECTOR) for d in (-1, 1)}
    positions |= set(random.Random(8266).sample(range(len(image)), 200))

    def at_byte(n):
        after = bench.cut(str(n))
        wanted = (image[:n] + b"\xff" * (sectors * SECTOR))[:sectors * SECTOR]
        got = slot_of(after, "1MB", 2, sectors * SECTOR)
        assert got == wanted, n
        assert after[:0x81000] == bench.content[:0x81000]
        assert after[0x81000 + sectors * SECTOR:] == bench.content[0x81000 + sectors * SECTOR:]
        bench.recover(str(n))

    def at_erase(k):
        after = bench.cut(f"erase:{k}")
        wanted = bytearray(bench.content)
        wanted[0x81000:0x81000 + k * SECTOR] = b"\xff" * (k * SECTOR)
        assert after == bytes(wanted), k
        bench.recover(f"erase:{k}")

    run_many([(at_byte, n) for n in sorted(positions)] + [(at_erase, k) for k in range(sectors)])


@pytest.mark.parametrize("updates", [0, 1, 2, 3])
def test_power_cut_around_the_record(tool, shared_serve, flash, images, tmp_path, updates):
    """With each of the two copies the next one."""
    if updates > 0:
        tool.ok("simulate", *FREE_PORTS, "--auto", "--updates", str(updates), "--server",
                url(shared_serve), str(flash))
    running = 1 + updates % 2
    bench = PowerBench(shared_serve, tmp_path, flash.read_bytes(), images[2, 2], running)
    # While the selector is blank copy B counts: the update to user1 writes copy A, then B is user2.
    blank_selector = 2
    slots = [running] * 4 + [blank_selector, 3 - running, 3 - running]
    for step, now in enumerate(slots):
        case = f"flag:{step}"
        after = bench.cut(case)
        assert recorded(after) == now, case
        other = 3 - running
        image = images[other, other]
        assert slot_of(after, "1MB", other, len(image)) == image
        bench.recover(case, now)


def test_killed_at_any_time(simulate, shared_serve, flash):
    """Not our own cut: the process is killed, again and again, while it updates as it can."""
    seen = set()
    for i in range(25):
        one = simulate("--auto", "--server", url(shared_serve), flash)
        one.wait_for(r"^firmware: build")
        time.sleep(random.Random(i).random() * 0.02)
        one.process.kill()
        one.wait()
        assert "error magic!" not in one.log()
        ran = builds_that_ran(one.log())
        assert all(build == slot for build, slot in ran)
        seen |= set(ran)
    assert seen == {(1, 1), (2, 2)}


# ---- bits ----

def test_flipped_bits(tool, shared_serve, flash, images, tmp_path):
    image = images[2, 2]
    inner = 16 + struct.unpack_from("<I", image, 12)[0]
    positions = set(range(24)) | set(range(inner, inner + 24))
    positions |= set(range(len(image) - 6, len(image)))
    positions |= set(random.Random(1).sample(range(len(image)), 150))
    rules = {0: "first-bytes", 1: "first-bytes", 3: "app-number"}

    def flip(at):
        folder = tmp_path / f"flip{at}"
        folder.mkdir()
        (folder / "flash.bin").write_bytes(flash.read_bytes())
        result = Tool(folder)("simulate", *FREE_PORTS, "--auto", "--updates", "1", "--server",
                              url(shared_serve), "--flip-bit", str(at), "flash.bin")
        assert result.status == NOT_ALL, (at, result)
        assert f"firmware: update failed: {rules.get(at, 'crc')}: " in result.out, (at, result)
        assert builds_that_ran(result.out) == [(1, 1)]
        assert recorded((folder / "flash.bin").read_bytes()) == 1
        again = Tool(folder)("simulate", *FREE_PORTS, "--auto", "--updates", "1", "--server",
                             url(shared_serve), "flash.bin")
        assert again.status == OK and builds_that_ran(again.out) == [(1, 1), (2, 2)], (at, again)

    run_many([(flip, at) for at in sorted(positions)])


def test_flash_is_read_back(simulate, shared_serve, flash):
    """What stands in the flash counts, not what was received: a cell that lost its bits."""
    one = simulate("--auto", "--updates", "1", "--stall", "3", "--server", url(shared_serve), flash)
    one.wait_for(r"^firmware: \d+ of \d+ bytes$")
    with open(flash, "r+b") as file:
        file.seek(0x81000 + 100)
        file.write(b"\0")
    assert one.wait() == NOT_ALL
    assert re.search(r"^firmware: update failed: crc: flash [0-9A-F]{8}, received [0-9A-F]{8}",
                     one.log(), re.M), one.log()
    assert recorded(flash.read_bytes()) == 1


# ---- what a device refuses ----

def assert_update_fails(result, rule, *words, erased):
    """Refused by that rule; build 1 goes on."""
    assert result.status == NOT_ALL, result
    (line,) = re.findall(r"^firmware: update failed: (.*)$", result.out, re.M)
    assert line.startswith(f"{rule}: "), line
    for word in words:
        assert word in line, line
    assert ("upgrade file download start" in result.out) == erased, result
    assert "upgrade file download finish" not in result.out
    assert builds_that_ran(result.out) == [(1, 1)]


def update_from(tool, flash, behave, body, *args):
    with BadServer(behave, body=body) as server:
        return tool("simulate", *FREE_PORTS, "--auto", "--updates", "1", "--server", server.url(""),
                    *args, str(flash))


def test_image_for_the_wrong_slot(tool, flash, images):
    result = update_from(tool, flash, bad_servers.good, images[2, 1])
    assert_update_fails(result, "app-number", "1, running slot 1", erased=True)


def test_image_too_long(tool, flash):
    before = flash.read_bytes()
    limit = MAPS["1MB"][3]
    image = make_image(limit + 1000)
    result = update_from(tool, flash, bad_servers.good, image)
    assert_update_fails(result, "length", f"Content-Length {len(image)}, partition {limit}",
                        erased=False)
    assert flash.read_bytes()[:-0x3000] == before[:-0x3000]


def test_longest_image_fits(tool, flash):
    limit = MAPS["1MB"][3]
    image = make_image((limit - 4) // 16 * 16 + 4)
    result = update_from(tool, flash, bad_servers.good, image)
    assert result.status == OK, result
    assert slot_of(flash.read_bytes(), "1MB", 2, len(image)) == image


def test_server_that_sends_more_than_it_said(tool, flash, images):
    """HEAD of one image, GET of a longer one: nothing beyond the slot is touched."""
    before = flash.read_bytes()

    def grows(server, connection, method):
        size = 4096 if method == "HEAD" else 0x90000
        bad_servers.answer(connection, method, bad_servers.header(size),
                           images[2, 2][:16] + bytes(0x90000))

    result = update_from(tool, flash, grows, b"")
    assert result.status == NOT_ALL
    assert re.search(r"^firmware: update failed: (same-length|complete): ", result.out, re.M)
    end = MAPS["1MB"][2][1] + MAPS["1MB"][3]
    after = flash.read_bytes()
    assert after[end:-0x3000] == before[end:-0x3000]
    assert after[:0x81000] == before[:0x81000]
    assert recorded(after) == 1


def test_image_of_another_map(tool, flash, builds):
    """It is linked for 0x40241010. Length, app number, CRC and checksum are right, so neither the
    upgrade library nor the bootloader objects; the chip would run into other code."""
    result = update_from(tool, flash, bad_servers.good, builds.image(2, 2, "512KB"))
    assert result.status == NOT_ALL
    assert "upgrade file download finish" in result.out
    assert "jump to run user2 @ 81000" in result.out
    trouble = ("linked for 0x40241010, not for user2 of 1MB, 0x40281010: an illegal instruction at "
               "every reset")
    assert f"firmware: build 2: {trouble}\n" in result.out
    assert f"is dead: link: build 2: {trouble}\n" in result.err
    again = tool("simulate", *FREE_PORTS, str(flash))
    assert again.status == NOT_ALL and trouble in again.out, "a brick stays one"
    again = tool("simulate", "--resets", "1", str(flash))
    assert again.status == NOT_ALL and again.out == f"1: crash user2 at 0x81000: {trouble}\n"


def test_large_image_of_another_map(tool, flash, firmware, tmp_path):
    image = tmp_path / "image.bin"
    tool.ok("convert", "--app", "2", "--flash-size", "2MB-c1", "-o", str(image),
            str(firmware.path("2MB-c1.large")))
    result = update_from(tool, flash, bad_servers.good, image.read_bytes())
    assert_update_fails(result, "length", f"partition {MAPS['1MB'][3]}", erased=False)


def test_wrong_checksum_with_right_crc(tool, flash, images):
    """It passes the upgrade library, and the device crashes at every reset: nothing falls back."""
    image = bytearray(images[2, 2])
    image[-5] ^= 0x40
    image[-4:] = struct.pack("<I", image_format.device_crc(bytes(image[:-4])))
    result = update_from(tool, flash, bad_servers.good, bytes(image))
    assert result.status == NOT_ALL
    tail = result.out[result.out.index("firmware: restart"):]
    assert "jump to run user2 @ 81000\nboot: user2 crashes at every reset: checksum " in tail
    assert "first boot failed" not in tail and "error magic!" not in tail
    assert builds_that_ran(result.out) == [(1, 1)]
    assert "is dead: boot: user2 crashes at every reset" in result.err
    before = flash.read_bytes()
    assert recorded(before) == 2
    again = tool("simulate", "--resets", "5", str(flash))
    assert again.status == NOT_ALL
    assert len(re.findall(r"^\d: crash user2 at 0x81000: checksum ", again.out, re.M)) == 5
    assert flash.read_bytes() == before


@pytest.mark.parametrize("behave,rule,late", [
    (bad_servers.empty, "length", False), (bad_servers.not_found, "first-bytes", False),
    (bad_servers.chunked, "head-header", True), (bad_servers.closes_early, "complete", True),
    (bad_servers.resets, "complete", True)], ids=lambda v: getattr(v, "__name__", v))
def test_bad_servers(tool, flash, images, behave, rule, late):
    result = update_from(tool, flash, behave, images[2, 2], "--time", "20")
    assert result.status == NOT_ALL
    assert f"firmware: update failed: {rule}: " in result.out, result
    assert ("a chip notices that only when its time is up, 20 s" in result.out) == late, result
    assert builds_that_ran(result.out) == [(1, 1)]


def test_dropped_segments_are_not_written(tool, flash):
    """A segment that looks like another header is not in the flash."""
    image = make_image(20004, plant={2000: b"\1" * 1600 + b"200 OK\r\n"})
    result = update_from(tool, flash, bad_servers.good, image)
    assert_update_fails(result, "no-drop", "dropped", erased=True)
    written = slot_of(flash.read_bytes(), "1MB", 2, 20480)
    assert b"200 OK" not in written and written[:1000] == image[:1000]


def test_no_server(tool, flash):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        server = f"http://127.0.0.1:{s.getsockname()[1]}"
        result = tool("simulate", *FREE_PORTS, "--auto", "--updates", "1", "--server", server,
                      str(flash))
    assert_update_fails(result, "connect", "refused", erased=False)


# ---- faults of the device ----

@pytest.mark.parametrize("after", [0, 1, 3000, 4097])
def test_device_drops_the_connection(tool, shared_serve, flash, images, after):
    before = flash.read_bytes()
    result = tool("simulate", *FREE_PORTS, "--auto", "--updates", "1", "--server",
                  url(shared_serve), "--drop-after", str(after), str(flash))
    assert_update_fails(result, "complete", "the device closed the connection",
                        f"after {after} of {len(images[2, 2])} bytes", erased=True)
    assert slot_of(flash.read_bytes(), "1MB", 2, after) == images[2, 2][:after]
    assert flash.read_bytes()[:0x81000] == before[:0x81000]
    tool.ok("simulate", *FREE_PORTS, "--auto", "--updates", "1", "--server", url(shared_serve),
            str(flash))


def test_device_stalls(tool, shared_serve, flash):
    began = time.monotonic()
    tool.ok("simulate", *FREE_PORTS, "--auto", "--updates", "1", "--server", url(shared_serve),
            "--stall", "1", str(flash))
    assert time.monotonic() - began >= 1


def test_device_stalls_for_too_long(tool, shared_serve, flash):
    result = tool("simulate", *FREE_PORTS, "--auto", "--updates", "1", "--server",
                  url(shared_serve), "--stall", "2", "--time", "1", str(flash))
    assert_update_fails(result, "in-time", erased=True)


def test_realistic_flash_takes_its_time(tool, shared_serve, flash):
    began = time.monotonic()
    tool.ok("simulate", *FREE_PORTS, "--auto", "--updates", "1", "--server", url(shared_serve),
            "--realistic", str(flash))
    # Three sectors and one for the record, 35 pages and more.
    assert time.monotonic() - began >= 4 * 0.045 + 35 * 0.0007


# ---- boot ----

def test_nothing_to_boot(tool, tmp_path):
    content = blank()
    content[0] = 0  # not blank, so not new
    (tmp_path / "flash.bin").write_bytes(content)
    result = tool("simulate", *FREE_PORTS, "flash.bin")
    assert result.status == NOT_ALL
    assert result.out.count("error magic!") == 2
    assert "first boot failed, reboot to try backup bin\n" in result.out
    assert "backup boot failed.\n" in result.out
    assert len(result.errors) == 1 and "is dead: boot: neither slot holds an image" in result.err
    put_parameters(content, record(1), record(1, failed=True), 1)
    assert (tmp_path / "flash.bin").read_bytes() == bytes(content)


def test_backup_is_booted_and_remembered(tool, tmp_path, images):
    content = blank()
    put(content, "1MB", 1, images[1, 1])
    put_parameters(content, second=record(2), selector=1)
    (tmp_path / "flash.bin").write_bytes(content)
    result = tool("simulate", *FREE_PORTS, "--auto", "--updates", "1", "--server",
                  "http://127.0.0.1:1", "flash.bin")
    assert builds_that_ran(result.out) == [(1, 1)] and result.out.count("error magic!") == 1
    put_parameters(content, record(2, failed=True), record(2), 0)
    assert (tmp_path / "flash.bin").read_bytes() == bytes(content)


# ---- resets ----

def resets(tool, content, *args, count=4):
    """What the report says about each, the flash afterwards, and the result."""
    path = tool.cwd / "reset.bin"
    path.write_bytes(content)
    result = tool("simulate", "--resets", str(count), "--json", *args, "reset.bin")
    document = result.json()
    assert_shape(document, {
        "schema_version": 1, "command": "simulate", "flash_map": str, "boot_version": str,
        "resets": [{"runs": Maybe(str), "outcome": {
            "runs", "fallback-set", "retry", "crash", "dead", "flag-error", "test", "enhance"},
            "address": Maybe(str), "found": Maybe(str)}]})
    last = document["resets"][-1]
    assert result.status == (OK if last["runs"] else NOT_ALL), result
    return document["resets"], path.read_bytes(), result


def outcomes(steps):
    return [(step["outcome"], step["runs"]) for step in steps]


def test_retries_of_boot_1_7(tool, images):
    """RTC memory is kept from reset to reset."""
    content = blank()
    put(content, "1MB", 2, images[2, 2])
    steps, after, result = resets(tool, content, "--boot-version", "1.7", count=6)
    assert outcomes(steps) == [("retry", None)] * 3 + [("fallback-set", None)] + \
        [("runs", "user2")] * 2
    assert [step["address"] for step in steps] == ["0x00001000"] * 4 + ["0x00081000"] * 2
    put_parameters(content, record(1, 7), record(1, 7, failed=True), 1)
    assert after == bytes(content)
    for words in ("2nd boot version : 1.7(5d6f877)\n", "jump to run user1 @ 1000\n",
                  "first boot failed 0, reboot to try this bin again\n",
                  "first boot failed 5a5a5a02, reboot to try this bin again\n",
                  "first boot failed, reboot to try backup bin\n", "jump to run user2 @ 81000\n"):
        assert words in result.err, words


@pytest.mark.parametrize("version,wanted", [
    ("1.2", [("dead", None)] * 3),
    ("1.3", [("fallback-set", None)] + [("dead", None)] * 2),
    ("1.6", [("fallback-set", None)] + [("runs", "user2")] * 2)])
def test_fallback_of_each_version(tool, images, version, wanted):
    content = blank()
    put(content, "1MB", 2, images[2, 2])
    steps, _, _ = resets(tool, content, "--boot-version", version, count=3)
    assert outcomes(steps) == wanted


def test_version_is_that_of_the_bootloader_in_the_flash(tool, images):
    content = blank()
    text = b"\xe9\x03\x00\x20" + bytes(60) + b"\n2nd boot version : 1.7(5d6f877)\n"
    content[:len(text)] = text
    put(content, "1MB", 1, images[1, 1])
    put_parameters(content, record(1, 7), selector=0)
    steps, after, result = resets(tool, content)
    assert result.json()["boot_version"] == "1.7" and after == bytes(content)
    assert outcomes(steps) == [("runs", "user1")] * 4
    # Another bootloader below the same parameters: a record of its own, and user1.
    put_parameters(content, record(2, 6), selector=0)
    steps, after, _ = resets(tool, content)
    assert outcomes(steps) == [("runs", "user1")] * 4
    put_parameters(content, second=record(1, 7), selector=1)
    assert after == bytes(content)


def test_bootloader_without_a_name(tool, images):
    content = blank()
    content[:16] = b"\xe9\x01\x00\x20" + bytes(12)
    put(content, "1MB", 1, images[1, 1])
    _, _, result = resets(tool, content)
    assert "does not name its version: taken for boot 1.6; --boot-version" in result.err
    assert result.json()["boot_version"] == "1.6"


def test_flag_error(tool, images):
    """Boot 1.2 below a record of boot 1.6."""
    content = blank()
    put(content, "1MB", 1, images[1, 1])
    put_parameters(content, record(2), selector=0)
    steps, _, result = resets(tool, content, "--boot-version", "1.2")
    assert outcomes(steps) == [("flag-error", None)] * 4 and steps[0]["address"] is None
    assert "error user bin flag, flag = d\n" in result.err


def test_test_mode(tool, images):
    content = blank()
    put(content, "1MB", 2, images[2, 2])
    put_parameters(content, bytes([0xFC, 0x26, 0x00, 0x10, 0x08]), selector=0)
    steps, _, result = resets(tool, content)
    assert outcomes(steps) == [("test", "user2")] * 4
    assert "test mode, jump to run bin @ 81000\n" in result.err


def test_map_that_the_bootloader_does_not_know(tool, images):
    """Boot 1.6 takes it for 512 KB and writes inside user1."""
    content = blank("8MB")
    content[:4] = b"\xe9\x00\x00\x80"
    put(content, "8MB", 1, images[1, 1])
    steps, after, _ = resets(tool, content, "--boot-version", "1.6")
    assert outcomes(steps) == [("runs", "user1")] * 4
    assert after[0x7D000:0x7D008] == record(1) and after[0x7F000] == 0
    assert after[-0x3000:] == b"\xff" * 0x3000


def test_image_linked_for_the_other_slot(tool, images):
    """The bootloader starts it; the chip calls code where there is none."""
    content = blank()
    put(content, "1MB", 1, images[2, 2])
    steps, _, result = resets(tool, content)
    assert outcomes(steps) == [("crash", None)] * 4
    assert steps[0]["found"] == ("linked for 0x40281010, not for user1 of 1MB, 0x40201010: an "
                                 "illegal instruction at every reset")
    assert result.err.count("jump to run user1 @ 1000\n") == 4


def test_entry_that_is_a_literal(tool, firmware):
    result = tool("simulate", "--resets", "1", "--load", str(firmware.path("literal-entry.app1")),
                  "reset.bin")
    assert result.status == NOT_ALL
    assert result.out == ("1: crash user1 at 0x1000: the entry point 0x40100000 is a literal, "
                          "0x3FFFC000, not code: an illegal instruction at every reset\n")


def test_resets_in_words(tool, flash):
    result = tool("simulate", "--resets", "2", str(flash))
    assert result.status == OK
    assert result.out == "1: runs user1 at 0x1000\n2: runs user1 at 0x1000\n"
    assert result.err.count("jump to run user1 @ 1000\n") == 2


def test_bootloader_stays_in_user1(tool, shared_serve, builds, tmp_path):
    """Boot 1.3 does not know the map: the SDK says user2, user1 runs, the next update is its end."""
    flash = blank("2MB-c1")
    flash[:4] = b"\xe9\x00\x00\x50"
    put(flash, "2MB-c1", 1, builds.image(1, 1, "2MB-c1"))
    put_parameters(flash, record(2, 3), selector=0)
    (tmp_path / "flash.bin").write_bytes(flash)
    result = tool("simulate", *FREE_PORTS, "--auto", "--updates", "1", "--boot-version", "1.3",
                  "--server", url(shared_serve), "flash.bin")
    assert result.status == NOT_ALL
    assert "/user1.bin" in result.out and "user2 for the running slot" in result.err


# ---- many ----

def test_twenty_devices(tool, shared_serve, builds, images, tmp_path):
    args = ("simulate", "--page-port", "0", "--trigger-port", "0", "--auto", "--devices", "20",
            "--server", url(shared_serve), "--load", str(builds.elf(1, 1)), "flash.bin")
    result = tool.ok(*args, "--updates", "1", timeout=120)
    assert re.search(r"^20 devices: 20 updates done, 0 failed, 0 dead, [\d.]+ s$", result.out, re.M)
    addresses = [f"127.1.0.{i}" for i in range(1, 21)]
    for i, address in enumerate(addresses, 1):
        lines = "\n".join(re.findall(rf"^{re.escape(address)} (.*)$", result.out, re.M))
        assert builds_that_ran(lines) == [(1, 1), (2, 2)], address
        assert f"page on http://{address}:" in lines
        flash = (tmp_path / f"flash.{i}.bin").read_bytes()
        assert slot_of(flash, "1MB", 2, len(images[2, 2])) == images[2, 2]
        assert recorded(flash) == 2
        shared_serve.wait_for(rf"^{re.escape(address)} GET ")
    assert not (tmp_path / "flash.bin").exists()
    again = tool.ok(*args, "--updates", "2", timeout=120)
    for address in addresses:
        lines = "\n".join(re.findall(rf"^{re.escape(address)} (.*)$", again.out, re.M))
        assert builds_that_ran(lines) == [(2, 2), (1, 1), (2, 2)], "it begins where it had ended"


def test_ports_of_each_device(simulate, shared_serve, builds):
    """The same numbers at different addresses, where they are free."""
    one = simulate("--devices", "3", "--server", url(shared_serve), "--load", builds.elf(1, 1))
    found = {}
    for i in (1, 2, 3):
        one.wait_for(rf"^127\.1\.0\.{i} firmware: build 1 runs")
        found[i] = [int(n) for n in re.findall(rf"^127\.1\.0\.{i} (?:page on .*:|trigger on port )"
                                               r"(\d+)/?$", one.log(), re.M)]
    assert "build 1 runs in slot user1" in one.ask(found[2][0], address="127.1.0.2")
    one.ask(found[2][1], address="127.1.0.2")
    one.wait_for(r"^127\.1\.0\.2 firmware: build 2 runs in slot user2$")
    assert "build 2" in one.ask(found[2][0], address="127.1.0.2")
    assert "build 1" in one.ask(found[3][0], address="127.1.0.3")
    assert one.stop() == OK


# ---- report, usage ----

def test_json(tool, shared_serve, flash):
    result = tool("simulate", *FREE_PORTS, "--json", "--auto", "--updates", "1", "--server",
                  url(shared_serve), "--flip-bit", "99", str(flash))
    assert result.status == NOT_ALL
    document = result.json()
    assert_shape(document, {
        "schema_version": 1, "command": "simulate", "flash_map": "1MB", "succeeded": 0, "failed": 1,
        "dead": 0, "seconds": float,
        "devices": [{"address": "127.0.0.1", "page_port": int, "trigger_port": int,
                     "state": {"booting", "running", "updating", "dead"}, "slot": int, "build": str,
                     "succeeded": int, "failed": int, "seconds": float,
                     "last_failure": Maybe({"rule": str, "found": str})}]})
    (one,) = document["devices"]
    assert (one["state"], one["slot"], one["build"]) == ("running", 1, "build 1")
    assert one["last_failure"]["rule"] == "crc"
    assert "firmware: build 1 runs in slot user1" in result.err


def test_updates_are_counted_until_there_are_enough(simulate, shared_serve, flash):
    one = simulate("--updates", "2", "--server", url(shared_serve), flash)
    one.wait_for_boot(1, 1)
    one.pull_trigger()
    one.wait_for_boot(2, 2)
    one.pull_trigger()
    assert one.wait() == OK
    assert builds_that_ran(one.log()) == [(1, 1), (2, 2), (1, 1)]


def test_interrupted_before_enough_updates(simulate, flash):
    one = simulate("--updates", "1", flash)
    one.wait_for_boot(1, 1)
    assert one.stop() == NOT_ALL


def test_one_flash_one_device(simulate, tool, flash):
    one = simulate(flash)
    one.wait_for_boot(1, 1)
    assert_refused(tool("simulate", *FREE_PORTS, str(flash)), UNAVAILABLE, "flash.bin",
                   "runs already")
    assert one.stop() == OK


def test_port_in_use(simulate, tool, flash, builds):
    one = simulate(flash)
    one.wait_for_boot(1, 1)
    assert_refused(tool("simulate", "--page-port", str(one.page), "--trigger-port", "0", "--load",
                        str(builds.elf(1, 1))), UNAVAILABLE, str(one.page), "--page-port")


def test_no_descriptor_left_at_the_ports(simulate, flash):
    """Connections wait in the kernel; the port thread does not spin."""
    one = simulate(flash)
    one.wait_for_boot(1, 1)
    pid = one.process.pid
    used = len(os.listdir(f"/proc/{pid}/fd"))
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (used, before[1]))
    with socket.create_connection(("127.0.0.1", one.page), timeout=20) as s:
        s.sendall(b"GET / HTTP/1.0\r\n\r\n")
        time.sleep(0.2)
        begun = seconds_of_processor(pid)
        time.sleep(1)
        assert seconds_of_processor(pid) - begun < 0.3
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
        assert b"build 1" in s.recv(65536)


def seconds_of_processor(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_new_flash_has_one_device(tool, builds, tmp_path):
    """Started at the same moment on a file that is not there, one runs and the others are refused."""
    command = [PROGRAM, "simulate", "--page-port", "0", "--trigger-port", "0", "--load",
               str(builds.elf(1, 1)), "new.bin"]
    running = [subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL,
                                stderr=subprocess.PIPE) for _ in range(3)]
    try:
        end = time.monotonic() + 20
        while sum(one.poll() is None for one in running) > 1 and time.monotonic() < end:
            time.sleep(0.05)
        refused = [one for one in running if one.poll() is not None]
        assert [one.returncode for one in refused] == [UNAVAILABLE] * 2
        for one in refused:
            assert b"is the flash of a device that runs already" in one.stderr.read()
    finally:
        for one in running:
            one.kill()
            one.wait(10)
            one.stderr.close()


def test_new_flash(simulate, tool, builds, tmp_path, images):
    """Blank but for slot 1; one that is there is left as it is."""
    one = simulate("--load", builds.elf(1, 1), "new.bin")
    one.wait_for_boot(1, 1)
    assert one.stop() == OK
    content = blank()
    put(content, "1MB", 1, images[1, 1])
    put_parameters(content, record(1), selector=0)  # by the bootloader, at its first boot
    assert (tmp_path / "new.bin").read_bytes() == bytes(content)
    two = simulate("--load", builds.elf(2, 1), "new.bin")
    two.wait_for_boot(1, 1)
    assert two.stop() == OK
    (tmp_path / "blank.bin").write_bytes(blank())
    three = simulate("--load", builds.elf(2, 1), "blank.bin")
    three.wait_for_boot(2, 1)


@pytest.mark.parametrize("args,status,words", [
    (["missing.bin"], NO_INPUT, ["missing.bin", "--load"]),
    ([], NO_INPUT, ["--load"]),
    (["--load", "missing.elf"], NO_INPUT, ["missing.elf"]),
    (["--load", "app2.elf"], BAD_INPUT, ["app2.elf", "0x40281010", "wanted 0x40201010"]),
    (["--load", "text"], BAD_INPUT, ["text", "file.image"]),
    (["--flash-size", "256KB", "--load", "app1.elf"], USAGE, ["256KB", "no slots"]),
    (["short.bin"], BAD_INPUT, ["short.bin", "4096", "1MB", "--flash-size"]),
    (["."], NO_INPUT, ["."]),
    (["a", "b"], USAGE, ["one flash"]),
    (["--devices", "2", "--bind", "127.0.0.1"], USAGE, ["--bind"]),
    (["--devices", "0"], USAGE, ["--devices", "'0'"]),
    (["--server", "https://x/"], USAGE, ["--server", "HTTP"]),
    (["--server", "http://x/user1.bin"], USAGE, ["--server", "user1.bin"]),
    (["--bind", "localhost"], USAGE, ["--bind", "localhost"]),
    (["--power-cut-at", "flag:7"], USAGE, ["--power-cut-at", "from 0 to 6"]),
    (["--boot-version", "1.8"], USAGE, ["--boot-version", "1.8", "1.7"]),
    (["--resets", "0"], USAGE, ["--resets"]),
    (["--resets", "2", "--auto"], USAGE, ["--resets"]),
    (["--resets", "2", "missing.bin"], NO_INPUT, ["missing.bin", "--load"]),
    (["--power-cut-at", "earse:1"], USAGE, ["--power-cut-at", "earse:1"]),
    (["--flip-bit", "-1"], USAGE, ["--flip-bit"]),
    (["--stall", "0"], USAGE, ["--stall"]),
    (["--updates", "0"], USAGE, ["--updates"])], ids=lambda v: " ".join(map(str, v))
    if isinstance(v, list) else None)
def test_refused(tool, builds, tmp_path, args, status, words):
    for slot in (1, 2):
        (tmp_path / f"app{slot}.elf").write_bytes(builds.elf(1, slot).read_bytes())
    (tmp_path / "text").write_bytes(b"hello")
    (tmp_path / "short.bin").write_bytes(b"\0" * 4096)
    before = tool.files()
    result = tool("simulate", *args)
    assert_refused(result, status, *words)
    assert result.out == "" and tool.files() == before
