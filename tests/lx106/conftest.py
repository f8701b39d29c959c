# SPDX-License-Identifier: MIT
"""Fixtures: the stand-in, firmware that ends the emulator, images made by the program."""

import os
import pathlib
import subprocess
import sys

import pytest

import qemu  # also makes the modules of tests/e2e known
import tool as tool_module
from flash import BUILD
from image import Elf, build_v1

ROOT = pathlib.Path(__file__).resolve().parents[2]


def _folder(variable, tmp_path_factory, name):
    """Where ctest has built it, or a place to build it in."""
    ready = os.environ.get(variable)
    return pathlib.Path(ready) if ready else tmp_path_factory.mktemp(name)


def pytest_collection_modifyitems(items):
    reason = qemu.missing(qemu.PROGRAM, qemu.COMPILER, "make")
    for item in items if reason else []:
        item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def rom(tmp_path_factory):
    """The folder with rom.elf and the test's own programs."""
    folder = _folder("LX106_ROM", tmp_path_factory, "rom")
    qemu.build_rom(folder, "programs")
    return folder


@pytest.fixture(scope="session")
def firmware(tmp_path_factory):
    """name -> path of the ELF."""
    folder = _folder("LX106_FIRMWARE", tmp_path_factory, "firmware")
    subprocess.run(["make", "-s", "-j2", "-C", str(ROOT / "examples/firmware"), f"OUT={folder}",
                    f"BUILD={BUILD}", "SIMCALL_EXIT=1", "all"], check=True, timeout=120)
    return lambda name: folder / f"{name}.elf"


@pytest.fixture(scope="session")
def elf(firmware):
    return lambda name: Elf(firmware(name).read_bytes())


@pytest.fixture(scope="session")
def convert(firmware, tmp_path_factory):
    """convert(layout, OPTION...): the bytes of the one image."""
    tool = tool_module.Tool(tmp_path_factory.mktemp("convert"))

    def run(layout, *options):
        result = tool("convert", "-o", "-", *options, str(firmware(layout)))
        assert result.status == 0, result
        return result.raw

    return run


@pytest.fixture
def boot(rom, tmp_path):
    """Power on with this flash."""

    def run(flash, *args, **kwargs):
        path = flash.write(tmp_path / "flash.bin")
        return qemu.run(rom / "rom.elf", path, *args, **kwargs)

    return run


@pytest.fixture(scope="session")
def program(rom):
    """program(name): one of the test's own, as the file for flash address 0."""

    def make(name, **settings):
        elf = Elf((rom / f"{name}.elf").read_bytes())
        return build_v1([(s.address, s.data) for s in elf.ram()], elf.entry, **settings)

    return make


@pytest.fixture(scope="session")
def command_line(rom):
    """qemu.py as people run it."""

    def run(*args):
        return subprocess.run([sys.executable, qemu.__file__, "--rom", rom / "rom.elf", *args],
                              capture_output=True, text=True, timeout=60, check=False)

    return run
