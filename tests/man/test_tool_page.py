# SPDX-License-Identifier: MIT
"""espimagetool(1) agrees with the program: what one lists, the other has."""

import json
import os
import re
import shutil
import socket
import subprocess

import pytest

from examples import probe_example
from images import bootloader
from pages import (PROGRAM, TIMEOUT, TOOL_PAGE, items, json_of, options_of_page,
                   options_of_program, page_options, program_commands, run, section, subsections)
from odd_files import device

STATUSES = [0, 1, 2, 65, 66, 69, 73, 74, 75]


# ---- commands and options ----

def test_commands_are_those_of_the_program():
    commands = program_commands()
    synopsis = [line[4:] for line in section(TOOL_PAGE, "SYNOPSIS") if line.startswith(".Cm ")]
    assert [line for line in synopsis if " " not in line] == commands
    assert subsections(section(TOOL_PAGE, "COMMANDS")) == commands


@pytest.mark.parametrize("command", program_commands())
def test_options_are_those_of_the_program(command):
    ours = page_options(command)
    theirs = options_of_program(command)
    assert set(ours) == set(theirs)
    for name, (letter, argument, text, values) in theirs.items():
        page_letter, page_argument, page_words = ours[name]
        assert (page_letter, page_argument) == (letter, argument), name
        if "|" not in argument:
            assert [v for v in values if v not in page_words] == [], name
        default = re.search(r"\(default ([\w.]+)\)", text)
        if default:
            assert f"(default {default[1]}" in " ".join(page_words), name


@pytest.mark.parametrize("command", program_commands())
def test_synopsis_has_every_option(command):
    lines = section(TOOL_PAGE, "SYNOPSIS")
    start = lines.index(f".Cm {command}")
    rest = lines[start + 1:]
    form = " ".join(rest[:rest.index(".Nm")])
    named = {"-" + name for name in re.findall(r"Fl (\S+)", form)}
    flash = set(options_of_page(section(TOOL_PAGE, "FLASH OPTIONS")))
    theirs = options_of_program(command)
    assert ("flash-option" in form) == (flash <= set(theirs))
    wanted = set(theirs) - flash - {"--help"}
    for name in wanted:
        assert name in named or theirs[name][0] in named, name
    spelled = wanted | {theirs[name][0] for name in wanted}
    assert named <= spelled


def test_other_spellings_are_accepted():
    for head, body in items(section(TOOL_PAGE, "FLASH OPTIONS")):
        spellings = [f"-{name}" for name in re.findall(r"^\.Fl (\S+)", "\n".join(body), re.M)
                     if name != "-no-boot"]
        assert len(spellings) == 2, head
        for spelling in spellings:
            done = run("convert", spelling, "nonsense", "x.elf")
            assert f"--{head.split()[1][1:]}: unknown value" in done.stderr, spelling


# ---- exit statuses ----

def test_exit_statuses():
    assert [int(head) for head, _ in items(section(TOOL_PAGE, "EXIT STATUS"))] == STATUSES


@pytest.mark.parametrize("status, args", [
    (0, ["convert", "app1.elf", "--out-dir", "{out}"]),
    (1, ["verify", "rom.elf", "--profile", "rboot"]),
    (1, ["info", "app1.elf", "missing.elf"]),
    (2, ["convert", "--flash-size", "3MB", "app1.elf"]),
    (65, ["convert", "noboot.elf"]),
    (66, ["convert", "missing.elf"]),
    (73, ["convert", "-o", "{out}/missing/x.bin", "app1.elf"]),
])
def test_statuses_happen(workshop, tmp_path, status, args):
    done = run(*(arg.format(out=tmp_path) for arg in args), cwd=workshop)
    assert done.returncode == status, done.stderr


def test_status_of_a_port_in_use(workshop):
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
        done = run("serve", "--bind", "127.0.0.1", "--port", port, "app1.elf", cwd=workshop)
    assert done.returncode == 69, done.stderr


def test_status_of_a_full_disk():
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full")
    with open("/dev/full", "wb") as full:
        done = subprocess.run([PROGRAM, "maps"], stdout=full, stderr=subprocess.PIPE,
                              timeout=TIMEOUT, check=False)
    assert done.returncode == 74


# ---- JSON ----

def keys_of(value):
    if isinstance(value, dict):
        return set(value).union(*map(keys_of, value.values()))
    return set().union(*map(keys_of, value)) if isinstance(value, list) else set()


def probe_document(cwd):
    status, stderr, _ = probe_example("espimagetool probe --all-mss --json "
                                      "http://127.0.0.1:8888/user2.bin > probe.json", cwd)
    assert status == 0, stderr
    return json.loads((cwd / "probe.json").read_text())


FACTORY = ["factory", "-fs", "1MB", "--boot", "boot.bin", "--init-data", "init.bin", "app1.elf"]


def simulate_document(cwd):
    status, stderr, _ = probe_example("espimagetool simulate --page-port 0 --trigger-port 0 --json "
                                      "--load app1.elf --auto --updates 1 --flip-bit 200 --server "
                                      "http://127.0.0.1:8888/ > simulate.json", cwd)
    assert status == 1, stderr
    return json.loads((cwd / "simulate.json").read_text())


def device_dump(folder):
    path = folder / "device.bin"
    path.write_bytes(device())
    return path


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


def test_json_fields(workshop, tmp_path):
    documents = {
        "convert": [json_of("convert", "--json", "--out-dir", tmp_path, "app1.elf", "missing.elf",
                            cwd=workshop, status=1),
                    json_of("convert", "--json", "--out-dir", tmp_path, "--no-boot", "noboot.elf",
                            cwd=workshop)],
        "info": [json_of("info", "--json", "app1.elf", "app1-user1.bin", "boot.bin", "flash.bin",
                         "missing.elf", cwd=workshop, status=1),
                 json_of("info", "--json", "--extract", tmp_path, "flash.bin", cwd=workshop),
                 json_of("info", "--json", "--secrets", "--redact", tmp_path / "redacted.bin",
                         device_dump(tmp_path), cwd=workshop)],
        "factory": [json_of(*FACTORY, "--json", "-o", tmp_path / "flash.bin", cwd=workshop),
                    json_of(*FACTORY, "--json", "--plan", cwd=workshop)],
        "verify": [json_of("verify", "--json", "app1.elf", "flash.bin", "missing.elf",
                           cwd=workshop, status=1)],
        "maps": [json_of("maps", "--json", cwd=workshop)],
        "push": [json_of("push", "--json", "--via", f"tcp:{free_port()}", "--port", free_port(),
                         "127.0.0.1", "app1.elf", cwd=workshop, status=75)],
        "probe": [probe_document(workshop)],
        "simulate": [simulate_document(workshop),
                     json_of("simulate", "--json", "--resets", "2", "--load", "app1.elf",
                             "reset.bin", cwd=workshop)],
    }
    takers = [c for c in program_commands() if "--json" in options_of_program(c)]
    assert set(documents) == set(takers)
    page = {head[3:]: set(re.findall(r"^\.Va (\S+)", "\n".join(body), re.M))
            for head, body in items(section(TOOL_PAGE, "OUTPUT"))}
    common = page.pop("every command")
    assert set(page) == set(documents)
    for command, made in documents.items():
        for document in made:
            assert document["schema_version"] == 1
            assert document["command"] == command
        keys = set().union(*map(keys_of, made))
        assert keys <= page[command] | common, command
        assert page[command] <= keys, command
    assert common <= set().union(*map(keys_of, documents["convert"]))


# ---- file names ----

def test_default_names(elves, tmp_path):
    named = re.findall(r"^\.It Pa (\S+)", "\n".join(section(TOOL_PAGE, "FILES")), re.M)
    (tmp_path / "boot.bin").write_bytes(bootloader())
    for elf, args in (("both.elf", ["--flash-size", "2MB-c1", "--boot", "boot.bin"]),
                      ("noboot.elf", ["--no-boot"]), ("rom.elf", ["--profile", "rboot"])):
        shutil.copyfile(elves[elf], tmp_path / "app.elf")
        assert run("convert", *args, "app.elf", cwd=tmp_path).returncode == 0
    assert {path.name for path in tmp_path.glob("app-*")} == set(named)


# ---- diagnostics ----

def test_diagnostics_are_quoted_rightly(elves, tmp_path):
    shutil.copyfile(elves["noboot.elf"], tmp_path / "app.elf")
    displays = "\n".join(section(TOOL_PAGE, "DIAGNOSTICS")).split(".Bd -literal\n")[1:]
    quoted = [" ".join(text.split("\n.Ed")[0].split()) for text in displays]
    said = [run("convert", "app.elf", cwd=tmp_path).stderr.strip(),
            run("convert", "--flash-mode", "fast", "app.elf", cwd=tmp_path).stderr.strip()]
    assert quoted == said
