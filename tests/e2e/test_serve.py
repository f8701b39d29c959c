# SPDX-License-Identifier: MIT
"""serve: what it says, what it serves when files change, how it ends."""

import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time
import zlib

import pytest

from image import Image, assert_image_of
from server import read_to_end
from tool import BAD_INPUT, NO_INPUT, OK, PROGRAM, UNAVAILABLE, USAGE, assert_refused

GET = b"GET /user%d.bin HTTP/1.0\r\n\r\n"
# struct linger: on, 0 seconds. The close is a reset then.
RESET = struct.pack("ii", 1, 0)


def converted(tool, path, app, *options):
    """What `convert` makes of the same ELF."""
    result = tool("convert", "--app", str(app), *options, "-o", "-", str(path))
    assert result.status == OK
    return result.raw


def app_line(server, app):
    return re.search(rf"^APP{app}: (.*)$", server.log(), re.MULTILINE).group(1)


# ---- which ELF is which ----

@pytest.mark.parametrize("order", [("1MB.app1", "1MB.app2"), ("1MB.app2", "1MB.app1"),
                                   ("512KB.app1", "512KB.app2"), ("512KB.app2", "512KB.app1")])
def test_pair(serve, tool, firmware, order):
    server = serve(*[firmware.path(n) for n in order])
    names = sorted(order)
    flash_map = names[0].split(".")[0]
    for app in (1, 2):
        path = firmware.path(names[app - 1])
        assert app_line(server, app).startswith(f"{path}, ")
        body = server.get(f"/user{app}.bin").body
        assert body == converted(tool, path, app, "-fs", flash_map)
        assert f"{len(body)} bytes of" in app_line(server, app)
        assert_image_of(body, firmware.elf(names[app - 1]), app, Image(body).size_freq)
    assert f"flash map {flash_map}" in server.log()
    assert server.stop() == OK
    assert server.err() == ""


def test_urls(serve, firmware):
    server = serve(firmware.path("1MB.app1"), firmware.path("1MB.app2"))
    urls = re.findall(r"^  (http://\S+)$", server.log(), re.MULTILINE)
    for app in (1, 2):
        assert f"http://127.0.0.1:{server.port}/user{app}.bin" in urls
    assert all(re.fullmatch(rf"http://[0-9.]+:{server.port}/user[12]\.bin", u) for u in urls)
    assert len(urls) == len(set(urls)) and len(urls) % 2 == 0


@pytest.mark.parametrize("have,missing,script", [
    ("1MB.app2", 1, "eagle.app.v6.new.1024.app1.ld"),
    ("1MB.app1", 2, "eagle.app.v6.new.1024.app2.ld"),
    ("512KB.app2", 1, "eagle.app.v6.new.512.app1.ld")])
def test_missing_app_names_the_linker_script(serve, firmware, have, missing, script):
    server = serve(firmware.path(have))
    line = app_line(server, missing)
    assert "(none)" in line and script in line and "0x4020" in line.replace("0x4028", "0x4020")
    assert server.get(f"/user{3 - missing}.bin").status == 200
    answer = server.get(f"/user{missing}.bin")
    assert (answer.status, answer.length) == (404, 0)
    assert script in answer.field("X-Espimage-Reason")
    assert not re.search(rf"^  http.*user{missing}\.bin$", server.log(), re.MULTILINE)


def test_one_elf_is_neither(serve, tool, firmware):
    server = serve(firmware.path("1MB.app1"), firmware.path("rboot"))
    assert "rboot.elf, not usable yet; served when it is right" in app_line(server, 2)
    assert "rboot.elf: linked at 0x40202010" in server.err()
    assert len(server.err().splitlines()) == 1
    assert server.get("/user1.bin").body == converted(tool, firmware.path("1MB.app1"), 1)
    answer = server.get("/user2.bin")
    assert (answer.status, answer.length) == (503, 0)
    assert answer.field("X-Espimage-Reason") == "the ELF is not linked for this slot"
    server.wait_for("GET /user2.bin user2 503 .*rboot.elf: linked at 0x40202010")


@pytest.mark.parametrize("second,words", [("missing.elf", ["No such file"]), (".", ["directory"])])
def test_one_elf_cannot_be_read(serve, firmware, second, words):
    server = serve(firmware.path("1MB.app1"), second)
    assert all(w in server.err() for w in words)
    assert server.get("/user1.bin").status == 200


@pytest.mark.parametrize("pair", [("1MB.app1", "512KB.app1"), ("1MB.app2", "1MB.app2")])
def test_both_for_one_slot(serve, tool, firmware, pair):
    paths = []
    for i, name in enumerate(pair):
        paths.append(firmware.copy(name, tool.cwd / f"elf{i}.elf"))
    server = serve(*paths)
    slot = int(pair[0][-1])
    assert "elf0.elf" in app_line(server, slot)
    assert "elf1.elf, not usable yet" in app_line(server, 3 - slot)
    (line,) = server.err().splitlines()
    for word in ("elf1.elf: ", f"app{slot} is", "elf0.elf", "eagle.app.v6.new.1024.app"):
        assert word in line
    assert server.get(f"/user{slot}.bin").status == 200


def test_maps_that_contradict(serve, firmware):
    server = serve(firmware.path("512KB.app2"), firmware.path("1MB.app2"))
    (line,) = server.err().splitlines()
    assert "0x40281010" in line and "0x40241010" in line
    assert server.get("/user2.bin").status == 200


def test_one_elf_for_both_slots(serve, tool, firmware):
    path = firmware.path("2MB-c1")
    server = serve("--flash-size", "2MB-c1", path)
    bodies = [server.get(f"/user{app}.bin").body for app in (1, 2)]
    for app in (1, 2):
        assert app_line(server, app).startswith(f"{path}, ")
        assert_image_of(bodies[app - 1], firmware.elf("2MB-c1"), app, 0x50)
        assert bodies[app - 1] == converted(tool, path, app, "-fs", "2MB-c1")
    differing = [i for i in range(len(bodies[0]) - 4) if bodies[0][i] != bodies[1][i]]
    assert differing == [3]


def test_two_elfs_of_a_c1_map(serve, tool, firmware):
    one = firmware.path("2MB-c1")
    two = firmware.path("2MB-c1.large")
    server = serve("--flash-size", "2MB-c1", one, two)
    assert app_line(server, 1).startswith(f"{one}, ")
    assert app_line(server, 2).startswith(f"{two}, ")
    assert server.get("/user2.bin").body == converted(tool, two, 2, "-fs", "2MB-c1")


def test_app_option(serve, tool, firmware):
    server = serve("--app", "2", "--flash-size", "1MB", firmware.path("1MB.app1"))
    assert "(none)" in app_line(server, 1)
    assert "warning" in server.err() and "slot 2" in server.err()
    assert Image(server.get("/user2.bin").body).b3 == 2


def test_app_option_and_a_map_that_the_size_settles(serve, firmware):
    server = serve("--app", "2", firmware.path("2MB-c1.large"))
    assert_image_of(server.get("/user2.bin").body, firmware.elf("2MB-c1.large"), 2, 0x50)


def test_flash_options_and_profile(serve, tool, firmware):
    options = ["-fm", "dio", "-ff", "80m", "-fs", "2MB"]
    server = serve(*options, firmware.path("1MB.app1"))
    body = server.get("/user1.bin").body
    assert_image_of(body, firmware.elf("1MB.app1"), 1, 0x3F, 2)
    server = serve("--profile", "gen_appbin", firmware.path("1MB.app1"))
    assert server.get("/user1.bin").body == \
        converted(tool, firmware.path("1MB.app1"), 1, "--profile", "gen_appbin")


def test_what_devices_refuse_is_not_served_silently(serve, firmware):
    server = serve("--profile", "esptool", firmware.path("1MB.app1"))
    assert "warning" in server.err() and "ota.app-number" in server.err()


@pytest.mark.parametrize("name,words", [
    ("rboot", "rBoot"), ("no-boot", "no bootloader"), ("too-big.app1", "at most 499712"),
    ("outside-window", "window")])
def test_nothing_right_yet(serve, tool, firmware, name, words):
    """What is wrong is said once; the ELF is served when it has been linked anew."""
    elf = firmware.copy(name, tool.cwd / "app.elf")
    server = serve("--flash-size", "1MB", elf)
    (line,) = server.err().splitlines()
    assert words in line
    slot = 2 if name != "too-big.app1" else 1
    assert "app.elf, not usable yet; served when it is right" in app_line(server, slot)
    assert server.get(f"/user{slot}.bin").status == 503
    firmware.copy(f"1MB.app{slot}", elf)
    assert server.get(f"/user{slot}.bin").body == converted(tool, elf, slot, "-fs", "1MB")


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_missing_elfs_are_served_when_they_appear(serve, tool, firmware, order):
    """Whichever comes first, and in whatever order they were given."""
    server = serve("a.elf", "b.elf")
    assert len(server.err().splitlines()) == 2
    assert app_line(server, 1) == "a.elf, not there yet; served when it appears"
    assert app_line(server, 2) == "b.elf, not there yet; served when it appears"
    for slot, name in zip(order, ("a.elf", "b.elf")):
        elf = firmware.copy(f"512KB.app{slot}", tool.cwd / name)
        body = server.get(f"/user{slot}.bin").body
        assert body[8:] == converted(tool, elf, slot, "-fs", "512KB")[8:] or slot == 1
    for slot, name in zip(order, ("a.elf", "b.elf")):
        # Together they leave one flash map, which is in both headers.
        assert server.get(f"/user{slot}.bin").body == \
            converted(tool, tool.cwd / name, slot, "-fs", "512KB")


def test_an_elf_that_stays_away_is_waited_for_once(serve, firmware):
    server = serve(firmware.path("1MB.app1"), "app2.elf")
    for limit in (5, 1, 1):
        begun = time.monotonic()
        answer = server.get("/user2.bin")
        assert time.monotonic() - begun < limit
        assert (answer.status, answer.length) == (503, 0)
    server.wait_for("user2 503 .*app2.elf: cannot open: No such file")


@pytest.mark.parametrize("leases", [True, False])
def test_a_slow_copy_over_the_old_elf_is_never_served_in_part(serve, tool, firmware, leases):
    """scp before OpenSSH 9, rsync --inplace, dd conv=notrunc: every state in between parses."""
    elf = firmware.copy("2MB-c1.large", tool.cwd / "app.elf")
    if not leases:  # they are given to the owner of a file and to root's capability
        if os.geteuid() != 0:
            pytest.skip("only root gives files away")
        os.chown(elf, 65534, 65534)
        elf.chmod(0o644)
    server = serve("-fs", "2MB-c1", elf,
                   wrapper=() if leases else ("setpriv", "--bounding-set=-lease"))
    old = server.get("/user1.bin").body
    data = rebuilt(firmware, "2MB-c1.large", "slow")
    writer = threading.Thread(target=overwrite_slowly, args=(elf, data, 4))
    writer.start()
    time.sleep(0.2)
    bodies = [server.get("/user1.bin").body for _ in range(2)]
    writer.join()
    new = server.get("/user1.bin").body
    assert new == converted(tool, elf, 1, "-fs", "2MB-c1") != old
    assert set(bodies) <= {b"", new}, "a mix of two builds, or one that is no longer there"


def overwrite_slowly(path, data, seconds):
    steps = 40
    size = -(-len(data) // steps)
    with open(path, "r+b", buffering=0) as target:
        for at in range(0, len(data), size):
            target.write(data[at:at + size])
            time.sleep(seconds / steps)


def test_sigterm_is_not_starved_by_sighup(serve, firmware):
    server = serve(firmware.path("1MB.app1"), "missing.elf")
    end = time.monotonic() + 2
    while time.monotonic() < end:
        server.process.send_signal(signal.SIGHUP)
        time.sleep(0.05)
    server.process.send_signal(signal.SIGHUP)
    server.process.send_signal(signal.SIGTERM)
    for _ in range(20):
        if server.process.poll() is not None:
            break
        server.process.send_signal(signal.SIGHUP)
        time.sleep(0.1)
    assert server.process.wait(1) == OK


# ---- ready images ----

def ready(tool, firmware, slot, *options, name=None):
    """An image as a vendor publishes it."""
    path = tool.cwd / (name or f"user{slot}.bin")
    path.write_bytes(converted(tool, firmware.path(f"1MB.app{slot}"), slot, *options))
    return path


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_ready_images(serve, tool, firmware, order):
    paths = {slot: ready(tool, firmware, slot, "-fs", "2MB") for slot in order}
    server = serve(*[paths[slot] for slot in order])
    for slot in (1, 2):
        assert app_line(server, slot).startswith(f"{paths[slot]}, ")
        assert server.get(f"/user{slot}.bin").body == paths[slot].read_bytes()
    assert server.stop() == OK
    assert server.err() == ""


def test_ready_image_beside_an_elf(serve, tool, firmware):
    image = ready(tool, firmware, 2, "-fs", "1MB")
    server = serve(firmware.path("1MB.app1"), image)
    assert server.get("/user1.bin").body == converted(tool, firmware.path("1MB.app1"), 1)
    assert server.get("/user2.bin").body == image.read_bytes()


def with_crc_of(data):
    """After a change, as somebody who edits an image would."""
    crc = zlib.crc32(data[:-4])
    signed = crc - (1 << 32) if crc >= 1 << 31 else crc
    return data[:-4] + struct.pack("<I", (abs(signed) - 1) if signed < 0 else signed + 1)


def test_ready_images_that_devices_refuse(serve, tool, firmware):
    good = ready(tool, firmware, 1).read_bytes()
    cases = {
        "damaged": (good[:5000] + b"?" + good[5001:], "ota.crc"),
        "app": (with_crc_of(good[:3] + b"\x00" + good[4:]), "app number 0"),
        "cut": (good[:-100], "refuses this image"),
        "other-slot": (with_crc_of(good[:3] + b"\x02" + good[4:]), "link.slot"),
        "old-layout": (b"\xe9\x03" + good[2:], "not an ELF file"),
    }
    for name, (data, words) in cases.items():
        path = tool.cwd / f"{name}.bin"
        path.write_bytes(data)
        server = serve("-fs", "1MB", path)
        (line,) = server.err().splitlines()
        assert f"{name}.bin: " in line and words in line
        for slot in (1, 2):
            answer = server.get(f"/user{slot}.bin")
            assert answer.status in (404, 503) and answer.length == 0
        assert server.stop() == OK


def test_ready_image_is_reloaded(serve, tool, firmware):
    path = ready(tool, firmware, 1)
    server = serve(path)
    first = server.get("/user1.bin").body
    elf = tool.cwd / "next.elf"
    elf.write_bytes(rebuilt(firmware, "1MB.app1", "next"))
    replace(path, converted(tool, elf, 1), "rename")
    second = server.get("/user1.bin").body
    assert second == path.read_bytes() != first
    replace(path, second[:-1] + b"?", "rename")
    answer = server.get("/user1.bin")
    assert answer.status == 503
    assert answer.field("X-Espimage-Reason") == "devices would refuse the image for this slot"
    server.wait_for("GET /user1.bin user1 503 .*ota.crc")


# ---- addresses and ports ----

def test_port_in_use(tool, firmware):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        port = s.getsockname()[1]
        for bind in ([], ["--bind", "127.0.0.1"]):
            result = tool("serve", "--port", str(port), *bind, str(firmware.path("1MB.app1")))
            assert_refused(result, UNAVAILABLE, f"port {port} is in use", "ss -ltnp", "--port")


@pytest.mark.parametrize("address,status,words", [
    ("nonsense", USAGE, ["'nonsense'", "192.168"]), ("localhost", USAGE, ["'localhost'"]),
    ("", USAGE, ["''"]), ("1.2.3", USAGE, ["'1.2.3'"]), ("127.0.0.1:80", USAGE, ["numeric"]),
    ("203.0.113.77", UNAVAILABLE, ["203.0.113.77", "ip address"])])
def test_bad_address(tool, firmware, address, status, words):
    result = tool("serve", "--bind", address, "--port", "0", str(firmware.path("1MB.app1")))
    assert_refused(result, status, *words)


def test_bind(serve, firmware):
    server = serve("--bind", "127.0.0.1", firmware.path("1MB.app1"))
    urls = re.findall(r"http://\S+", server.log())
    here = f"http://127.0.0.1:{server.port}/"
    assert urls == [f"{here}user1.bin", here]
    assert server.get("/user1.bin").status == 200


def test_bind_ipv6(serve, firmware):
    try:
        with socket.socket(socket.AF_INET6) as s:
            s.bind(("::1", 0))
    except OSError:
        pytest.skip("no IPv6 here")
    server = serve("--bind", "::1", firmware.path("1MB.app1"))
    assert f"http://[::1]:{server.port}/user1.bin" in server.log()
    with socket.create_connection(("::1", server.port), timeout=10) as s:
        s.sendall(GET % 1)
        assert s.recv(100).startswith(b"HTTP/1.1 200")
    server.wait_for(r"^::1 GET /user1\.bin")


def test_given_port_is_free_again_at_once(serve, firmware):
    server = serve("--bind", "127.0.0.1", firmware.path("1MB.app1"))
    server.get("/user1.bin")
    assert server.stop() == OK
    again = serve("--bind", "127.0.0.1", firmware.path("1MB.app1"),
                  command=("serve", "--port", str(server.port)))
    assert again.port == server.port


# ---- files that change ----

def rebuilt(firmware, name, mark):
    """The ELF as another build of it: other bytes in the flash section."""
    data = bytearray(firmware.path(name).read_bytes())
    (section,) = firmware.elf(name).irom_sections()
    at = bytes(data).index(section.data)
    data[at + len(section.data) - 8:at + len(section.data)] = mark.ljust(8).encode()
    return bytes(data)


def replace(path, data, how):
    if how == "rename":
        other = path.with_suffix(".new")
        other.write_bytes(data)
        other.rename(path)
    else:
        path.write_bytes(data)


@pytest.mark.parametrize("how", ["rename", "in place"])
def test_rebuilt_elf_is_served_at_the_next_request(serve, tool, firmware, how):
    elf = firmware.copy("1MB.app1", tool.cwd / "app.elf")
    server = serve(elf)
    seen = [server.get("/user1.bin").body]
    for i in range(5):
        data = rebuilt(firmware, "1MB.app1", f"build{i}")
        before = elf.stat()
        replace(elf, data, how)
        if i % 2:  # as `cp -p`, or a build within one tick of the file system's clock
            os.utime(elf, ns=(before.st_atime_ns, before.st_mtime_ns))
        seen.append(server.get("/user1.bin").body)
        assert seen[-1] == converted(tool, elf, 1)
    assert len(set(seen)) == 6
    server.wait_for("build 6")


def test_touched_elf_is_the_same_build(serve, tool, firmware):
    elf = firmware.copy("1MB.app1", tool.cwd / "app.elf")
    server = serve(elf)
    server.get("/user1.bin")
    os.utime(elf, (1, 1))
    server.get("/user1.bin")
    server.wait_for(r"(?s)build 1.*build 1")
    assert "build 2" not in server.log()


@pytest.mark.parametrize("how", ["rename", "in place"])
def test_broken_elf_and_back(serve, tool, firmware, how):
    elf = firmware.copy("1MB.app1", tool.cwd / "app.elf")
    whole = elf.read_bytes()
    server = serve(elf)
    good = server.get("/user1.bin").body
    for broken, word in ((whole[:5000], "truncated"), (b"", "empty"), (None, "No such file")):
        if broken is None:
            elf.unlink()
        else:
            replace(elf, broken, how)
        for method in ("HEAD", "GET"):
            answer = server.get("/user1.bin", method=method)
            assert (answer.status, answer.length, answer.body) == (503, 0, b"")
            assert answer.field("X-Espimage-Reason")
        server.wait_for(rf"GET /user1\.bin user1 503 .*app\.elf: .*{word}")
        assert server.process.poll() is None
    replace(elf, whole, how)
    answer = server.get("/user1.bin")
    assert (answer.status, answer.body) == (200, good)


def test_relinked_elf_moves_to_its_slot(serve, tool, firmware):
    elf = firmware.copy("1MB.app1", tool.cwd / "app.elf")
    server = serve("--flash-size", "1MB", elf)
    assert server.get("/user1.bin").status == 200
    assert server.get("/user2.bin").status == 404
    firmware.copy("1MB.app2", elf)
    answer = server.get("/user1.bin")
    assert answer.status in (404, 503) and answer.length == 0
    assert server.get("/user2.bin").body == converted(tool, elf, 2)


def test_reason_of_a_long_path_fits_into_the_header(serve, tool, firmware):
    folder = tool.cwd / ("d" * 200)
    folder.mkdir()
    elf = firmware.copy("1MB.app1", folder / ("e" * 200 + ".elf"))
    server = serve(elf)
    elf.write_bytes(b"")
    answer = server.get("/user1.bin")
    assert (answer.status, answer.length) == (503, 0)


def test_download_goes_on_with_the_old_build(serve, tool, firmware):
    elf = firmware.copy("2MB-c1.large", tool.cwd / "app.elf")
    server = serve(elf)
    old = server.get("/user1.bin").body
    with server.connect(receive_buffer=4096) as s:
        s.sendall(GET % 1)
        got = s.recv(1000)
        replace(elf, rebuilt(firmware, "2MB-c1.large", "newer"), "rename")
        new = server.get("/user1.bin").body
        while True:
            part = s.recv(65536)
            if not part:
                break
            got += part
    assert got.endswith(old) and new != old and new == converted(tool, elf, 1, "-fs", "2MB-c1")


# ---- the log ----

def test_log_lines(serve, firmware):
    server = serve(firmware.path("1MB.app1"))
    size = len(server.get("/user1.bin").body)
    server.get("/user1.bin", method="HEAD")
    server.get("/favicon.ico")
    for line in (rf"GET /user1\.bin user1 200 build 1, {size} of {size} bytes \d+\.\d\d s$",
                 rf"HEAD /user1\.bin user1 200 build 1, told {size} bytes \d+\.\d\d s$",
                 r"GET /favicon\.ico 404 \d+\.\d\d s: \S"):
        server.wait_for(rf"^127\.0\.0\.1 {line}")
    assert server.stop() == OK and server.err() == ""


def test_log_of_hostile_targets(serve, firmware):
    server = serve(firmware.path("1MB.app1"))
    before = len(server.log().splitlines())
    for target in (b"/\x1b[31m\x07x", b"/%0d%0aGET%20/user1.bin", b"/" + b"a" * 3000,
                   b"/../../etc/passwd", b"/\xff\xfe"):
        server.ask(b"GET " + target + b" HTTP/1.0\r\n\r\n")
    server.get("/user1.bin")
    server.wait_for("GET /user1")
    log = server.log()
    assert "\x1b" not in log and "\x07" not in log
    # One a request; and the image that the second got is asked for again.
    assert len(log.splitlines()) == before + 7
    assert log.count("127.0.0.1 has not taken what it fetched before\n") == 1


def test_aborted_download_is_logged(serve, firmware):
    """Bytes in a buffer of the kernel have not been sent."""
    server = serve(firmware.path("2MB-c1.large"))
    abort_download(server)
    found = re.search(r"GET /user1\.bin user1 200 build 1, (\d+) of (\d+) bytes (.*)", server.log())
    assert int(found.group(1)) < int(found.group(2)) and "client" in found.group(3), found.group()
    assert server.get("/user1.bin").status == 200


# ---- how it ends ----

@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal(serve, firmware, number):
    server = serve(firmware.path("1MB.app1"))
    server.get("/user1.bin")
    begin = time.monotonic()
    assert server.stop(number) == OK
    assert time.monotonic() - begin < 5
    assert server.err() == ""


def test_signal_while_clients_hang(serve, firmware):
    server = serve("--drain", "1", firmware.path("2MB-c1.large"))
    with server.connect(receive_buffer=4096) as slow, server.connect() as silent:
        slow.sendall(GET % 1)
        slow.recv(1000)
        silent.sendall(b"GET /user1")
        begin = time.monotonic()
        assert server.stop(signal.SIGINT) == OK
        assert time.monotonic() - begin < 8


def test_once(serve, tool, firmware):
    server = serve("--once", firmware.path("1MB.app1"), firmware.path("1MB.app2"))
    assert server.get("/user1.bin", method="HEAD").status == 200
    assert server.get("/favicon.ico").status == 404
    assert server.ask(b"POST /user1.bin HTTP/1.0\r\nContent-Length: 0\r\n\r\n").status == 405
    server.wait_for("POST")
    time.sleep(0.1)
    assert server.process.poll() is None, "nothing of that was a download"
    body = server.get("/user2.bin").body
    assert server.wait() == OK
    assert body == converted(tool, firmware.path("1MB.app2"), 2)
    server.wait_for(r"GET /user2\.bin user2 200 .* s$")


def abort_download(server):
    """Reads the header and goes away, as a device does that only wants the length."""
    with server.connect(receive_buffer=4096) as s:
        s.sendall(GET % 1)
        s.recv(536)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    server.wait_for(r"GET /user1\.bin ")


def test_once_is_not_ended_by_an_aborted_download(serve, firmware):
    server = serve("--once", firmware.path("1MB.app1"))
    abort_download(server)
    time.sleep(0.3)
    assert server.process.poll() is None, f"that was no complete download\n{server.log()}"
    assert server.get("/user1.bin").status == 200
    assert server.wait() == OK


def test_once_lets_a_slow_reader_finish(serve, firmware):
    """The last bytes are still in the kernel's buffers when the server has written them all."""
    server = serve("--once", firmware.path("2MB-c1.large"))
    got = 0
    with server.connect(receive_buffer=16384) as s:
        s.sendall(GET % 1)
        while True:
            part = s.recv(16384)
            if not part:
                break
            got += len(part)
            time.sleep(0.01)
    assert got > 590000
    assert server.wait() == OK


# ---- the module ----

WITHOUT_PROC = ("unshare", "-rm", "sh", "-c", 'mount -t tmpfs none /proc && exec "$0" "$@"')


def test_module_is_found_without_proc(serve, firmware):
    """As in a chroot where /proc is not mounted."""
    if subprocess.run([*WITHOUT_PROC, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no mount namespaces here")
    if "san" in PROGRAM:
        pytest.skip("sanitizers read /proc, their own options included")
    server = serve(firmware.path("1MB.app1"), wrapper=WITHOUT_PROC)
    assert server.get("/user1.bin").status == 200
    assert server.stop() == OK


def test_reason_when_the_module_is_missing(tool, firmware):
    program = tool.cwd / "espimagetool"
    shutil.copy(PROGRAM, program)
    done = subprocess.run([program, "serve", "--port", "0", firmware.path("1MB.app1")], timeout=20,
                          capture_output=True, text=True, check=False)
    assert done.returncode == UNAVAILABLE
    assert "espimagetool-serve.so: cannot open shared object file: No such file" in done.stderr


# ---- many and slow clients ----

def test_twenty_clients_at_once(serve, tool, firmware):
    server = serve(firmware.path("2MB-c1.large"))
    wanted = {app: converted(tool, firmware.path("2MB-c1.large"), app, "-fs", "2MB-c1")
              for app in (1, 2)}
    results = [None] * 20
    start = threading.Barrier(20)

    def fetch(i):
        start.wait(timeout=20)
        results[i] = server.get(f"/user{i % 2 + 1}.bin").body

    threads = [threading.Thread(target=fetch, args=(i,)) for i in range(20)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(timeout=40)
    assert [r == wanted[i % 2 + 1] for i, r in enumerate(results)] == [True] * 20
    server.wait_for(r"(?s)(GET /user\d\.bin.*){20}")
    assert server.stop() == OK


def test_slow_reader_holds_up_nobody(serve, tool, firmware):
    server = serve(firmware.path("2MB-c1.large"))
    wanted = converted(tool, firmware.path("2MB-c1.large"), 1, "-fs", "2MB-c1")
    got = b""
    with server.connect(receive_buffer=4096) as slow:
        slow.sendall(GET % 1)
        for i in range(20):
            got += slow.recv(2048)
            time.sleep(0.05)
            if i % 5 == 0:
                begin = time.monotonic()
                assert server.get("/user1.bin").body == wanted
                assert time.monotonic() - begin < 2
        while True:
            part = slow.recv(65536)
            if not part:
                break
            got += part
    assert got.endswith(wanted)


def read_with_pauses(s):
    """So slowly that the server has to wait for room."""
    got = b""
    while part := s.recv(32768):
        got += part
        time.sleep(0.01)
    return got


def test_who_has_everything_is_told_of_before_it_leaves(serve, tool, firmware):
    server = serve(firmware.path("2MB-c1.large"))
    size = len(converted(tool, firmware.path("2MB-c1.large"), 1, "-fs", "2MB-c1"))
    with server.connect(receive_buffer=65536) as s:
        s.sendall(GET % 1)
        assert len(read_with_pauses(s)) > size
        begin = time.monotonic()
        server.wait_for(f"{size} of {size} bytes")
        assert time.monotonic() - begin < 2
    assert server.stop() == OK


def test_who_has_closed_its_side_gets_everything(serve, tool, firmware):
    server = serve(firmware.path("2MB-c1.large"))
    wanted = converted(tool, firmware.path("2MB-c1.large"), 1, "-fs", "2MB-c1")
    with server.connect(receive_buffer=4096) as s:
        s.sendall(GET % 1)
        s.shutdown(socket.SHUT_WR)
        assert read_with_pauses(s).endswith(wanted)
    server.wait_for(f"{len(wanted)} of {len(wanted)} bytes")
    assert server.stop() == OK


def test_request_in_small_pieces(serve, firmware):
    server = serve(firmware.path("1MB.app1"))
    with server.connect() as s:
        for byte in b"GET /user1.bin HTTP/1.0\r\nUser-Agent: x\r\n\r\n":
            s.sendall(bytes([byte]))
            time.sleep(0.001)
        got = s.recv(1000)
    assert got.startswith(b"HTTP/1.1 200 OK\r\n")


# ---- what it costs ----

def wake_ups(server):
    """How often its threads had something to do after they had waited."""
    texts = [(task / "status").read_text() for task in
             pathlib.Path(f"/proc/{server.process.pid}/task").iterdir()]
    return sum(int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", t, re.M).group(1)) for t in texts)


@pytest.mark.skipif("tsan" in PROGRAM, reason="the thread sanitizer has a thread that wakes")
def test_nothing_wakes_it_while_nobody_asks(serve, firmware):
    server = serve("--bind", "127.0.0.1", firmware.path("2MB-c1.large"))
    server.get("/user1.bin")
    server.wait_for("GET /user1.bin user1 200")
    time.sleep(0.5)
    before = wake_ups(server)
    time.sleep(2.5)
    assert wake_ups(server) == before


@pytest.mark.skipif("tsan" in PROGRAM, reason="the thread sanitizer has a thread that wakes")
def test_nobody_watches_a_slow_reader_for_nothing(serve, firmware):
    server = serve("--bind", "127.0.0.1", firmware.path("2MB-c1.large"))
    with server.connect(receive_buffer=4096) as s:
        s.sendall(GET % 1)
        s.recv(1000)
        time.sleep(0.5)
        before = wake_ups(server)
        for _ in range(50):
            s.recv(1000)
            time.sleep(0.05)
        assert wake_ups(server) - before <= 2  # four a second when somebody looks


# ---- progress ----

def test_no_progress_without_a_terminal(serve, firmware):
    server = serve(firmware.path("2MB-c1.large"))
    server.get("/user1.bin")
    assert server.stop() == OK
    assert server.err() == "" and "[#" not in server.log()


def test_a_closed_stdout_does_not_become_a_connection(serve, tool, firmware):
    """The shell's >&-: the next socket would get the number of standard output, and the log."""
    firmware.copy("1MB.app1", tool.cwd / "app1.elf")
    tool.ok("convert", "--flash-size", "1MB", "app1.elf")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["sh", "-c", 'exec "$0" "$@" <&- >&- 2>&-', PROGRAM, "serve", "--port", str(port),
               "--flash-size", "1MB", "app1.elf"]
    with subprocess.Popen(command, cwd=tool.cwd) as process:
        try:
            wanted = (tool.cwd / "app1-user1.bin").read_bytes()
            for _ in range(20):
                assert fetched_when_ready(port) == wanted
            for fd in (0, 1, 2):
                assert os.readlink(f"/proc/{process.pid}/fd/{fd}") == "/dev/null"
        finally:
            process.terminate()
            process.wait(10)


def fetched_when_ready(port):
    """The body of /user1.bin; for some seconds the port may not be open yet."""
    limit = time.monotonic() + 10
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=10) as s:
                s.sendall(b"GET /user1.bin HTTP/1.0\r\n\r\n")
                return read_to_end(s).split(b"\r\n\r\n", 1)[1]
        except ConnectionRefusedError:
            assert time.monotonic() < limit
            time.sleep(0.05)
