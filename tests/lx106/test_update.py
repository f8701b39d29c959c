# SPDX-License-Identifier: MIT
"""The whole way: `serve`, an update of `simulate` over HTTP, and the processor that runs what is in
the flash then."""

import os
import pathlib
import subprocess

import pytest

import qemu
from device import Device
from flash import BUILD
from server import Server
from test_boot import assert_runs, firmware_lines
from tool import Tool

ROOT = pathlib.Path(__file__).resolve().parents[2]
FORMER = BUILD - 1
GIVEN = os.environ.get("LX106_BOOTLOADER")

# The layouts of the two slots: addresses apart in two maps; one address for both slots.
PAIRS = [("512KB", "512KB.app1", "512KB.app2"), ("1MB", "1MB.app1", "1MB.app2"),
         ("2MB", "1MB.app1", "1MB.app2"), ("2MB-c1", "2MB-c1", "2MB-c1"),
         ("4MB-c1", "2MB-c1.large", "2MB-c1.large")]


@pytest.fixture(scope="session")
def former(tmp_path_factory):
    """The build before: what the device runs at first."""
    folder = pathlib.Path(f"{os.environ['LX106_FIRMWARE']}-former"
                          if "LX106_FIRMWARE" in os.environ else tmp_path_factory.mktemp("former"))
    subprocess.run(["make", "-s", "-j2", "-C", str(ROOT / "examples/firmware"), f"OUT={folder}",
                    f"BUILD={FORMER}", "SIMCALL_EXIT=1", "all"], check=True, timeout=120)
    return lambda name: folder / f"{name}.elf"


@pytest.fixture
def update(tmp_path):
    """update(first, flash_map, elfs, profile, updates): flash.bin after so many updates, and the log of
    the device."""

    def run(first, flash_map, elfs, profile="sdk", updates=1, succeed=True):
        """`first`: an ELF, or None for the flash as it is."""
        flash = tmp_path / "flash.bin"
        load = ("--load", first) if first else ()
        server = Server("--flash-size", flash_map, "--profile", profile, *elfs, cwd=tmp_path)
        device = Device("--flash-size", flash_map, *load, "--auto", "--updates", str(updates),
                         "--server", f"http://127.0.0.1:{server.port}", flash,
                        cwd=tmp_path)
        try:
            assert device.process.wait(timeout=60) == (0 if succeed else 1), device.log()
        finally:
            if device.process.poll() is None:
                device.process.kill()
                device.process.wait()
            server.end()
        return flash, device.log()

    return run


def power_on(rom, flash, flash_map):
    """The flash as it is, without a bootloader in it."""
    return qemu.run(rom / "rom.elf", flash, flash_map)


@pytest.mark.parametrize("profile", ["sdk", "gen_appbin"])
@pytest.mark.parametrize("flash_map, app1, app2", PAIRS, ids=[f"{p[0]}" for p in PAIRS])
def test_processor_runs_what_was_fetched(rom, former, firmware, elf, update, flash_map, app1, app2,
                                         profile):
    elfs = [firmware(app1)] if app1 == app2 else [firmware(app1), firmware(app2)]
    flash, log = update(former(app1), flash_map, elfs, profile)
    assert f"build {FORMER} runs in slot user1" in log, log
    done = power_on(rom, flash, flash_map)
    assert_runs(done, elf(app2), app2)
    assert "jump to run user2 @ " in done.out


def test_and_back_with_five_segments(rom, former, firmware, elf, update):
    flash, _ = update(former("1MB.app1"), "1MB",
                      [firmware("five-segments.app1"), firmware("1MB.app2")], updates=2)
    done = power_on(rom, flash, "1MB")
    assert_runs(done, elf("five-segments.app1"), "five-segments.app1")
    assert "jump to run user1 @ 1000" in done.out


@pytest.mark.parametrize("profile", ["esptool", "espruino", "rboot"])
def test_what_the_upgrade_library_refuses_is_not_booted(rom, former, firmware, update, profile):
    """The bootloader would take them."""
    flash, log = update(former("1MB.app1"), "1MB", [firmware("1MB.app1"), firmware("1MB.app2")],
                        profile, succeed=False)
    assert "update failed: app-number" in log, log
    done = power_on(rom, flash, "1MB")
    assert f"firmware: build {FORMER}" in firmware_lines(done.out), done
    assert "jump to run user1 @ 1000" in done.out


@pytest.mark.skipif(not GIVEN, reason="LX106_BOOTLOADER is not set to the file of a bootloader")
def test_vendors_bootloader_boots_what_simulate_left(rom, former, firmware, elf, update, tmp_path):
    """user2 after an update, and user1 after the next."""
    flash = tmp_path / "flash.bin"
    made = Tool(tmp_path)("factory", "--flash-size", "1MB", "--boot", GIVEN, str(former("1MB.app1")),
                          "-o", str(flash))
    assert made.status == 0, made
    elfs = [firmware("1MB.app1"), firmware("1MB.app2")]
    for slot in (2, 1):
        _, log = update(None, "1MB", elfs)
        assert f"/user{slot}.bin" in log, log
        left = flash.read_bytes()
        done = qemu.run(rom / "rom.elf", flash, own_loader=True, save=tmp_path / "saved.bin")
        assert f"jump to run user{slot}" in done.out
        assert_runs(done, elf(f"1MB.app{slot}"), f"1MB.app{slot}")
        assert (tmp_path / "saved.bin").read_bytes() == left, "it takes the record as its own"
