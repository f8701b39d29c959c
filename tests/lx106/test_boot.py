# SPDX-License-Identifier: MIT
"""Images that the program makes, booted: the processor itself says what runs."""

import zlib

import pytest

import image
import qemu
from flash import BUILD, Flash

BACKUP = "first boot failed, reboot to try backup bin\n"

# (layout, flash map, slot): what the SDK's bootloader boots.
BOOTABLE = [
    ("512KB.app1", "512KB", 1), ("512KB.app2", "512KB", 2),
    ("1MB.app1", "1MB", 1), ("1MB.app2", "1MB", 2),
    ("1MB.app1", "2MB", 1), ("1MB.app2", "2MB", 2),
    ("1MB.app1", "4MB", 1), ("1MB.app2", "4MB", 2),
    ("2MB-c1", "2MB-c1", 1), ("2MB-c1", "2MB-c1", 2),
    ("2MB-c1", "4MB-c1", 1), ("2MB-c1", "4MB-c1", 2),
    ("2MB-c1.large", "2MB-c1", 1), ("2MB-c1.large", "2MB-c1", 2),
    ("five-segments.app1", "1MB", 1), ("three-irom.app1", "1MB", 1), ("iram-big.app1", "1MB", 1),
]

# espruino numbers the apps 0 and 1, rboot has no CRC: the bootloader looks at neither.
PROFILES = ["sdk", "gen_appbin", "esptool", "espruino", "rtos1", "rboot"]


def options(profile, flash_map, slot):
    line = ["--profile", profile, "--flash-size", flash_map]
    return line if profile == "rboot" else line + ["--app", str(slot)]


def jump(slot, flash_map="1MB"):
    return f"jump to run user{slot} @ {image.MAPS[flash_map][2][slot - 1]:x}\n"


def firmware_lines(out):
    return [line for line in out.splitlines() if line.startswith("firmware: ")]


def says_all(elf, layout):
    """What a firmware that was loaded without a fault prints."""
    start, irom = elf.irom()
    return [f"firmware: build {BUILD}", f"firmware: layout {layout}",
            f"firmware: entry 0x{elf.entry:x}",
            f"firmware: irom 0x{start:x} bytes {len(irom)} crc32 0x{zlib.crc32(irom):x}",
            "firmware: data 0x600dda7a bss 0x0", "firmware: end"]


def assert_runs(done, elf, layout):
    assert done.why is None and done.status == 0 and done.err == "", done
    lines = firmware_lines(done.out)
    (report,) = [line for line in lines if "report()" in line]
    assert [line for line in lines if line != report] == says_all(elf, layout), done.out
    start, irom = elf.irom()
    assert start <= int(report.split()[-1], 16) < start + len(irom)


@pytest.fixture(scope="module")
def app1(convert):
    return convert("1MB.app1", *options("sdk", "1MB", 1))


@pytest.fixture(scope="module")
def app2(convert):
    return convert("1MB.app2", *options("sdk", "1MB", 2))


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("layout, flash_map, slot", BOOTABLE)
def test_image_runs(boot, convert, elf, layout, flash_map, slot, profile):
    data = convert(layout, *options(profile, flash_map, slot))
    flash = Flash(flash_map).slot(slot, data).choose(slot)
    done = boot(flash)
    assert "2nd boot version : 1.6 (stand-in of espimagetool)\n" in done.out
    assert f"  SPI Flash Size & Map: {flash_map} (" in done.out
    assert done.out.count("jump to run user") == 1 and jump(slot, flash_map) in done.out
    assert_runs(done, elf(layout), layout)


def test_map_comes_from_the_driver_when_the_bootloader_is_blank(boot, app1, elf):
    flash = Flash("1MB", with_header=False).slot(1, app1)
    done = boot(flash)
    assert done.status == qemu.BAD_FLASH and "no header at flash address 0" in done.out
    assert_runs(boot(flash, map_name="1MB"), elf("1MB.app1"), "1MB.app1")


@pytest.mark.parametrize("map_name, words", [
    ("2MB", "flash map 2MB is for 2048 KB, the flash has 1024 KB"), ("256KB", "has no slots")])
def test_map_that_cannot_be(boot, app1, monkeypatch, map_name, words):
    monkeypatch.setitem(image.MAPS, "256KB", (1, 256, (), 0, ()))
    done = boot(Flash("1MB").slot(1, app1), map_name=map_name)
    assert done.status == qemu.BAD_FLASH and words in done.out


def test_irom_is_not_checked_before_it_runs(boot, app1, elf):
    """Only the firmware's own line shows it; the upgrade's CRC is what protects irom."""
    flash = Flash("1MB").slot(1, app1).flip(0x1000 + 16 + 60000, bit=3)
    done = boot(flash)
    assert done.status == 0 and BACKUP not in done.out
    start, irom = elf("1MB.app1").irom()
    damaged = bytes(flash.bytes[0x1010:0x1010 + len(irom)])
    assert zlib.crc32(damaged) != zlib.crc32(irom)
    assert f"firmware: irom 0x{start:x} bytes {len(irom)} crc32 0x{zlib.crc32(damaged):x}\n" \
        in done.out


def test_app2_in_place_of_user1_jumps_into_blank_flash(boot, app2):
    """Its irom part is looked for where user2 would be: that is blank, and ends in an exception."""
    done = boot(Flash("1MB").slot(1, app2))
    assert done.status == qemu.FAULT and done.why is None, done
    assert "stand-in: illegal instruction at 0x40281" in done.out
    assert firmware_lines(done.out) == []


def test_app2_in_place_of_user1_runs_the_code_of_the_other_slot(boot, app2, elf):
    """With an intact user2 it appears to work, and wears out the wrong slot at the next update."""
    done = boot(Flash("1MB").slot(1, app2).slot(2, app2).flip(0x1000 + 16 + 60000))
    assert jump(1) in done.out
    assert_runs(done, elf("1MB.app2"), "1MB.app2")


def test_app1_in_place_of_user2_runs_the_code_of_user1(boot, app1, elf):
    flash = Flash("1MB").slot(1, app1).slot(2, app1).choose(2)
    done = boot(flash.flip(0x81000 + 16 + 60000))
    assert jump(2) in done.out
    assert_runs(done, elf("1MB.app1"), "1MB.app1")


@pytest.mark.parametrize("slot", [1, 2])
def test_entry_point_that_is_a_literal_crashes_at_once(boot, convert, slot):
    """What a linker makes that does not find the symbol of ENTRY()."""
    data = convert(f"literal-entry.app{slot}", *options("sdk", "1MB", slot))
    done = boot(Flash("1MB").slot(slot, data).choose(slot))
    assert done.status == qemu.FAULT and jump(slot) in done.out, done
    assert "stand-in: illegal instruction at 0x40100000 " in done.out
    assert firmware_lines(done.out) == []


@pytest.mark.parametrize("slot", [1, 2])
def test_window_shows_the_megabyte_that_runs(boot, convert, elf, slot):
    """In a 1024+1024 map a damage in the other slot is not seen."""
    data = convert("2MB-c1", *options("sdk", "2MB-c1", slot))
    flash = Flash("2MB-c1").slot(1, data).slot(2, data).choose(slot)
    flash.flip(flash.slots[2 - slot] + 16 + 60000)
    assert_runs(boot(flash), elf("2MB-c1"), "2MB-c1")
