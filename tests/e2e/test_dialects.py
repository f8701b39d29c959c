# SPDX-License-Identifier: MIT
"""simulate as a device to which images are pushed: esp-link, libesphttpd and Espruino."""

import re
import socket
import struct
import subprocess
import time

import pytest

from device import Device, blank, builds_that_ran, put, recorded, slot_of
from tool import NOT_ALL, OK, PROGRAM, ROOT, USAGE, assert_refused

DIALECTS = ["esp-link", "libesphttpd", "espruino"]
PROFILES = {"esp-link": "sdk", "libesphttpd": "sdk", "espruino": "espruino"}
DELAY = {"esp-link": 2, "libesphttpd": 0.2, "espruino": 2}
PORT = ("--page-port", "0")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """{(profile, build, slot): image}."""
    folder = tmp_path_factory.mktemp("builds")
    made = {}
    for build in (1, 2):
        elfs = [f"{folder}/{build}/1MB.app{slot}.elf" for slot in (1, 2)]
        subprocess.run(["make", "-s", "-C", ROOT / "examples/firmware", f"OUT={folder}/{build}",
                        f"BUILD={build}", "PAD_KB=8", *elfs], check=True, timeout=120)
        for profile in set(PROFILES.values()):
            for slot, elf in enumerate(elfs, 1):
                made[profile, build, slot] = subprocess.run(
                    [PROGRAM, "convert", "--profile", profile, "-o", "-", elf],
                    stdout=subprocess.PIPE, check=True, timeout=30).stdout
    return made


def bundle(images, build=2, tag=b"generic"):
    one, two = images["sdk", build, 1], images["sdk", build, 2]
    return (b"EHUG" + tag.ljust(28, b"\0") + struct.pack("<ii", len(one), len(two)) + one + two)


class Pushed(Device):
    """One that takes images on its page port."""

    def __init__(self, dialect, *args, cwd):
        super().__init__("--web", dialect, *args, cwd=cwd, ports=PORT)
        self.dialect = dialect

    def http(self, method, path, body=None, segments=None):
        """(status, body); status 0 when there is no answer."""
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\n"
        if body is not None:
            head += f"Content-Length: {len(body)}\r\n"
        got = b""
        with socket.create_connection(("127.0.0.1", self.page), timeout=20) as s:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                s.sendall(head.encode() + b"\r\n")
                for part in [body or b""] if segments is None else segments:
                    s.sendall(part)
                while part := s.recv(65536):
                    got += part
            except (ConnectionResetError, BrokenPipeError):
                pass
        if not got:
            return 0, ""
        head, _, text = got.decode().partition("\r\n\r\n")
        return int(re.match(r"HTTP/1\.[01] (\d+) ", head).group(1)), text

    def next(self):
        status, text = self.http("GET", "/flash/next")
        assert status in (0, 200)
        return text

    def upload(self, body, query="", segments=None):
        return self.http("POST", "/flash/upload" + query, body, segments)

    def reboot(self):
        return self.http("POST" if self.dialect == "espruino" else "GET", "/flash/reboot")


@pytest.fixture
def start(tmp_path, images):
    """start(dialect, options...): a device with build 1 in slot user1 (`content` replaces that)."""
    running = []

    def begin(dialect, *args, content=None):
        if content is None:
            content = blank()
            put(content, "1MB", 1, images[PROFILES[dialect], 1, 1])
        (tmp_path / "flash.bin").write_bytes(content)
        running.append(Pushed(dialect, *args, "flash.bin", cwd=tmp_path))
        return running[-1]

    yield begin
    for one in running:
        one.end()
    assert not [one.err() for one in running if "Sanitizer" in one.err()]


def for_slot(images, dialect, build, slot):
    """What updates that slot: for user2, libesphttpd takes a bundle only."""
    return bundle(images, build) if dialect == "libesphttpd" \
        else images[PROFILES[dialect], build, slot]


# ---- updates ----

@pytest.mark.parametrize("dialect", DIALECTS)
def test_there_and_back(start, images, tmp_path, dialect):
    one = start(dialect)
    one.wait_for_boot(1, 1)
    assert one.next() == "user2.bin"
    assert one.upload(for_slot(images, dialect, 2, 2)) == (200, "")
    assert one.next() == "user2.bin"
    before = time.monotonic()
    status, _ = one.reboot()
    assert status == 200
    one.wait_for_boot(2, 2)
    assert time.monotonic() - before >= DELAY[dialect] * 0.9
    assert one.next() == "user1.bin"
    assert one.upload(for_slot(images, dialect, 2, 1)) == (200, "")
    assert one.reboot()[0] == 200
    one.wait_for_boot(2, 1)
    assert one.next() == "user2.bin"
    assert one.stop() == OK
    flash = (tmp_path / "flash.bin").read_bytes()
    for slot in (1, 2):
        image = images[PROFILES[dialect], 2, slot]
        assert slot_of(flash, "1MB", slot, len(image)) == image
    assert recorded(flash) == 1
    assert "2 updates done, 0 failed, 0 dead" in one.log()


@pytest.mark.parametrize("dialect", DIALECTS)
def test_segments_do_not_matter(start, images, dialect):
    """The device collects them, whatever their sizes are."""
    one = start(dialect)
    one.wait_for_boot(1, 1)
    body = for_slot(images, dialect, 2, 2)
    sizes = (1, 7, 333, 1024, 511, 1460)
    segments, at = [], 0
    while at < len(body):
        size = sizes[len(segments) % len(sizes)]
        segments.append(body[at:at + size])
        at += size
    assert one.upload(body, segments=segments) == (200, "")
    assert one.reboot()[0] == 200
    one.wait_for_boot(2, 2)


@pytest.mark.parametrize("dialect,method,path,status", [
    ("esp-link", "GET", "/flash/upload", 400), ("espruino", "GET", "/flash/upload", 404),
    ("espruino", "GET", "/flash/reboot", 404), ("espruino", "GET", "/", 404),
    ("esp-link", "GET", "/", 200), ("libesphttpd", "GET", "/", 200),
    ("esp-link", "DELETE", "/flash/next", 0), ("espruino", "DELETE", "/flash/next", 404)])
def test_other_requests(start, dialect, method, path, status):
    one = start(dialect)
    one.wait_for_boot(1, 1)
    assert one.http(method, path)[0] == status
    assert one.next() == "user2.bin"


# ---- what the device refuses ----

@pytest.mark.parametrize("dialect,status,text", [
    ("esp-link", 400, "IROM magic missing\r\n"),
    ("libesphttpd", 400, "Firmware image error:Invalid flash image type!\n"),
    ("espruino", 400, "IROM magic missing")])
def test_not_an_image(start, dialect, status, text):
    one = start(dialect)
    one.wait_for_boot(1, 1)
    assert one.upload(b"<html>" * 1000) == (status, text)
    one.wait_for(r"^firmware: upload failed: 400 ")
    assert one.next() == "user2.bin"
    assert one.stop() == OK
    assert "0 updates done, 1 failed" in one.log()


def test_espruino_compares_the_number_of_the_app(start, images):
    one = start("espruino")
    one.wait_for_boot(1, 1)
    for profile, slot in (("espruino", 1), ("sdk", 2)):
        assert one.upload(images[profile, 2, slot]) == (400, "Wrong partition binary")


def test_espruino_takes_the_wrong_slot_of_the_sdk_profile(start, images):
    """Its number 1 is user2 for Espruino: the device would never start again."""
    one = start("espruino")
    one.wait_for_boot(1, 1)
    assert one.upload(images["sdk", 2, 1]) == (200, "")
    assert one.reboot()[0] == 200
    one.wait_for(r"linked for 0x40201010, not for user2")
    assert one.wait() == NOT_ALL


def test_libesphttpd_writes_a_plain_image_over_user1(start, images):
    """Also while user1 runs, and whatever slot the image is for."""
    one = start("libesphttpd")
    one.wait_for_boot(1, 1)
    assert one.next() == "user2.bin"
    assert one.upload(images["sdk", 2, 2]) == (0, "")
    assert one.wait() == NOT_ALL
    assert "crashes: the upload overwrites user1, which runs" in one.log()


def test_libesphttpd_takes_a_plain_image_while_user2_runs(start, images):
    content = blank()
    put(content, "1MB", 1, images["sdk", 1, 1])
    put(content, "1MB", 2, images["sdk", 1, 2])
    one = start("libesphttpd", content=content)
    one.wait_for_boot(1, 1)
    assert one.reboot() == (200, "Rebooting...")
    one.wait_for_boot(1, 2)
    assert one.next() == "user1.bin"
    assert one.upload(images["sdk", 2, 1]) == (200, "")
    assert one.reboot()[0] == 200
    one.wait_for_boot(2, 1)


def test_libesphttpd_compares_the_tag_of_a_bundle(start, images):
    one = start("libesphttpd")
    one.wait_for_boot(1, 1)
    other = bundle(images, tag=b"other")
    assert one.upload(other) == \
        (400, "Firmware image error:Firmware not intended for this device!\n\n")
    assert one.upload(other, "?force=1") == (200, "")
    assert one.reboot()[0] == 200
    one.wait_for_boot(2, 2)


def test_libesphttpd_says_200_to_half_a_bundle(start, images):
    one = start("libesphttpd")
    one.wait_for_boot(1, 1)
    assert one.upload(bundle(images)[:-1]) == (200, "Firmware image error:Premature end\n")
    one.wait_for(r"^firmware: upload failed: 200 Premature end$")


def test_esp_link_needs_a_megabyte(tmp_path, firmware):
    one = Pushed("esp-link", "--flash-size", "512KB", "--load", firmware.path("512KB.app1"),
                 cwd=tmp_path)
    try:
        one.wait_for(r"^firmware: .* runs in slot user1$")
        for request in (("GET", "/flash/next"), ("POST", "/flash/upload", b"x" * 2000),
                        ("GET", "/flash/reboot")):
            assert one.http(*request) == (400, "Flash too small for OTA update\r\n")
    finally:
        one.end()


# ---- reboot ----

@pytest.mark.parametrize("dialect", ["esp-link", "espruino"])
def test_reboot_checks_the_header_again(start, dialect):
    """Of a slot that was never written."""
    one = start(dialect)
    one.wait_for_boot(1, 1)
    status, text = one.reboot()
    assert (status, text.strip()) == (400, "IROM magic missing")
    assert one.next() == "user2.bin"


def test_libesphttpd_reboots_into_nothing_and_falls_back(start):
    """The bootloader boots user1 again, and the device names the same file: no update."""
    one = start("libesphttpd")
    one.wait_for_boot(1, 1)
    assert one.next() == "user2.bin"
    assert one.reboot()[0] == 200
    one.wait_for(r"^firmware: update failed: boot: the new image was not booted$")
    assert one.next() == "user2.bin"
    assert builds_that_ran(one.log()) == [(1, 1), (1, 1)]


# ---- faults ----

SECTORS = 3  # that the image takes


@pytest.mark.parametrize("dialect,case,written", [
    ("esp-link", "0", 0), ("esp-link", "5001", 5001), ("espruino", "8192", 8192),
    ("libesphttpd", "5000", 5000), ("esp-link", "erase:0", 0), ("libesphttpd", "erase:1", 4096)])
def test_power_cut_during_the_upload(start, images, tmp_path, dialect, case, written):
    """No answer; the old firmware boots again, and takes the update."""
    one = start(dialect, "--power-cut-at", case)
    one.wait_for_boot(1, 1)
    assert one.upload(for_slot(images, dialect, 2, 2)) == (0, "")
    assert one.wait() == NOT_ALL
    assert re.search(r"^power cut at ", one.log(), re.M) and "1 dead" in one.log()
    flash = (tmp_path / "flash.bin").read_bytes()
    image = images[PROFILES[dialect], 2, 2]
    assert slot_of(flash, "1MB", 2, SECTORS * 4096) == \
        image[:written] + b"\xff" * (SECTORS * 4096 - written)
    two = start(dialect, content=flash)
    two.wait_for_boot(1, 1)
    assert two.upload(for_slot(images, dialect, 2, 2)) == (200, "")
    assert two.reboot()[0] == 200
    two.wait_for_boot(2, 2)


@pytest.mark.parametrize("step,boots", [(0, 1), (3, 1), (6, 2)])
def test_power_cut_during_the_reboot(start, images, tmp_path, step, boots):
    one = start("libesphttpd", "--power-cut-at", f"flag:{step}")
    one.wait_for_boot(1, 1)
    assert one.upload(bundle(images)) == (200, "")
    assert one.reboot()[0] == 200
    assert one.wait() == NOT_ALL
    two = start("libesphttpd", content=(tmp_path / "flash.bin").read_bytes())
    two.wait_for_boot(boots, boots)
    assert two.next() == f"user{3 - boots}.bin"


def flipped(images, offset):
    """--flip-bit for a byte of user2 in a bundle."""
    return str(40 + len(images["sdk", 2, 1]) + offset)


def inner(image):
    return 16 + struct.unpack_from("<I", image, 12)[0]


def test_flipped_bit_that_the_device_notices(start, images):
    one = start("esp-link", "--flip-bit", "7")
    one.wait_for_boot(1, 1)
    assert one.upload(images["sdk", 2, 2]) == (400, "Invalid entry addr\r\n")


def test_flipped_bit_that_the_bootloader_notices(start, images):
    """It boots the old slot, and the device names the same file again."""
    one = start("libesphttpd", "--flip-bit", flipped(images, inner(images["sdk", 2, 2])))
    one.wait_for_boot(1, 1)
    assert one.upload(bundle(images)) == (200, "")
    assert one.reboot()[0] == 200
    one.wait_for(r"^firmware: update failed: boot: the new image was not booted$")
    one.wait_for_boot(1, 1, times=2)
    assert one.next() == "user2.bin"


def test_flipped_bit_that_crashes(start, images):
    """In the checksum: these devices check no CRC, and the bootloader notices too late."""
    one = start("libesphttpd", "--flip-bit", flipped(images, len(images["sdk", 2, 2]) - 5))
    one.wait_for_boot(1, 1)
    assert one.upload(bundle(images)) == (200, "")
    assert one.reboot()[0] == 200
    assert one.wait() == NOT_ALL
    assert "crashes at every reset" in one.log()


@pytest.mark.parametrize("dialect", DIALECTS)
def test_device_drops_the_connection(start, images, dialect):
    one = start(dialect, "--drop-after", "4000")
    one.wait_for_boot(1, 1)
    assert one.upload(for_slot(images, dialect, 2, 2)) == (0, "")
    one.wait_for(r"^firmware: upload failed: the device closed the connection after \d+ of \d+ ")
    assert one.next() == "user2.bin"


def test_client_goes_away(start, images):
    one = start("esp-link")
    one.wait_for_boot(1, 1)
    with socket.create_connection(("127.0.0.1", one.page), timeout=20) as s:
        s.sendall(b"POST /flash/upload HTTP/1.1\r\nContent-Length: 9000\r\n\r\n"
                  + images["sdk", 2, 2][:3000])
    one.wait_for(r"^firmware: upload failed: the connection ended after \d+ of 9000 bytes$")
    assert one.upload(images["sdk", 2, 2]) == (200, "")


@pytest.mark.parametrize("args", [("--stall", "1"), ("--speed", "8000")])
def test_slow_device(start, images, args):
    """It answers other questions meanwhile."""
    one = start("esp-link", *args)
    one.wait_for_boot(1, 1)
    before = time.monotonic()
    assert one.upload(images["sdk", 2, 2]) == (200, "")
    assert time.monotonic() - before >= 0.9
    assert one.next() == "user2.bin"


def test_one_upload_at_a_time(start, images):
    one = start("esp-link")
    one.wait_for_boot(1, 1)
    image = images["sdk", 2, 2]
    with socket.create_connection(("127.0.0.1", one.page), timeout=20) as s:
        s.sendall(f"POST /flash/upload HTTP/1.1\r\nContent-Length: {len(image)}\r\n\r\n".encode())
        one.wait_for(r"^firmware: upload of ")
        assert one.upload(image) == (0, "")
        assert one.next() == "user2.bin"
        s.sendall(image)
        assert s.recv(100).startswith(b"HTTP/1.0 200 OK")


def test_ended_during_an_upload(start, images):
    one = start("esp-link")
    one.wait_for_boot(1, 1)
    with socket.create_connection(("127.0.0.1", one.page), timeout=20) as s:
        s.sendall(b"POST /flash/upload HTTP/1.1\r\nContent-Length: 9000\r\n\r\n"
                  + images["sdk", 2, 2][:2000])
        one.wait_for(r"^firmware: upload of ")
        assert one.stop() == OK


@pytest.mark.parametrize("args,words", [
    (["--web", "esp8266"], ["--web", "esp-link"]),
    (["--web", "esp-link", "--auto"], ["--auto", "tutorial"]),
    (["--web", "espruino", "--server", "http://127.0.0.1"], ["--server"]),
    (["--web", "libesphttpd", "--trigger-port", "0"], ["--trigger-port"])])
def test_refused(tool, args, words):
    assert_refused(tool("simulate", *args), USAGE, *words)


def test_tutorial_is_the_default(tool):
    result = tool("simulate", "--web", "tutorial", "--server", "https://x/")
    assert_refused(result, USAGE, "HTTP")
