# SPDX-License-Identifier: MIT
"""Which slot boots, and what follows when it does not: the stand-in for the second stage as Espressif's
1.6 and 1.7, and a vendor's own when LX106_BOOTLOADER names it."""

import collections
import json
import os
import pathlib
import re
import struct

import pytest

import image
import qemu
from flash import SECTOR, USER1, USER1_FAILED, USER2, USER2_FAILED, Flash, head
from test_boot import options
from tool import Tool

GIVEN = os.environ.get("LX106_BOOTLOADER")
VENDOR = "vendor's"
LOADERS = ["1.6", "1.7", pytest.param(VENDOR, marks=pytest.mark.skipif(
    not GIVEN, reason="LX106_BOOTLOADER is not set to the file of a bootloader"))]

# A word of ours for what a bootloader prints.
EVENTS = [
    ("user1", r"jump to run user1"), ("user2", r"jump to run user2"),
    ("none", r"^error magic!"), ("again", r"boot failed \w+, reboot to try this bin again"),
    ("fallback", r"first boot failed, reboot to try backup bin"), ("dead", r"backup boot failed\."),
    ("flag error", r"error user bin flag"), ("runs", r"^firmware: end")]
MOST_RESETS = 12

# events; flash: its bytes afterwards.
Resets = collections.namedtuple("Resets", "events flash out")


@pytest.fixture(params=LOADERS)
def loader(request):
    """(version, bytes of the vendor's or None)."""
    if request.param != VENDOR:
        return request.param, None
    data = pathlib.Path(GIVEN).read_bytes()
    version = re.search(rb"2nd boot version : (1\.\d)", data).group(1).decode()
    if version not in ("1.6", "1.7"):
        pytest.skip(f"boot {version} behaves differently")
    return version, data


@pytest.fixture
def power_on(rom, tmp_path):
    """power_on(flash, loader): until something runs or nothing can."""

    def run(flash, loader, map_name="1MB"):
        version, vendor = loader
        if vendor:
            flash.bytes[:len(vendor)] = vendor
            flash.bytes[3] = image.MAPS[map_name][0] << 4 | vendor[3] & 0x0F
        path, saved = flash.write(tmp_path / "flash.bin"), tmp_path / "saved.bin"
        out, retries = "", 0
        for _ in range(MOST_RESETS):
            # The vendor's waits for the watchdog; so this is a reset, and memory that survives one.
            done = qemu.run(rom / "rom.elf", path, own_loader=bool(vendor), save=saved,
                            boot_version=None if vendor else version, retries=retries,
                            until="reboot to try" if vendor else None)
            out += done.out
            saved.replace(path)
            if done.why != "until":
                break
            again = done.out.rstrip().endswith("again")
            retries = 0 if not again else (retries or 0x5A5A5A00) + 1
        events = sorted((m.start(), name) for name, pattern in EVENTS
                        for m in re.finditer(pattern, out, re.MULTILINE))
        names = [name for _, name in events]
        if names[-1] in ("user1", "user2"):
            assert done.status not in (0, None), out
            names.append("crash")
        return Resets(names, path.read_bytes(), out)

    return run


def records(data):
    """Copy A, copy B, selector: what a bootloader uses of them."""
    end = len(data)
    return tuple(data[end - i * SECTOR:end - i * SECTOR + size].hex()
                 for i, size in ((3, 2), (2, 2), (1, 4)))


@pytest.fixture(scope="module")
def good(convert):
    """slot -> its image."""
    made = {slot: convert(f"1MB.app{slot}", *options("sdk", "1MB", slot)) for slot in (1, 2)}
    return made.get


@pytest.fixture
def simulate(tmp_path):
    """simulate(flash, version): the outcomes of five resets, and the flash that they leave."""

    def run(before, version):
        path = tmp_path / "simulated.bin"
        path.write_bytes(before)
        done = Tool(tmp_path)("simulate", "--resets", "5", "--boot-version", version, "--json", str(path))
        return [reset["outcome"] for reset in json.loads(done.out)["resets"]], path.read_bytes()

    return run


def inner(data):
    """Offset of the header of the RAM segments."""
    return 16 + struct.unpack_from("<I", data, 12)[0]


def with_bytes(data, at, new):
    return data[:at] + new + data[at + len(new):]


def with_irom_size(data, change):
    size = struct.unpack_from("<I", data, 12)[0]
    return with_bytes(data, 12, struct.pack("<I", size + change & 0xFFFFFFFF))


NO_IMAGE = {  # the last four without a word from the bootloader
    "blank": lambda d: b"",
    "zero first": lambda d: with_bytes(d, 0, b"\0"),
    "EA 03": lambda d: with_bytes(d, 1, b"\x03"),
    "no inner header": lambda d: with_bytes(d, inner(d), b"\0"),
    "irom shorter than it says": lambda d: with_irom_size(d, 16),
    "irom of 4 GB": lambda d: with_irom_size(d, -0x1000000),
    "ends in irom": lambda d: d[:0x8000],
}
SILENT = list(NO_IMAGE)[3:]
CRASHES = {
    "checksum": lambda d: with_bytes(d, len(d) - 5, bytes([d[-5] ^ 1])),
    "byte in RAM": lambda d: with_bytes(d, inner(d) + 100, bytes([d[inner(d) + 100] ^ 1])),
    "ends in RAM": lambda d: d[:inner(d) + 120],
    "last bytes missing": lambda d: d[:-5],
    "no segments": lambda d: with_bytes(d, inner(d) + 1, b"\0"),
    "200 segments": lambda d: with_bytes(d, inner(d) + 1, bytes([200])),
    "E9 04": lambda d: with_bytes(d, 0, b"\xe9"),
}
RUNS = {
    "irom": lambda d: with_bytes(d, 60000, bytes([d[60000] ^ 8])),
    "word at 8": lambda d: with_bytes(d, 8, b"\x01"),
    "app number": lambda d: with_bytes(d, 3, b"\x07"),
    "CRC": lambda d: with_bytes(d, len(d) - 1, bytes([d[-1] ^ 1])),
}


def tried(slot, version, silent=False):
    """A slot without an image, until something else is tried."""
    once = [f"user{slot}"] if silent else [f"user{slot}", "none"]
    return once + (["again", *once] * 3 if version == "1.7" else [])


@pytest.mark.parametrize("what", NO_IMAGE)
def test_slot_without_an_image_falls_back(power_on, loader, simulate, good, what):
    version = loader[0]
    flash = Flash("1MB").slot(1, NO_IMAGE[what](good(1))).slot(2, good(2)).choose(1, int(version[2]))
    done = power_on(flash, loader)
    retries = ["retry"] * 3 if version == "1.7" else []
    resets = retries + ["fallback-set"] + ["runs"] * (4 - len(retries))
    assert simulate(flash.bytes, version) == (resets, done.flash)
    assert done.events == tried(1, version, what in SILENT) + ["fallback", "user2", "runs"], done.out
    assert records(done.flash) == (f"fce{version[2]}", f"f8e{version[2]}", "01ffffff")


def test_user2_falls_back_too(power_on, loader, good):
    version = loader[0]
    flash = Flash("1MB").slot(1, good(1))
    flash.parameters(1, b"", head(USER2, int(version[2])))
    done = power_on(flash, loader)
    assert done.events == tried(2, version) + ["fallback", "user1", "runs"], done.out
    assert records(done.flash) == (f"f9e{version[2]}", f"fde{version[2]}", "00ffffff")


@pytest.mark.parametrize("what", CRASHES)
def test_wrong_checksum_crashes_for_ever(power_on, loader, simulate, good, what):
    """The segments have replaced the bootloader; the other slot is good, and of no use."""
    flash = Flash("1MB").slot(1, CRASHES[what](good(1))).slot(2, good(2))
    flash.choose(1, int(loader[0][2]))
    for _ in range(2):
        done = power_on(flash, loader)
        assert done.events[0] == "user1" and done.events[-1] == "crash", done.out
        assert done.flash == bytes(flash.bytes)
    assert simulate(flash.bytes, loader[0]) == (["crash"] * 5, done.flash)


@pytest.mark.parametrize("what", RUNS)
def test_not_checked_at_boot(power_on, loader, simulate, good, what):
    """The upgrade's CRC is what protects them."""
    flash = Flash("1MB").slot(1, RUNS[what](good(1))).choose(1, int(loader[0][2]))
    done = power_on(flash, loader)
    assert done.events == ["user1", "runs"]
    assert simulate(flash.bytes, loader[0]) == (["runs"] * 5, done.flash)


def test_segments_beside_the_bootloader_fall_back(power_on, loader, rom, good):
    """No firmware is like that: then the bootloader survives a wrong checksum."""
    elf = image.Elf((rom / "exercise.elf").read_bytes())
    data = bytearray(image.build(bytes(16), [(s.address, s.data) for s in elf.ram()]))
    data[-5] ^= 1
    flash = Flash("1MB").slot(1, bytes(data)).slot(2, good(2)).choose(1, int(loader[0][2]))
    done = power_on(flash, loader)
    assert "fallback" in done.events and done.events[-2:] == ["user2", "runs"], done.out


def test_both_slots_bad(power_on, loader, simulate):
    version = loader[0]
    flash = Flash("1MB").choose(1, int(version[2]))
    done = power_on(flash, loader)
    assert simulate(flash.bytes, version)[1] == done.flash
    assert done.events == tried(1, version) + ["fallback"] + tried(2, version) + ["dead"], done.out


@pytest.mark.parametrize("first, slot", [(USER1, 1), (USER2, 2), (USER1_FAILED, 2), (USER2_FAILED, 1),
                                         (0xF4, 1), (0x01, 1), (0x00, 2)])
def test_record_chooses(power_on, loader, good, first, slot):
    """A slot that failed once is not tried again, however good it is now."""
    flash = Flash("1MB").slot(1, good(1)).slot(2, good(2))
    flash.parameters(0, head(first, int(loader[0][2])), head(first ^ 1, int(loader[0][2])))
    done = power_on(flash, loader)
    assert done.events == [f"user{slot}", "runs"], done.out
    assert done.flash == bytes(flash.bytes), "nothing is written"


@pytest.mark.parametrize("selector, slot", [(0x00, 1), (0x01, 2), (0x02, 2), (0xFF, 2)])
def test_selector_chooses_the_copy(power_on, loader, good, selector, slot):
    own = int(loader[0][2])
    flash = Flash("1MB").slot(1, good(1)).slot(2, good(2))
    flash.parameters(selector, head(USER1, own), head(USER2, own))
    assert power_on(flash, loader).events == [f"user{slot}", "runs"]


@pytest.mark.parametrize("first", [0xFE, 0xF6, 0xFA])
def test_no_such_slot(power_on, loader, good, first):
    flash = Flash("1MB").slot(1, good(1)).slot(2, good(2))
    done = power_on(flash.parameters(0, head(first, int(loader[0][2]))), loader)
    assert done.events == ["flag error"] and done.flash == bytes(flash.bytes)


def test_blank_parameters_are_initialised(power_on, loader, good):
    done = power_on(Flash("1MB").slot(1, good(1)).slot(2, good(2)), loader)
    assert done.events == ["user1", "runs"]
    assert records(done.flash) == (f"fce{loader[0][2]}", "ffff", "00ffffff")


def test_record_of_another_bootloader_is_replaced(power_on, loader, good):
    """Whatever ran, user1 boots; the rest of the record is kept."""
    other = 13 - int(loader[0][2])
    flash = Flash("1MB").slot(1, good(1)).slot(2, good(2))
    flash.parameters(0, head(USER2, other) + b"network")
    done = power_on(flash, loader)
    assert done.events == ["user1", "runs"]
    assert records(done.flash) == (f"fde{other}", f"fce{loader[0][2]}", "01ffffff")
    at = len(done.flash) - 2 * SECTOR
    assert done.flash[at + 8:at + 16] == b"network\xff"


def test_old_layout_boots(power_on, loader, elf):
    """A plain v1 image, and its irom part where it is linked: AT firmware was released so."""
    old = elf("old-boot.app1")
    start, irom = old.irom()
    ram = [(s.address, s.data) for s in old.ram()]
    flash = Flash("1MB").slot(1, image.build_v1(ram, old.entry)).put(start - 0x40200000, irom)
    done = power_on(flash.choose(1, int(loader[0][2])), loader)
    assert done.events == ["user1", "runs"], done.out


IRAM, DRAM = 0x40100000, 0x3FFE8000
SEGMENTS = {
    "over the ROM": (0x40000000, bytes(64), "0x40000000"),
    "over the ROM's data": (0x3FFFC000, bytes(64), "0x3fffc000"),
    "into the window": (0x40200000, bytes(64), "0x40200000"),
    "past the end of IRAM": (IRAM + 0xBFF0, bytes(64), "0x4010bff0"),
    "past the end of DRAM": (DRAM, bytes(0x14004), "0x3ffe8000"),
    "nowhere": (0, bytes(4), "0x00000000"),
    "around the end": (0xFFFFFFFC, bytes(64), "0xfffffffc"),
}


@pytest.mark.parametrize("name", SEGMENTS)
def test_segment_outside_of_ram_crashes(boot, name):
    address, data, words = SEGMENTS[name]
    done = boot(Flash("1MB").slot(1, image.build(bytes(16), [(address, data)])))
    assert done.status == qemu.FAULT and f"stand-in: segment {words} with " in done.out, done


@pytest.mark.parametrize("size", [0x00F00000, 0x7FFFFFFC, 0xFFFFFFFC, 0xFFFFF000])
def test_hostile_segment_size_crashes(boot, good, size):
    data = with_bytes(good(1), inner(good(1)) + 12, struct.pack("<I", size))
    done = boot(Flash("1MB").slot(1, data))
    assert done.status == qemu.FAULT and "stand-in: segment " in done.out, done


def test_irom_checksum_of_rboot_crashes(boot, convert):
    data = convert("1MB.app1", "--profile", "rboot", "--irom-checksum")
    done = boot(Flash("1MB").slot(1, data))
    assert done.status == qemu.FAULT and "the checksum of the segments is " in done.out, done


# Older ones fall back from user2 only, or not at all.
@pytest.mark.parametrize("version, bad, events", [
    ("1.3", 2, ["user2", "none", "fallback", "user1", "runs"]),
    ("1.4", 2, ["user2", "none", "fallback", "user1", "runs"]),
    ("1.4", 1, ["user1", "none", "dead"]),
    ("1.2", 2, ["user2", "none", "dead"])])
def test_older_bootloaders(power_on, good, version, bad, events):
    record = bytes([bad - 1, 2]) + b"\xff" * 6 if version == "1.2" else \
        head(USER1 if bad == 1 else USER2, int(version[2]))
    flash = Flash("1MB").slot(3 - bad, good(3 - bad)).parameters(0, record)
    assert power_on(flash, (version, None)).events == events


@pytest.mark.parametrize("version, flash_map, words", [
    ("1.3", "2MB-c1", "SPI Flash Size & Map: 512KB ("), ("1.6", "8MB", "SPI Flash Size & Map: 512KB ("),
    ("1.6", "2MB-c1", "SPI Flash Size & Map: 2MB-c1 (")])
def test_map_that_a_bootloader_does_not_know(power_on, convert, version, flash_map, words):
    """It takes the flash for 512 KB, and writes its record into user1."""
    data = convert("2MB-c1", *options("sdk", "2MB-c1", 1))
    flash = Flash(flash_map).slot(1, data)
    done = power_on(flash, (version, None), flash_map)
    assert words in done.out and done.events == ["user1", "runs"]
    wrong = 0x7D000, 0x7F000
    if "512KB" in words:
        assert [done.flash[at] for at in wrong] == [0xFC, 0x00]
    else:
        assert [done.flash[at] for at in wrong] == [0xFF, 0xFF]
