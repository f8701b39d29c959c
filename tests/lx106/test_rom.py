# SPDX-License-Identifier: MIT
"""The stand-in itself: the ROM's functions, faults, and qemu.py as a command."""

import struct
import time

import pytest

import qemu
from flash import Flash

CASE_ADDRESS = 0x8000
CODE = "0x40106"  # the test's program is linked there


@pytest.fixture
def case(program):
    """case(number): a flash with programs/exercise.c, which will do that."""

    def make(number):
        flash = Flash("1MB").put(0, program("exercise"))
        return flash.put(CASE_ADDRESS, struct.pack("<I", number))

    return make


@pytest.fixture
def exercise(boot, case):
    """Runs a case as the ROM runs a bootloader."""
    return lambda number, **kwargs: boot(case(number), own_loader=True, **kwargs)


def lines(done):
    """What the program printed."""
    return done.out[done.out.index("stand-in: checksum "):].splitlines()[1:]


def test_printf(exercise):
    done = exercise(0)
    assert done.status == qemu.RETURNED
    assert lines(done) == [
        "[42] [   42] [42   ] [00042]",
        "[-42] [   -42] [-00042] [0]",
        "[beef] [0000beef] [BEEF] [beef]",
        "[text] [  text] [text  ] [c] [0x40100004] [%] [4294967295]",
        "stand-in: the program returned"]


def test_memory_functions(exercise):
    assert lines(exercise(1))[0] == "0101234789 0123434789 ---34347ab 10 -1 0"


def test_division(exercise):
    assert lines(exercise(2))[0] == f"-{1000000007 // 97} {4000000009 // 97} {4000000009 % 97}"


def test_flash_functions(exercise):
    """Writing clears bits and sets none, the window follows, nothing is outside of the flash."""
    assert lines(exercise(3))[:2] == [
        "erase 0 write 0 write 0 read 0 0x12340000, in the window 0x12340000", "outside: 1 1 1"]


def test_reset_starts_anew_with_the_flash_as_it_is(exercise):
    done = exercise(4)
    assert done.status == qemu.RETURNED
    assert done.out.count("stand-in: boot ROM of espimagetool") == 2
    assert done.out.index("reset\n") < done.out.index("[42] [   42]")


NO_MEMORY = f"stand-in: no memory to load from or store to at {CODE}"
FAULTS = {
    "missing function": (7, qemu.NO_FUNCTION,
                         f"stand-in: no ROM function at 0x40001234 (called from {CODE}"),
    "illegal instruction": (8, qemu.FAULT, f"stand-in: illegal instruction at {CODE}"),
    "no memory to store to": (9, qemu.FAULT, NO_MEMORY),
    "no memory to execute": (10, qemu.FAULT, "stand-in: no memory to execute at 0x20000000"),
    "break": (11, qemu.FAULT, f"stand-in: break instruction at {CODE}"),
    "exception in an exception": (13, qemu.FAULT, f"stand-in: illegal instruction at {CODE}"),
    "lost stack": (12, qemu.FAULT, NO_MEMORY),
}


@pytest.mark.parametrize("name", FAULTS)
def test_fault_ends_the_run(exercise, name):
    number, status, words = FAULTS[name]
    done = exercise(number)
    assert done.why is None and done.status == status, done
    assert words in lines(done)[-1], done.out


def test_fault_names_the_address_of_the_data(exercise):
    assert "EXCVADDR 0x3ff00000" in lines(exercise(9))[-1]


def test_endless_wait_is_bounded(exercise):
    start = time.monotonic()
    done = exercise(6, timeout=5)  # enough to get there on a busy machine
    assert done.why == "timeout" and done.status is None
    assert lines(done) == ["waiting"]
    assert time.monotonic() - start < 30


def test_endless_text_is_bounded(exercise):
    done = exercise(5, timeout=60)
    assert done.why == "output" and len(done.out) < 2 * qemu.MOST_OUTPUT


def test_run_ends_at_a_text(exercise):
    assert exercise(6, until="waiting").why == "until"


@pytest.fixture
def flash_file(tmp_path, case):
    return lambda number: case(number).write(tmp_path / "flash, with a comma.bin")


def test_command_prints_what_the_processor_prints(command_line, flash_file):
    path = flash_file(4)
    before = path.read_bytes()
    done = command_line(path, "--own-loader")
    assert done.returncode == qemu.RETURNED and done.stderr == ""
    assert done.stdout.startswith("stand-in: boot ROM") and "[42] [   42]" in done.stdout
    assert path.read_bytes() == before, "the flash file is never changed"


def test_command_takes_the_map(command_line, tmp_path):
    path = Flash("1MB", with_header=False).write(tmp_path / "flash.bin")
    done = command_line(path)
    assert done.returncode == qemu.BAD_FLASH and "no header" in done.stdout
    done = command_line(path, "--flash-size", "1MB")
    assert done.returncode == qemu.BOOT_FAILED and "(512KB+512KB)" in done.stdout


def test_command_ends_at_a_text_or_a_time(command_line, flash_file):
    path = flash_file(6)
    done = command_line(path, "--own-loader", "--until", "waiting")
    assert done.returncode == 0 and done.stderr == ""
    done = command_line(path, "--own-loader", "--timeout", "0.5")
    assert done.returncode == qemu.TIMED_OUT
    assert done.stderr == "qemu.py: still running after 0.5 s; ended\n"


def test_command_with_a_file_that_is_no_flash(command_line, tmp_path):
    done = command_line(tmp_path / "none.bin")
    assert done.returncode == 1 and "none.bin" in done.stderr and done.stderr.count("\n") == 1
    (tmp_path / "empty.bin").touch()
    done = command_line(tmp_path / "empty.bin")
    assert done.returncode == 1 and "wanted a whole flash" in done.stderr


def test_agreements_with_the_stand_in():
    """The numbers that rom.h and qemu.py both have."""
    header = (qemu.HERE / "rom.h").read_text()
    for name, value in [("FLASH_ADDRESS", qemu.FLASH_ADDRESS),
                        ("SETTINGS_ADDRESS", qemu.SETTINGS_ADDRESS),
                        ("MAP_FROM_HEADER", qemu.MAP_FROM_HEADER),
                        ("STATUS_BOOT_FAILED", qemu.BOOT_FAILED), ("STATUS_FAULT", qemu.FAULT),
                        ("STATUS_NO_FUNCTION", qemu.NO_FUNCTION),
                        ("STATUS_BAD_FLASH", qemu.BAD_FLASH), ("STATUS_RETURNED", qemu.RETURNED)]:
        words = [line.split() for line in header.splitlines() if f"#define {name} " in line]
        assert [int(w[2], 0) for w in words] == [value], name
