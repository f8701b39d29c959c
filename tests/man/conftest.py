# SPDX-License-Identifier: MIT
"""What the tests of the man pages work on."""

import os
import pathlib
import shutil
import subprocess

import pytest

from images import bootloader, flash_dump
from pages import ROOT, TIMEOUT, run


@pytest.fixture(scope="session")
def elves(tmp_path_factory):
    """The example firmware under the names that the pages use."""
    folder = os.environ.get("ESPIMAGE_FIRMWARE")
    if not folder:
        if shutil.which("xtensa-lx106-elf-gcc") is None:
            pytest.skip("xtensa-lx106-elf-gcc not found (on Debian: apt-get install gcc-xtensa-lx106)")
        folder = tmp_path_factory.mktemp("firmware")
        names = ["1MB.app1", "1MB.app2", "2MB-c1", "five-segments.app1", "no-boot", "rboot"]
        subprocess.run(["make", "-s", "-C", ROOT / "examples/firmware", f"OUT={folder}"]
                       + [f"{folder}/{name}.elf" for name in names],
                       check=True, timeout=TIMEOUT, stdout=subprocess.DEVNULL)
    folder = pathlib.Path(folder)
    return {"app1.elf": folder / "1MB.app1.elf", "app2.elf": folder / "1MB.app2.elf",
            "both.elf": folder / "2MB-c1.elf", "five.elf": folder / "five-segments.app1.elf",
            "noboot.elf": folder / "no-boot.elf", "rom.elf": folder / "rboot.elf"}


@pytest.fixture(scope="session")
def workshop(elves, tmp_path_factory):
    """A folder with every ELF, boot.bin, init.bin, app1-user1.bin and flash.bin. Only to read."""
    folder = tmp_path_factory.mktemp("workshop")
    for name, path in elves.items():
        shutil.copyfile(path, folder / name)
    (folder / "boot.bin").write_bytes(bootloader())
    (folder / "init.bin").write_bytes(b"\x05" + bytes(127))
    assert run("convert", "app1.elf", cwd=folder).returncode == 0
    image = (folder / "app1-user1.bin").read_bytes()
    (folder / "flash.bin").write_bytes(flash_dump(image))
    return folder


@pytest.fixture(scope="session")
def image(workshop):
    return (workshop / "app1-user1.bin").read_bytes()
