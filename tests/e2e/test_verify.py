# SPDX-License-Identifier: MIT
"""verify: who would accept and boot it, and mistakes by their names."""

import gzip
import struct
import zlib

import pytest

from image import build, build_v1, device_crc
from test_info import dump
from tool import BAD_INPUT, NO_INPUT, NOT_ALL, OK, Maybe, assert_refused, assert_shape

CONSUMERS = ["boot", "rboot", "ota2", "ota3", "rtos1", "esp-link", "libesphttpd", "espruino"]
SDK = CONSUMERS[:4]
USUAL = CONSUMERS[:5]  # whose word counts unless others are named
RAM = [(0x3FFE8000, b"data"), (0x3FFE8004, b"rodata"), (0x40100000, bytes(range(64)))]
REPORT = {"file": str, "part": Maybe(str), "mistake": str, "mistake_text": str,
          "flash_map": Maybe(str),
          "rules": [{"rule": str, "outcome": {"pass", "fail", "warn", "unknown"}, "demand": str,
                     "found": str}],
          "verdicts": [{"consumer": str, "accepts": bool, "crashes": bool,
                        "because": Maybe(str)}]}


def reports(tool, *args):
    result = tool("verify", "--json", *args)
    document = result.json()
    assert_shape(document, {"schema_version": 1, "command": "verify", "reports": [REPORT],
                            "errors": [{"file": str, "found": str, "wanted": str, "advice": str,
                                        "exit_status": int}]})
    for report in document["reports"]:
        assert [v["consumer"] for v in report["verdicts"]] == CONSUMERS
        for verdict in report["verdicts"]:
            assert verdict["accepts"] == (verdict["because"] is None)
            assert verdict["because"] in [None] + [r["rule"] for r in report["rules"]]
    return result.status, document["reports"]


def one(tool, data, *args):
    """(status, mistake, which of SDK accept, {rule: outcome}) of these bytes."""
    (tool.cwd / "x.bin").write_bytes(data)
    status, (report,) = reports(tool, *args, "x.bin")
    accepting = [v["consumer"] for v in report["verdicts"]
                 if v["accepts"] and v["consumer"] in SDK]
    rules = {r["rule"]: r["outcome"] for r in report["rules"]}
    (rtos1,) = [v["accepts"] for v in report["verdicts"] if v["consumer"] == "rtos1"]
    assert rtos1 == (rules["file.image"] == rules["ota.crc"] == "pass"
                     and rules["rtos1.length"] in ("pass", "warn")), "length and CRC alone"
    return status, report["mistake"], accepting, rules


def image_with_negative_crc(**kwargs):
    """One whose CRC-32 has its top bit set: there the two branches differ."""
    for i in range(64):
        data = build(bytes([i]) * 100, RAM, **kwargs)
        if zlib.crc32(data[:-4]) & 0x80000000:
            return data
    raise AssertionError("no such image")


def good(app=1):
    return build(b"code" * 100, RAM, app=app)


@pytest.mark.parametrize("name", ["1MB.app1", "1MB.app2", "512KB.app2", "five-segments.app1",
                                  "three-irom.app1", "iram-big.app1"])
def test_what_we_make_is_accepted_by_all(tool, firmware, name):
    tool("convert", "-o", "x.bin", str(firmware.path(name)))
    result = tool.ok("verify", "x.bin")
    for title in ("boot 1.2 and later: accepts", "rBoot: accepts", "OTA of SDK 2.x: accepts",
                  "OTA of SDK 3.x: accepts"):
        assert title in result.out
    assert len(result.out.splitlines()) == 1 + len(USUAL), "what passes is not worth a line"
    status, (report,) = reports(tool, "x.bin")
    assert status == OK and report["mistake"] == "none"
    assert {r["outcome"] for r in report["rules"] if not r["rule"].startswith("espruino.")} \
        == {"pass"}
    whole = tool.ok("verify", "--all", "x.bin").out.splitlines()
    assert len(whole) == 1 + len(CONSUMERS) + len(report["rules"])


def test_what_python_makes_is_accepted_too(tool):
    for app in (1, 2):
        assert one(tool, good(app))[:3] == (OK, "none", SDK)
    assert one(tool, image_with_negative_crc())[:3] == (OK, "none", SDK)


# name: (bytes, mistake, who accepts, rules that fail among others)
def mistakes():
    whole = good()
    changed_irom = bytearray(whole)
    changed_irom[20] ^= 1
    changed_ram = bytearray(whole)
    changed_ram[-30] ^= 1
    wrong_crc = whole[:-4] + struct.pack("<I", device_crc(whole[:-4]) ^ 0x1000)
    six = [(0x40100000 + 64 * i, bytes([i]) * 64) for i in range(6)]
    unsigned = image_with_negative_crc(crc=lambda b: zlib.crc32(b) + 1)
    loads = ["boot", "rboot"]
    return {
        "esptool": (build(b"code" * 100, RAM, b2=2, app=0x20, mode=2), "esptool", loads,
                    ["ota.app-number"]),
        "esptool2": (build(b"code" * 100, RAM, b2=2, app=0x20, mode=2, crc=False), "esptool2",
                     loads, ["ota.crc", "ota.app-number"]),
        "python3-crc": (unsigned, "gen_appbin-py3", loads, ["ota.crc"]),
        "v1": (build_v1(RAM), "v1", ["boot", "rboot"], ["ota.crc"]),
        "v1-truncated": (build_v1(RAM)[:40], "v1", [], ["load.segments"]),
        "truncated-in-irom": (whole[:200], "truncated", [], ["load.irom"]),
        "truncated-in-ram": (whole[:-60], "truncated", [], ["load.segments"]),
        "truncated-at-crc": (whole[:-4], "truncated", loads, ["ota.crc"]),
        "truncated-by-a-byte": (whole[:-1], "truncated", loads, ["ota.crc"]),
        "html": (b"<!DOCTYPE html>\n<HTML><head><title>404</title></head></HTML>", "html", [],
                 ["file.image"]),
        "html-after-spaces": (b"\n\n   <html><body>x</body></html>", "html", [], ["file.image"]),
        "http": (b"HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\n" + whole, "http", [],
                 ["file.image"]),
        "gzip": (gzip.compress(whole), "gzip", [], ["file.image"]),
        "trailing": (whole + b"\xFF" * 100, "trailing", loads, ["ota.crc"]),
        "trailing-zeros": (whole + bytes(4), "trailing", loads, ["ota.crc"]),
        "blank": (b"\xFF" * 4096, "blank", [], ["file.image"]),
        "empty": (b"", "empty", [], ["file.image"]),
        "text": (b"hello\n", "unknown", [], ["file.image"]),
        "second-byte": (build(b"code" * 100, six, second=6), "second-byte", [],
                        ["boot.header", "rboot.header", "ota.header"]),
        "changed-irom": (bytes(changed_irom), "none", loads, ["ota.crc"]),
        "changed-ram": (bytes(changed_ram), "none", [], ["boot.checksum", "ota.crc"]),
        "wrong-crc": (wrong_crc, "none", loads, ["ota.crc"]),
        "app-0": (build(b"code" * 100, RAM, app=0), None, loads, ["ota.app-number"]),
        "app-3": (build(b"code" * 100, RAM, app=3), None, loads, ["ota.app-number"]),
        "entry-elsewhere": (build(b"code" * 100, RAM, entry=0x40201010), "none",
                            ["ota2", "ota3"], ["load.entry"]),
        "address-elsewhere": (build(b"code" * 100, RAM + [(0x20000000, b"abcd")]), "none",
                              ["ota2", "ota3"], ["load.addresses"]),
        "too-long": (build(bytes(0x7A000), RAM), "none", loads, ["ota.length", "ota.partition"]),
    }


@pytest.mark.parametrize("name", mistakes())
def test_mistake(tool, name):
    data, mistake, accepting, broken = mistakes()[name]
    status, found, accepts, rules = one(tool, data)
    assert status == NOT_ALL
    if mistake is not None:
        assert found == mistake
    if accepting is not None:
        assert accepts == accepting
    for rule in broken:
        assert rules[rule] in ("fail", "unknown"), rule
    result = tool("verify", "x.bin")
    assert result.status == NOT_ALL and result.err == ""
    lines = result.out.splitlines()
    if rules["file.image"] != "pass":
        assert len(lines) == 1 and lines[0].startswith("x.bin: not an image: ")
        return
    assert "refuses" in result.out or "crashes at every reset" in result.out
    assert [": " in line for line in lines[1:1 + len(USUAL)]] == [True] * len(USUAL), "verdicts"
    assert all("  pass " not in line for line in lines)
    if found != "none":
        assert "known mistake: " in lines[1 + len(USUAL)]


def test_elf_called_image(tool, firmware):
    status, mistake, accepts, _ = one(tool, firmware.path("1MB.app1").read_bytes())
    assert (status, mistake, accepts) == (NOT_ALL, "elf", [])
    assert "convert it first" in tool("verify", "x.bin").out


def test_made_by_the_other_profiles(tool, firmware):
    wanted = {"sdk": ("none", SDK), "gen_appbin": ("none", SDK),
              "esptool": ("esptool", ["boot", "rboot"]), "rboot": ("esptool2", ["boot", "rboot"])}
    for profile, (mistake, accepting) in wanted.items():
        tool.ok("convert", "--profile", profile, "-fs", "1MB", "-fm", "dio", "-o", "p.bin",
                str(firmware.path("1MB.app1")))
        found = one(tool, (tool.cwd / "p.bin").read_bytes())
        assert found[1:3] == (mistake, accepting), profile


@pytest.mark.parametrize("consumer,status", [("boot", OK), ("rboot", OK), ("ota2", NOT_ALL),
                                             ("ota3", NOT_ALL)])
def test_whose_word_counts(tool, consumer, status):
    (tool.cwd / "x.bin").write_bytes(build(b"code" * 100, RAM, b2=2, app=0x20, mode=2))
    assert tool("verify", "--for", consumer, "x.bin").status == status
    assert tool("verify", "--for", consumer, "--for", "boot", "x.bin").status == status


def test_meant_for_a_slot(tool):
    data = good(1)
    assert one(tool, data, "--app", "1")[0] == OK
    status, _, accepts, rules = one(tool, data, "--app", "2")
    assert status == NOT_ALL and accepts == ["boot", "rboot"]
    assert rules["ota.app-number"] == "fail"
    assert "slot 2" in tool("verify", "--app", "2", "x.bin").out


def test_partition_size(tool):
    data = build(bytes(50000), RAM)
    assert one(tool, data, "--ota-size", "0x10000")[0] == OK
    status, _, accepts, rules = one(tool, data, "--ota-size", "0xC000")
    assert status == NOT_ALL and accepts == ["boot", "rboot", "ota2"]
    assert rules["ota.partition"] == "fail" and rules["ota.length"] == "pass"
    assert one(tool, data, "--ota-size", "0xD000")[0] == OK
    assert one(tool, data, "--ota-size", "0xCFFF")[0] == NOT_ALL  # whole sectors count


def test_flash_size_is_the_limit(tool):
    data = build(bytes(0x40000), RAM, size_freq=0x20)
    assert one(tool, data)[0] == OK
    status, _, accepts, _ = one(tool, data, "--flash-size", "512KB")
    assert status == NOT_ALL and accepts == ["boot", "rboot"]


def test_rboot_checksum_of_the_irom_part(tool, firmware):
    tool.ok("convert", "--profile", "rboot", "--irom-checksum", "-o", "x.bin",
            str(firmware.path("rboot")))
    assert tool("verify", "--for", "rboot", "--irom-checksum", "x.bin").status == OK
    assert tool("verify", "--for", "rboot", "x.bin").status == NOT_ALL


# ---- ELFs and dumps ----

def test_elf(tool, firmware):
    for name, parts in (("1MB.app1", ["user1"]), ("1MB.app2", ["user2"]),
                        ("2MB-c1.large", ["user1", "user2"])):
        status, found = reports(tool, str(firmware.path(name)))
        assert status == OK
        assert [r["part"] for r in found] == parts
        assert {r["mistake"] for r in found} == {"none"}
    result = tool.ok("verify", str(firmware.path("2MB-c1.large")))
    assert result.out.count("OTA of SDK 3.x: accepts") == 2
    assert tool.files() == [], "converted in memory"


def test_elf_of_another_layout(tool, firmware):
    result = tool("verify", str(firmware.path("no-boot")))
    assert_refused(result, BAD_INPUT, "no bootloader")
    result = tool("verify", str(firmware.path("1MB.app2")), "--flash-size", "512KB")
    assert_refused(result, BAD_INPUT, "0x40281010", "0x40241010")
    status, (report,) = reports(tool, "--profile", "rboot", "--for", "rboot",
                                str(firmware.path("rboot")))
    assert (status, report["part"]) == (OK, "ROM")
    status, (report,) = reports(tool, "--profile", "esptool", str(firmware.path("1MB.app1")))
    assert (status, report["mistake"]) == (NOT_ALL, "esptool")


def test_flash_dump(tool):
    path = dump(tool, good(1), good(2))
    status, found = reports(tool, str(path))
    assert status == OK
    assert [(r["part"], r["mistake"]) for r in found] == [("user1", "none"), ("user2", "none")]

    path = dump(tool, good(1))
    status, found = reports(tool, str(path))
    assert (status, [r["part"] for r in found]) == (OK, ["user1"])

    path = dump(tool, good(1), good(1))
    status, found = reports(tool, str(path))
    assert status == NOT_ALL, "user1's image in user2's slot"
    assert [[v["accepts"] for v in r["verdicts"][:4]] for r in found] == \
        [[True, True, True, True], [True, True, False, False]]


def test_flash_dump_of_a_c1_map(tool):
    path = dump(tool, build(b"code" * 50, RAM, app=1, size_freq=0x50),
                build(b"code" * 50, RAM, app=2, size_freq=0x50), size_kb=2048,
                header=b"\xE9\x04\x00\x50", second=0x101000)
    status, found = reports(tool, str(path))
    assert (status, [r["flash_map"] for r in found]) == (OK, ["2MB-c1", "2MB-c1"])


def test_flash_dump_without_an_image(tool):
    assert_refused(tool("verify", str(dump(tool))), BAD_INPUT, "without an image")


def test_several_files(tool):
    (tool.cwd / "good.bin").write_bytes(good())
    (tool.cwd / "bad.bin").write_bytes(good()[:-8])
    assert tool("verify", "good.bin", "good.bin").status == OK
    assert tool("verify", "good.bin", "bad.bin").status == NOT_ALL
    result = tool("verify", "good.bin", "missing.bin")
    assert result.status == NOT_ALL and len(result.errors) == 1
    assert_refused(tool("verify", "missing.bin"), NO_INPUT, "missing.bin")
    status, found = reports(tool, "good.bin", "bad.bin", "missing.bin")
    assert status == NOT_ALL and [r["file"] for r in found] == ["good.bin", "bad.bin"]


# ---- linked for the other slot ----

@pytest.mark.parametrize("name,app,flash_map", [
    ("1MB.app1", 2, "1MB"), ("1MB.app2", 1, "1MB"), ("512KB.app2", 2, "1MB"),
    ("1MB.app2", 2, "2MB-c1")])
def test_linked_for_another_slot(tool, firmware, name, app, flash_map):
    """The CRC is right, and every updater takes it; the device then crashes at every reset."""
    assert tool("convert", "--app", str(app), "-fs", flash_map, "-o", "x.bin",
                str(firmware.path(name))).status == OK
    for options in ([], ["--app", str(app)]):
        status, mistake, accepts, rules = one(tool, (tool.cwd / "x.bin").read_bytes(), *options)
        assert (status, mistake, accepts) == (NOT_ALL, "none", ["rboot", "ota2", "ota3"])
        assert rules["link.slot"] == "fail"
    out = tool("verify", "x.bin").out
    assert "boot 1.2 and later: crashes at every reset: link.slot: linked for 0x" in out
    assert tool("verify", "--for", "ota3", "x.bin").status == OK


def test_one_link_address_for_both_slots(tool, firmware):
    for app in ("1", "2"):
        tool.ok("convert", "--app", app, "-fs", "2MB-c1", "-o", "x.bin",
                str(firmware.path("2MB-c1")))
        assert one(tool, (tool.cwd / "x.bin").read_bytes(), "--app", app)[0] == OK


def test_other_image_in_the_slot_of_a_dump(tool, firmware):
    tool.ok("convert", "-o", "one.bin", str(firmware.path("1MB.app1")))
    image = (tool.cwd / "one.bin").read_bytes()
    result = tool("verify", str(dump(tool, image, image)))
    assert result.out.count("crashes at every reset: link.slot") == 1
    assert result.out.index(", as user2") < result.out.index("link.slot")


# ---- headers ----

def test_old_layout(tool, firmware):
    """v1, FF up to 64 KB, the flash part, CRC: Espressif released AT firmware so."""
    assert tool("convert", "--profile", "gen_appbin", "--app", "1", "-fs", "512KB", "-o", "x.bin",
                str(firmware.path("old-boot.app1"))).status == OK
    data = (tool.cwd / "x.bin").read_bytes()
    length = struct.unpack_from("<I", data, 12)[0]
    ram = bytearray(data[16 + length:-4])
    ram[3] = 1
    body = bytes(ram) + b"\xFF" * (0x10000 - len(ram)) + data[16:16 + length]
    old = body + struct.pack("<I", device_crc(body))
    status, _, accepts, rules = one(tool, old, "-fs", "512KB")
    assert (status, accepts) == (OK, SDK), rules
    assert rules["link.slot"] == "pass" and rules["format.end"] == "pass"
    assert "boot 1.4 and later" in tool("verify", "--all", "x.bin").out
    status, _, accepts, rules = one(tool, old, "-fs", "512KB", "--app", "2")
    assert "boot" not in accepts and rules["link.slot"] == "fail"


def test_headers_that_bootloaders_do_not_take(tool):
    data = bytearray(good())
    data[0] = 0xE9
    assert one(tool, bytes(data))[2] == []
    assert "crashes at every reset: boot.layout: E9 04" in tool("verify", "x.bin").out
    data = bytearray(good())
    data[16 + 400] = 0xE8
    _, _, accepts, rules = one(tool, bytes(data))
    assert "boot" not in accepts and rules["load.inner-header"] == "fail"
    assert "boot 1.2 and later: refuses: load.inner-header" in tool("verify", "x.bin").out


@pytest.mark.parametrize("app", [1, 2])
def test_espruino(tool, firmware, app):
    elf = str(firmware.path(f"1MB.app{app}"))
    line = ["verify", "--for", "espruino", "--app", str(app)]
    tool.ok("convert", "--profile", "espruino", "-o", "x.bin", elf)
    assert tool(*line, "x.bin").status == OK
    tool.ok("convert", "-o", "x.bin", elf)
    result = tool(*line, "x.bin")
    assert result.status == NOT_ALL and "espruino.app-number" in result.out
    assert tool("verify", "--for", "esp-link", "--for", "libesphttpd", "x.bin").status == OK
