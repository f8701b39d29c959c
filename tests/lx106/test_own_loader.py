# SPDX-License-Identifier: MIT
"""What is at flash address 0, run as the ROM runs it: a bootloader, or a firmware for none."""

import os
import pathlib

import pytest

import qemu
from flash import Flash
from test_boot import assert_runs, options
from tool import Tool


SMALL_MAPS = pytest.mark.parametrize("flash_map, layout",
                                     [("1MB", "1MB.app1"), ("512KB", "512KB.app1")])


@pytest.fixture
def boots_user1(boot, convert, elf):
    """Blank parameters, this bootloader, a good user1: that is what runs."""

    def check(loader, flash_map, layout):
        flash = Flash(flash_map)
        loader = bytearray(loader)
        assert len(loader) <= flash.slots[0]
        loader[3] = flash.bytes[3] | loader[3] & 0x0F  # its flash map, as a flasher sets it
        data = convert(layout, *options("sdk", flash_map, 1))
        done = boot(flash.put(0, loader).slot(1, data), own_loader=True)
        assert "2nd boot version : stand-in" not in done.out
        assert_runs(done, elf(layout), layout)
        return done

    return check


@SMALL_MAPS
def test_smallest_loader_boots_user1(boots_user1, program, flash_map, layout):
    done = boots_user1(program("loader"), flash_map, layout)
    assert "smallest loader: jump to run user1\n" in done.out


@SMALL_MAPS
def test_bootloader_of_the_user_boots_user1(boots_user1, flash_map, layout):
    """LX106_BOOTLOADER=FILE: a vendor's bootloader."""
    given = os.environ.get("LX106_BOOTLOADER")
    if not given:
        pytest.skip("LX106_BOOTLOADER is not set to the file of a bootloader")
    boots_user1(pathlib.Path(given).read_bytes(), flash_map, layout)


@pytest.mark.parametrize("layout, address", [("no-boot", 0x10000), ("no-boot.40000", 0x40000)])
def test_firmware_for_no_bootloader_runs(boot, firmware, elf, tmp_path, layout, address):
    """The two files of convert --no-boot."""
    Tool(tmp_path).ok("convert", "--no-boot", "--out-dir", ".", str(firmware(layout)))
    flash = Flash("1MB")
    for at in (0, address):
        flash.put(at, (tmp_path / f"{layout}-0x{at:05X}.bin").read_bytes())
    assert_runs(boot(flash, own_loader=True), elf(layout), layout)


def test_damaged_loader_is_refused(boot, program):
    done = boot(Flash("1MB").put(0, program("loader")).flip(0x20), own_loader=True)
    assert done.status == qemu.BOOT_FAILED and "smallest loader" not in done.out
    assert "checksum of the segments" in done.out


def test_blank_flash_has_no_loader(boot):
    done = boot(Flash("1MB", with_header=False), own_loader=True)
    assert done.status == qemu.BOOT_FAILED and "no header (E9) at flash address 0x0" in done.out
