# SPDX-License-Identifier: MIT
"""ESPImageTool's own command lines."""

import re
import signal
import struct

import pytest

from image import V1Image, assert_image_of, padded
from tool import BAD_INPUT, NO_INPUT, OK, USAGE, assert_refused

# What a bootloader looks like: E9, segments, flash mode, size/freq, entry, and so on.
BOOT = struct.pack("<4BI", 0xE9, 3, 0, 0, 0x40100000) + bytes(range(256)) * 4


def test_convert(tool, firmware):
    firmware.copy("1MB.app1", tool.cwd / "a.elf")
    tool.ok("a.elf")
    assert tool.files() == ["a-user1.bin", "a.elf"]
    assert_image_of((tool.cwd / "a-user1.bin").read_bytes(), firmware.elf("1MB.app1"), 1)


@pytest.mark.parametrize("line", [
    ["a.elf", "b.elf", "--size", "8m", "--mode", "DIO", "--freq", "80m"],
    ["--size", "8m", "a.elf", "--mode", "dio", "--freq", "80M", "b.elf"],
    ["--mode", "dio", "--freq", "80m", "--size", "8M", "a.elf", "b.elf"]], ids=" ".join)
def test_options_in_any_order(tool, firmware, line):
    firmware.copy("1MB.app1", tool.cwd / "a.elf")
    firmware.copy("1MB.app2", tool.cwd / "b.elf")
    tool.ok(*line)
    assert_image_of((tool.cwd / "a-user1.bin").read_bytes(), firmware.elf("1MB.app1"), 1, 0x2F, 2)
    assert_image_of((tool.cwd / "b-user2.bin").read_bytes(), firmware.elf("1MB.app2"), 2, 0x2F, 2)


def test_boot(tool, firmware):
    firmware.copy("1MB.app1", tool.cwd / "app.elf")
    (tool.cwd / "boot.bin").write_bytes(BOOT)
    tool.ok("app.elf", "--size", "8m", "--mode", "dout", "--freq", "26m", "--boot", "boot.bin")
    assert tool.files() == ["app-boot.bin", "app-user1.bin", "app.elf", "boot.bin"]
    assert (tool.cwd / "app-boot.bin").read_bytes() == BOOT[:2] + b"\x03\x21" + BOOT[4:]
    assert (tool.cwd / "boot.bin").read_bytes() == BOOT, "the original stays as it is"
    assert_image_of((tool.cwd / "app-user1.bin").read_bytes(), firmware.elf("1MB.app1"), 1, 0x21, 3)


@pytest.mark.parametrize("data,status,words", [
    (b"", BAD_INPUT, ["not a bootloader"]), (b"\xEA" + BOOT[1:], BAD_INPUT, ["EA", "E9"]),
    (BOOT * 10, BAD_INPUT, ["4096"]), (None, NO_INPUT, ["No such file"])],
    ids=["empty", "image", "long", "missing"])
def test_boot_that_is_none(tool, firmware, data, status, words):
    firmware.copy("1MB.app1", tool.cwd / "app.elf")
    if data is not None:
        (tool.cwd / "boot.bin").write_bytes(data)
    result = tool("app.elf", "--boot", "boot.bin")
    assert_refused(result, status, "boot.bin", *words)
    assert not list(tool.cwd.glob("app-*"))


def test_no_boot_pair(tool, firmware):
    firmware.copy("no-boot", tool.cwd / "app.elf")
    tool.ok("app.elf", "--size", "8m")
    assert tool.files() == ["app-0x00000.bin", "app-0x10000.bin", "app.elf"]
    elf = firmware.elf("no-boot")
    ram = V1Image((tool.cwd / "app-0x00000.bin").read_bytes())
    assert ram.segments == [(s.address, padded(s.data, 4)) for s in elf.ram()]
    assert (tool.cwd / "app-0x10000.bin").read_bytes().startswith(elf.irom()[1])


@pytest.mark.parametrize("option", ["--OTA", "--ota"])
def test_ota_ends_after_the_first_download(serve, tool, firmware, option):
    for name in ("a", "b"):
        firmware.copy(f"1MB.app{1 if name == 'a' else 2}", tool.cwd / f"{name}.elf")
    server = serve("a.elf", "b.elf", command=(option, "0"))
    assert server.get("/user2.bin", method="HEAD").status == 200
    answer = server.get("/user2.bin")
    assert_image_of(answer.body, firmware.elf("1MB.app2"), 2)
    assert server.wait() == OK
    assert re.search(r"GET /user2\.bin", server.log())


def test_ota_options_after_the_files(serve, tool, firmware):
    firmware.copy("1MB.app1", tool.cwd / "a.elf")
    server = serve("--OTA", "0", "--mode", "dio", "--size", "8m", command=("a.elf",))
    assert_image_of(server.get("/user1.bin").body, firmware.elf("1MB.app1"), 1, 0x20, 2)
    assert server.wait() == OK


def test_ota_can_be_interrupted(serve, tool, firmware):
    server = serve(firmware.path("1MB.app1"), command=("--OTA", "0"))
    assert server.stop(signal.SIGINT) == OK


def test_ota_wants_a_port(tool, firmware):
    firmware.copy("1MB.app1", tool.cwd / "a.elf")
    assert_refused(tool("a.elf", "--OTA"), USAGE, "port")
    assert_refused(tool("--OTA", "port", "a.elf"), USAGE, "port")
    assert_refused(tool("--OTA", "0"), USAGE, "ELF")
    assert tool.files() == ["a.elf"]


@pytest.mark.parametrize("line", [["--program", "COM3", "a.elf"], ["a.elf", "--program", "COM3"],
                                  ["a.elf", "--erase"]], ids=" ".join)
def test_serial_port_is_refused(tool, firmware, line):
    firmware.copy("1MB.app1", tool.cwd / "a.elf")
    assert_refused(tool(*line), USAGE, "esptool")
    assert tool.files() == ["a.elf"]


def test_unknown_size_is_an_error(tool, firmware):
    """ESPImageTool silently takes 512 KB."""
    firmware.copy("1MB.app1", tool.cwd / "a.elf")
    assert_refused(tool("a.elf", "--size", "9m"), USAGE, "9m", "1MB")
    assert tool.files() == ["a.elf"]


def test_missing_elf(tool):
    assert_refused(tool("a.elf", "--size", "8m"), NO_INPUT, "a.elf", "No such file")


def test_size_contradicts(tool, firmware):
    firmware.copy("1MB.app2", tool.cwd / "a.elf")
    assert_refused(tool("a.elf", "--size", "4m"), BAD_INPUT, "0x40281010", "0x40241010")
    assert tool.files() == ["a.elf"]
