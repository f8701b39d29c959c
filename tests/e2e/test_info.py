# SPDX-License-Identifier: MIT
"""info: what an ELF, an image or a flash dump holds."""

import re

import pytest

import image
from image import Image, build, build_v1
from tool import BAD_INPUT, NOT_ALL, Hex, Maybe, assert_refused, assert_shape

LAYOUTS = {"no-boot": "no-boot", "no-boot.40000": "no-boot", "old-boot.app1": "old-boot",
           "old-boot.app2": "old-boot", "rboot": "rboot", "rboot.app2": "rboot",
           "outside-window": "outside-window"}

SEGMENT = {"address": Hex(8), "memory": str, "size": int, "offset": int}
IMAGE = {"content": "image", "format": str, "mistake": str, "mistake_text": str, "size": int, "segments": [SEGMENT],
         "second_byte": int, "app_number": int, "irom_size": int, "entry": Hex(8),
         "flash_mode": Maybe(str), "flash_freq": Maybe(str), "flash_map": Maybe(str),
         "checksum_right": bool, "bytes_after_checksum": int}
ELF = {"content": "elf", "file": str, "entry": Hex(8), "entry_doubt": Maybe(str), "layout": str, "reason": str, "advice": str,
       "app1_of": [str], "app2_of": [str],
       "sections": [{"name": str, "memory": str, "address": Hex(8), "size": int,
                     "in_image": bool}],
       "memory": [{"name": str, "used": int, "size": int}]}
BOOT = {"version": Maybe(str), "outcome": str, "runs": Maybe(str), "selected": Maybe(str),
        "failed": bool, "saves": Maybe(int), "next_request": str, "networks": int}
FLASH = {"content": "flash", "file": str, "size": int, "flash_map": Maybe(str), "layout": str,
         "size_agrees": bool, "images": [{"address": Hex(6), "format": str}], "boot": Maybe(BOOT),
         "parts": [{"name": str, "address": Hex(6), "size": int, "blank": bool,
                    "content_size": int, "image": Maybe(IMAGE), "mistake": str, "mistake_text": str,
                    "link_trouble": Maybe(str)}]}

SLOT_ONLY = ["image", "mistake", "mistake_text", "link_trouble"]


def one_json(tool, path, shape, optional=()):
    document = tool.ok("info", "--json", str(path)).json()
    assert_shape(document, {"schema_version": 1, "command": "info", "files": [shape],
                            "errors": []}, optional=optional)
    (one,) = document["files"]
    return one


@pytest.fixture
def user1(tool, firmware):
    path = tool.cwd / "user1.bin"
    tool.ok("convert", "-fs", "1MB", "-fm", "dio", "-ff", "80m", "-o", str(path),
            str(firmware.path("1MB.app1")))
    return path


def dump(tool, user1_bytes=b"", user2_bytes=b"", size_kb=1024, header=b"\xE9\x04\x02\x20",
         second=0x81000):
    """A flash as read back from a device."""
    flash = bytearray(b"\xFF" * (size_kb * 1024))
    flash[0:4] = header
    flash[4:1024] = bytes(1020)
    flash[0x1000:0x1000 + len(user1_bytes)] = user1_bytes
    flash[second:second + len(user2_bytes)] = user2_bytes
    flash[-0x4000:-0x3F80] = bytes(range(128))
    path = tool.cwd / "dump.bin"
    path.write_bytes(flash)
    return path


def test_every_elf(tool, firmware):
    for name in firmware.names():
        path = firmware.path(name)
        elf = firmware.elf(name)
        text = tool.ok("info", str(path)).out
        assert f"entry      0x{elf.entry:08X}" in text
        one = one_json(tool, path, ELF)
        assert one["file"] == str(path)
        assert int(one["entry"], 16) == elf.entry
        assert one["layout"] == LAYOUTS.get(name, "ota")
        content = [s for s in one["sections"] if s["in_image"]]
        assert [(s["name"], int(s["address"], 16), s["size"]) for s in content] == \
            [(s.name, s.address, s.size) for s in elf.loaded()]
        for s in elf.loaded():
            assert re.search(rf"0x{s.address:08X} +{s.size}  {re.escape(s.name)}$", text, re.M)
        (bss,) = [s for s in one["sections"] if not s["in_image"]]
        assert bss["name"] == ".bss" and "(no content)" in text
        used = {m["name"]: m for m in one["memory"]}
        ram = sum(s.size for s in elf.ram() if s.address < 0x40000000)
        assert used["DRAM"] == {"name": "DRAM", "used": ram + bss["size"], "size": 81920}
        assert used["IRAM"]["used"] == sum(s.size for s in elf.ram() if s.address >= 0x40100000)
        assert used["irom"]["used"] == sum(s.size for s in elf.irom_sections())
        for memory in ("DRAM", "IRAM", "irom"):
            assert re.search(rf"{memory} +\[[#.]{{32}}\] {used[memory]['used']} of ", text)


@pytest.mark.parametrize("name,app1,app2", [
    ("1MB.app1", ["512KB", "1MB", "2MB", "4MB", "2MB-c1", "4MB-c1", "8MB", "16MB"],
     ["2MB-c1", "4MB-c1", "8MB", "16MB"]),
    ("1MB.app2", [], ["1MB", "2MB", "4MB"]), ("512KB.app2", [], ["512KB"]), ("rboot", [], [])])
def test_maps_of_an_elf(tool, firmware, name, app1, app2):
    one = one_json(tool, firmware.path(name), ELF)
    assert (one["app1_of"], one["app2_of"]) == (app1, app2)
    for flash_map, (_, _, _, _, link) in image.MAPS.items():
        address = firmware.elf(name).irom()[0]
        assert (flash_map in app1) == (address == link[0])
        assert (flash_map in app2) == (address == link[1])


def test_image(tool, firmware, user1):
    parsed = Image(user1.read_bytes())
    one = one_json(tool, user1, dict(IMAGE, file=str))
    assert one["format"] == "v2" and one["size"] == len(parsed.data)
    assert (one["second_byte"], one["app_number"], one["irom_size"]) == (4, 1, parsed.irom_size)
    assert (one["flash_mode"], one["flash_freq"], one["flash_map"]) == ("dio", "80m", "1MB")
    assert one["checksum_right"] is True and one["bytes_after_checksum"] == 4
    assert [(int(s["address"], 16), s["size"]) for s in one["segments"]] == \
        [(s.address, len(s.data)) for s in parsed.segments]
    for s, json_segment in zip(parsed.segments, one["segments"]):
        at = json_segment["offset"]
        assert parsed.data[at:at + len(s.data)] == s.data
    text = tool.ok("info", str(user1)).out
    for words in ("new bootloader", "EA 04 00 01", "app number 1", "3 segments", "dual I/O",
                  "80 MHz", "1MB map", f"entry 0x{parsed.entry:08X}",
                  f"CRC        {parsed.crc:08X}: right", "right"):
        assert words in text, words


def test_damaged_image(tool, user1):
    data = bytearray(user1.read_bytes())
    data[len(data) - 200] ^= 1
    user1.write_bytes(data)
    one = one_json(tool, user1, dict(IMAGE, file=str))
    assert one["checksum_right"] is False
    text = tool.ok("info", str(user1)).out
    assert re.search(r"checksum .*: wrong", text) and re.search(r"CRC .*: wrong", text)


def test_foreign_images(tool):
    ram = [(0x3FFE8000, b"data"), (0x40100000, bytes(range(64)))]
    path = tool.cwd / "x.bin"
    path.write_bytes(build_v1(ram, mode=2, size_freq=0x41))
    one = one_json(tool, path, dict(IMAGE, file=str),
                   optional=["second_byte", "app_number", "irom_size"])
    assert one["format"] == "v1" and one["flash_map"] == "4MB" and len(one["segments"]) == 2
    assert "no bootloader" in tool.ok("info", str(path)).out
    path.write_bytes(build(b"code" * 100, ram, b2=2, app=0x20, crc=False))
    one = one_json(tool, path, dict(IMAGE, file=str))
    assert one["app_number"] == 0x20 and one["bytes_after_checksum"] == 0
    assert "CRC        not the last" in tool.ok("info", str(path)).out
    path.write_bytes(build(b"code" * 100, ram, mode=9, size_freq=0x77))
    one = one_json(tool, path, dict(IMAGE, file=str))
    assert (one["flash_mode"], one["flash_freq"], one["flash_map"]) == (None, None, None)
    assert "unknown" in tool.ok("info", str(path)).out


def test_flash_dump(tool, user1):
    data = user1.read_bytes()
    path = dump(tool, data)
    one = one_json(tool, path, FLASH, optional=SLOT_ONLY)
    assert (one["size"], one["flash_map"], one["size_agrees"]) == (1 << 20, "1MB", True)
    parts = {p["name"]: p for p in one["parts"]}
    assert {n: (p["address"], p["blank"]) for n, p in parts.items()} == {
        "bootloader": ("0x000000", False), "user1": ("0x001000", False),
        "user2": ("0x081000", True), "RF calibration": ("0x0FB000", True),
        "init data": ("0x0FC000", False), "system parameters": ("0x0FD000", True)}
    assert parts["user1"]["image"]["size"] == len(data), "not the blank flash behind it"
    assert parts["user1"]["image"]["app_number"] == 1
    assert "image" not in parts["user2"]
    text = tool.ok("info", str(path)).out
    assert "flash of 1024 KB, map 1MB" in text
    assert re.search(r"0x001000 +user1 +used", text)
    assert re.search(r"0x081000 +user2 +blank", text)


def test_flash_dump_of_another_size(tool, user1):
    path = dump(tool, user1.read_bytes(), size_kb=4096)
    one = one_json(tool, path, FLASH, optional=SLOT_ONLY)
    assert (one["size"], one["flash_map"], one["size_agrees"]) == (4 << 20, "1MB", False)
    assert "another size" in tool.ok("info", str(path)).out


def test_flash_dump_with_rubbish_in_a_slot(tool, user1):
    path = dump(tool, user1.read_bytes(), b"rubbish" * 100)
    one = one_json(tool, path, FLASH, optional=SLOT_ONLY)
    (user2,) = [p for p in one["parts"] if p["name"] == "user2"]
    assert user2["blank"] is False and user2["image"] is None
    assert "no whole image" in tool.ok("info", str(path)).out


@pytest.mark.parametrize("data,words", [
    (b"hello\n", ["neither"]), (b"<html><body>404</body></html>", ["web page"]),
    (b"", ["empty"]), (b"\xFF" * 5000, ["erased"]), (b"\x1F\x8B\x08" + bytes(100), ["gzip"]),
    (b"HTTP/1.1 200 OK\r\n\r\n", ["HTTP"])], ids=lambda v: str(v)[:12])
def test_unknown_content(tool, data, words):
    (tool.cwd / "x.bin").write_bytes(data)
    result = tool("info", "x.bin")
    assert_refused(result, BAD_INPUT, "x.bin: ", "wanted an ELF, an image or a flash dump", *words)


def test_several_files(tool, firmware, user1):
    (tool.cwd / "text").write_text("x")
    paths = [str(user1), str(firmware.path("rboot")), "text", "missing"]
    result = tool("info", *paths)
    assert result.status == NOT_ALL and len(result.errors) == 2
    document = tool("info", "--json", *paths).json()
    assert [f["file"] for f in document["files"]] == paths[:2]
    assert [(e["file"], e["exit_status"]) for e in document["errors"]] == \
        [("text", 65), ("missing", 66)]


def test_recognised_by_content_not_by_name(tool, firmware, user1):
    firmware.copy("1MB.app1", tool.cwd / "really-an-elf.bin")
    assert "ELF for the ESP8266" in tool.ok("info", "really-an-elf.bin").out
    user1.rename(tool.cwd / "really-an-image.elf")
    assert "image for the new" in tool.ok("info", "really-an-image.elf").out


@pytest.mark.parametrize("name,doubt", [("1MB.app2", None), ("literal-entry.app2", "0x40100000")])
def test_entry_that_is_not_code(tool, firmware, name, doubt):
    path = str(firmware.path(name))
    (one,) = tool.ok("info", "--json", path).json()["files"]
    assert (one["entry_doubt"] is None) == (doubt is None)
    out = tool.ok("info", path).out
    assert ("crashes there at once" in out) == (doubt is not None)
    assert doubt is None or (doubt in one["entry_doubt"] and one["entry_doubt"] in out)
