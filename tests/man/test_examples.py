# SPDX-License-Identifier: MIT
"""The examples of espimagetool(1) work, one after the other, as a reader would try them."""

import re
import shutil

import pytest

from examples import runner, serves
from images import with_crc
from pages import TOOL_PAGE, help_of, page_options, program_commands, section


def examples():
    return [line[4:].replace("\\(dq", '"') for line in section(TOOL_PAGE, "EXAMPLES")
            if line.startswith(".Dl ")]


@pytest.fixture(scope="session")
def bench(workshop, tmp_path_factory):
    """(folder, {example: (status, stderr, image)}): run one after the other, as a reader would."""
    folder = tmp_path_factory.mktemp("examples")
    for name in ("app1.elf", "app2.elf", "both.elf", "noboot.elf", "rom.elf", "boot.bin",
                 "flash.bin", "init.bin"):
        shutil.copyfile(workshop / name, folder / name)
    return folder, {command: runner(command)(command, folder) for command in examples()}


@pytest.mark.parametrize("command", examples())
def test_example(command, bench):
    status, stderr, image = bench[1][command]
    assert status == 0, stderr
    assert stderr == "" or " -o - " in command
    if serves(command):
        assert image[:4] == b"\xea\x04\x00\x01" and with_crc(image[:-4]) == image


def test_examples_write_what_they_say(bench):
    named = re.findall(r"^\.Pa (\S+)", "\n".join(section(TOOL_PAGE, "EXAMPLES")), re.M)
    assert len(named) >= 5
    assert [name for name in named if not (bench[0] / name).is_file()] == []


def test_every_command_has_an_example():
    for command in program_commands():
        assert any(f"espimagetool {command}" in example for example in examples()), command


def test_help_examples_are_on_the_page():
    """Not word for word, but with options that are there."""
    for command in program_commands():
        example = help_of(command).split("Example:\n  ")[1].splitlines()[0]
        named = set(re.findall(r" (--[\w-]+)", example))
        assert named <= set(page_options(command)), example
