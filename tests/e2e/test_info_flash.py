# SPDX-License-Identifier: MIT
"""info of a flash dump: what it is, what runs, what the next update asks for, and what of it others
may see."""

import pytest

import odd_files
from image import Image, build, build_v1
from odd_files import (KEY, OTHER, PASSWORD, RAM, SSID, boot_of_map, bootloader, both_parts,
                       changed, device, flash, good, record, rtos3_bootloader)
from tool import BAD_INPUT, OK, USAGE, assert_refused

BIG_V1 = build_v1([(0x40100000, bytes(range(256)) * 24), (0x3FFE8000, b"data")], size_freq=0x20)
CONFIG = b"\xE1\1\0\0\0\2\0\0" + (0x2000).to_bytes(4, "little") + (0x82000).to_bytes(4, "little")
OLD = both_parts(0x40211000)


def info(tool, data, *args):
    """(text, JSON of the file)"""
    (tool.cwd / "d.bin").write_bytes(data)
    text = tool.ok("info", *args, "d.bin").out
    return text, tool.ok("info", "--json", "d.bin").json()["files"][0]


LAYOUTS = {
    "sdk": (device(), "sdk", ["user1", "user2", "Espressif's bootloader 1.6"]),
    "no bootloader": (flash([(0, BIG_V1), (0x10000, odd_files.IROM)]), "no-boot",
                      ["no bootloader", "0x000000  v1 image"]),
    "no bootloader 0x40000": (flash([(0, BIG_V1), (0x40000, odd_files.IROM)]), "no-boot", []),
    "arduino": (flash([(0, boot_of_map(2, odd_files.arduino()))]), "arduino",
                ["Arduino's eboot", "eboot"]),
    "rboot": (flash([(0, boot_of_map(2, odd_files.rboot())), (0x1000, CONFIG),
                     (0x2000, good()), (0x82000, good())]), "rboot",
              ["rBoot", "0x002000  image for the new", "0x082000  image for the new"]),
    "rtos3": (flash([(0, boot_of_map(2, rtos3_bootloader())),
                     (0x8000, odd_files.partition_table()), (0x10000, odd_files.rtos3())]),
              "rtos3", ["RTOS SDK 3", "partition table", "0x010000  v1 image"]),
    "image at 0": (flash([(0, good())]), "at-zero", ["does not start it", "write it to 0x1000"]),
    "user1 at 0x10000": (flash([(0, boot_of_map(2)), (0x10000, good())]), "sdk",
                         ["0x010000  image for the new bootloader, in no slot of this map"]),
    "user2 of another map": (flash([(0, boot_of_map(3)), (0x1000, good()), (0x101000, good(2))],
                                   0x200000), "sdk", ["0x101000", "it is one of 2MB-c1"]),
    "old layout": (flash([(0, boot_of_map(2)), (0x1000, OLD)]), "sdk",
                   ["old layout", "runs       user1, by boot 1.6"]),
    "partial": (flash([(0, boot_of_map(2)), (0x1000, good())])[:0x3000], "sdk",
                ["1024 KB", "a partial read", "image for the new bootloader, 2484 bytes"]),
    "larger": (device() + b"\xFF" * 0x300000, "sdk",
               ["flash of 4096 KB", "1024 KB", "0x0FD000  system parameters  used",
                "runs       user2"]),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_layout(tool, name):
    data, layout, words = LAYOUTS[name]
    text, one = info(tool, data)
    assert one["content"] == "flash" and one["layout"] == layout
    for word in words:
        assert word in text, word
    slots = [p["name"] for p in one["parts"] if p["name"].startswith("user")]
    assert bool(slots) == (layout == "sdk")


def boot(tool, data):
    text, one = info(tool, data)
    return text, one["boot"]


BLANK = b"\xFF" * 0x1000
NO_PARAMETERS = flash([(0, boot_of_map(2)), (0x1000, good()), (0x81000, good(2))])
BAD_SUM = changed(good(2), len(good()) - 5, bytes([good(2)[-5] ^ 1]))  # the checksum
BOOTS = {
    # name: (dump, runs, outcome, selected, failed, next request, words)
    "blank": (NO_PARAMETERS, "user1", "runs", None, False, "/user2.bin", ["so user1"]),
    "user2": (device(b"\xFD\xE6"), "user2", "runs", "user2", False, "/user1.bin",
              ["runs       user2, by boot 1.6", "saves      2"]),
    "failed": (device(b"\xF8\xE6"), "user2", "runs", "user1", True, "/user1.bin",
               ["user1 was selected and failed; it will not be tried again until an update",
                "update the device, or erase the three sectors from 0x0FD000"]),
    "failed user2": (device(b"\xF9\xE6"), "user1", "runs", "user2", True, "/user2.bin", []),
    "falls back": (device(b"\xFD\xE6", user2=bytes(16)), "user1", "falls-back", "user2", False,
                   "/user2.bin", ["runs       user1, once boot 1.6 has found no image"]),
    "crash": (device(b"\xFD\xE6", user2=BAD_SUM), None, "crash", "user2", False, "/user1.bin",
              ["starts crashes at every reset (checksum ", "crashes at every reset", "by cable"]),
    "dead": (device(b"\xFD\xE6", user1=bytes(8), user2=bytes(8)), None, "dead", "user2", False,
             "/user1.bin", ["no image to start"]),
    "flag error": (device(b"\xFE\xE6"), None, "flag-error", None, False, "/user2.bin",
                   ["error user bin flag", "erase the three sectors from 0x0FD000"]),
    "boot 1.3 stays": (device(b"\xF8\xE3", boot=bootloader("1.3")), "user1", "runs", "user1", True,
                       "/user1.bin", ["which is the slot that runs: it would crash"]),
    "boot 1.2": (device(b"\x01\x02", boot=bootloader("1.2")), "user2", "runs", "user2", False,
                 "/user1.bin", ["runs       user2, by boot 1.2"]),
    "map refused": (flash([(0, boot_of_map(7, bootloader("1.7")))]), None, "map-refused", None,
                    False, None, ["flash map not support"]),
    "test mode": (device(b"\xFD\x26"), None, "address", "user2", False, "/user1.bin",
                  ["test or enhance mode"]),
}


@pytest.mark.parametrize("name", BOOTS)
def test_what_runs(tool, name):
    data, runs, outcome, selected, failed, request, words = BOOTS[name]
    text, one = boot(tool, data)
    assert (one["runs"], one["outcome"], one["selected"], one["failed"], one["next_request"]) == \
        (runs, outcome, selected, failed, request)
    for word in words:
        assert word in text, word


def test_unknown_bootloader(tool):
    text, one = boot(tool, device(boot=odd_files.boot_v1(b"mine")))
    assert one["version"] is None and one["runs"] == "user2"
    assert "a bootloader like boot 1.6" in text and "an unknown bootloader" in text


def test_flash_without_a_bootloader(tool, firmware):
    tool("simulate", "--resets", "1", "--load", str(firmware.path("1MB.app1")), "s.bin")
    text, one = info(tool, (tool.cwd / "s.bin").read_bytes())
    assert one["layout"] == "sdk" and one["flash_map"] == "1MB" and one["boot"]["runs"] == "user1"
    assert "the file has none" in text and "0x000000  bootloader         blank" in text
    assert tool("simulate", "--resets", "1", "s.bin").status == OK


@pytest.mark.parametrize("name", ["arduino", "rboot", "rtos3", "no bootloader", "image at 0"])
def test_other_layouts_are_named_by_verify_and_simulate(tool, name):
    data, _, words = LAYOUTS[name]
    (tool.cwd / "d.bin").write_bytes(data)
    assert_refused(tool("verify", "d.bin"), BAD_INPUT, "without an image in a slot: ", words[0])
    assert_refused(tool("simulate", "--resets", "1", "d.bin"), BAD_INPUT,
                   "a flash of another layout: ", words[0])


def test_map_that_the_bootloader_does_not_know(tool):
    data = flash([(0, boot_of_map(5, bootloader("1.2"))), (0x1000, good())], 0x200000)
    text, one = boot(tool, data)
    assert one["runs"] == "user1"
    assert "takes the flash for 512 KB" in text and "0x07D000" in text
    data = flash([(0, boot_of_map(9, bootloader("1.7"))), (0x1000, good())], 0x1000000)
    assert "start user1 always" in boot(tool, data)[0]


def test_parts_that_are_not_in_the_file(tool):
    _, one = boot(tool, LAYOUTS["partial"][0])
    assert one is None


def test_linked_for_the_other_slot(tool):
    words = b"".join((0x40281010 + 4 * i).to_bytes(4, "little") for i in range(400))
    text, one = info(tool, device(user1=build(words + bytes(20000), RAM, app=1)))
    assert "linked at 0x40281010, user1 needs 0x40201010" in text
    user1, user2 = [p for p in one["parts"] if p["name"].startswith("user")]
    assert "0x40281010" in user1["link_trouble"] and user2["link_trouble"] is None
    assert one["boot"]["runs"] == "user2"
    text, one = boot(tool, device(b"\xFC\xE6", user1=build(words + bytes(20000), RAM, app=1)))
    assert one["runs"] is None and one["outcome"] == "crash"
    assert "crashes at every reset (linked at 0x40281010, user1 needs 0x40201010)" in text


SECRETS = [SSID, PASSWORD, KEY, *OTHER]


def test_secrets_are_not_shown(tool):
    text, one = info(tool, device())
    for secret in SECRETS:
        assert secret.decode("latin-1") not in text + str(one) and KEY.hex() not in text
    assert one["boot"]["networks"] == 2 and "secrets" not in one["boot"]
    assert "2 stored; --secrets shows them" in text
    text = tool.ok("info", "--secrets", "d.bin").out
    shown = tool.ok("info", "--secrets", "--json", "d.bin").json()["files"][0]["boot"]["secrets"]
    for secret in [SSID, PASSWORD, *OTHER]:
        assert secret.decode() in text
        assert secret.decode() in [s["value"] for s in shown]
    assert KEY.hex() in text and {"kind": "key", "value": KEY.hex()} in shown


def redacted(tool, data, *args):
    (tool.cwd / "d.bin").write_bytes(data)
    result = tool.ok("info", "--redact", "r.bin", *args, "d.bin")
    assert (tool.cwd / "d.bin").read_bytes() == data
    return result, (tool.cwd / "r.bin").read_bytes()


def test_redact(tool):
    data = device(b"\xF8\xE6")
    result, out = redacted(tool, data)
    assert len(out) == len(data)
    for secret in SECRETS:
        assert secret not in out
    assert out[:0xFD000] == data[:0xFD000], "nothing else changes"
    assert out[0xFE000:0xFE008] == data[0xFE000:0xFE008]
    for word in ("0x0FD008", "0x0FE008", "networks, passwords, keys", "2 places", "r.bin"):
        assert word in result.out, word
    for secret in SECRETS:
        assert secret.decode("latin-1") not in result.out
    before = info(tool, data)[1]["boot"]
    after = info(tool, out)[1]["boot"]
    assert after == dict(before, networks=0)
    assert out[0xFF014] == odd_files.xor(out[0xFD000:0xFD020])
    assert out[0xFF018] == odd_files.xor(out[0xFE000:0xFE020])
    assert redacted(tool, out)[1] == out, "nothing is left to blank"


def test_redact_further_copies(tool):
    """In the firmware, in an unused place, and where an earlier map had its parameters."""
    image = build(odd_files.IROM + PASSWORD + bytes(3), [*RAM, (0x40101000, SSID + b"\0")])
    data = bytearray(device(user1=image))
    data[0x7F800:0x7F800 + len(OTHER[1])] = OTHER[1]
    data[0x40000 - 0x2000:0x40000 - 0x1000] = record(b"\xFC\xE6", b"Cafe", b"espresso!")
    result, out = redacted(tool, bytes(data))
    for secret in [*SECRETS, b"Cafe", b"espresso!"]:
        assert secret not in out, secret
    for word in ("0x001810      13  a password", "a name of a network", "0x07F800", "0x03E008"):
        assert word in result.out, word
    Image(out[0x1000:0x1000 + len(image)])
    parsed = Image(out[0x1000:0x1000 + len(image)])
    assert parsed.checksum == parsed.ram_checksum()
    tool.ok("verify", "r.bin")


def test_redact_a_wrong_checksum_stays_wrong(tool):
    data = bytearray(device(user2=BAD_SUM))
    data[0xFF018] ^= 0x5A
    _, out = redacted(tool, bytes(data))
    assert out[0xFF018] == data[0xFF018]
    assert out[0x81000:0x82000] == data[0x81000:0x82000]


def test_redact_json(tool):
    result, _ = redacted(tool, device(), "--json")
    (one,) = result.json()["files"]
    assert [r["address"] for r in one["redacted"]] == ["0x0FD008", "0x0FE008"]


def test_redact_refusals(tool):
    (tool.cwd / "d.bin").write_bytes(device())
    (tool.cwd / "i.bin").write_bytes(good())
    assert_refused(tool("info", "--redact", "d.bin", "d.bin"), USAGE, "d.bin is the input")
    assert (tool.cwd / "d.bin").read_bytes() == device()
    assert_refused(tool("info", "--redact", "r.bin", "i.bin"), BAD_INPUT, "not a flash dump")
    assert tool("info", "--redact", "r.bin", "d.bin", "i.bin").status == USAGE
    assert tool.files() == ["d.bin", "i.bin"]


def test_blank_device_has_nothing_to_redact(tool):
    result, out = redacted(tool, NO_PARAMETERS)
    assert out == NO_PARAMETERS and "0 places" in result.out
    assert result.status == OK
