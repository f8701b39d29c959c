# SPDX-License-Identifier: MIT
"""Fixtures: the program, the example firmware, a server."""

import os
import pathlib
import shutil
import subprocess

import pytest

import server as server_module
import tool as tool_module
from image import Elf

ROOT = pathlib.Path(__file__).resolve().parents[2]


def pytest_configure():
    if not os.access(tool_module.PROGRAM, os.X_OK):
        pytest.exit(f"{tool_module.PROGRAM} is not there: set ESPIMAGETOOL to the program",
                    returncode=2)


class Firmware:
    """The example ELFs: `path()` to look at, `copy()` to work with."""

    def __init__(self, folder):
        self.folder = folder

    def names(self):
        return sorted(p.name[:-4] for p in self.folder.glob("*.elf"))

    def path(self, name):
        return self.folder / f"{name}.elf"

    def elf(self, name):
        return Elf(self.path(name).read_bytes())

    def copy(self, name, to):
        to = pathlib.Path(to)
        if to.is_dir():
            to = to / f"{name}.elf"
        shutil.copyfile(self.path(name), to)
        return to


@pytest.fixture(scope="session")
def firmware(tmp_path_factory):
    ready = os.environ.get("ESPIMAGE_FIRMWARE")
    if ready:
        folder = pathlib.Path(ready)
        assert list(folder.glob("*.elf")), f"ESPIMAGE_FIRMWARE={ready} holds no ELF"
        return Firmware(folder)
    if shutil.which("xtensa-lx106-elf-gcc") is None:
        pytest.exit("xtensa-lx106-elf-gcc not found (on Debian: apt-get install gcc-xtensa-lx106)",
                    returncode=2)
    folder = tmp_path_factory.mktemp("firmware")
    made = subprocess.run(["make", "-s", "-j2", "-C", str(ROOT / "examples/firmware"),
                           f"OUT={folder}", "all"], capture_output=True, text=True, timeout=120,
                          check=False)
    assert made.returncode == 0, f"the example firmware does not build:\n{made.stderr}"
    return Firmware(folder)


@pytest.fixture
def tool(tmp_path):
    """Runs the program in a folder of its own."""
    return tool_module.Tool(tmp_path)


@pytest.fixture
def serve(tmp_path):
    """Starts servers; those still running are ended."""
    running = []

    def start(*args, **kwargs):
        kwargs.setdefault("cwd", tmp_path)
        running.append(server_module.Server(*args, **kwargs))
        return running[-1]

    yield start
    for one in running:
        one.end()
    assert not [one.err() for one in running if "Sanitizer" in one.err()]
