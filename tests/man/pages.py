# SPDX-License-Identifier: MIT
"""The man pages and the program, each read for what it says of commands and options."""

import functools
import json
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests/e2e"))  # odd_files, which both need
PROGRAM = pathlib.Path(os.environ.get("ESPIMAGETOOL", ROOT / "build/dev/src/espimagetool"))
TOOL_PAGE = ROOT / "man/espimagetool.1"
FORMAT_PAGE = ROOT / "man/espimage-format.5"
PAGES = [TOOL_PAGE, FORMAT_PAGE]
TIMEOUT = 60


# ---- reading a page ----

def lines_of(page):
    return [line for line in page.read_text(encoding="utf-8").splitlines()
            if not line.startswith('.\\"')]


def section(page, title, macro="Sh"):
    """The lines of one section (Sh) or subsection (Ss)."""
    lines = lines_of(page)
    start = lines.index(f".{macro} {title}") + 1
    end = start
    ends = (".Sh ",) if macro == "Sh" else (".Sh ", ".Ss ")
    while end < len(lines) and not lines[end].startswith(ends):
        end += 1
    return lines[start:end]


def subsections(lines):
    return [line[4:] for line in lines if line.startswith(".Ss ")]


def items(lines):
    """(head, body lines) of each list item; nested lists do not occur."""
    found = []
    for line in lines:
        if line.startswith(".It"):
            found.append((line[4:], []))
        elif line.startswith(".El"):
            found.append((None, []))
        elif found:
            found[-1][1].append(line)
    return [(head, body) for head, body in found if head]


def words(lines):
    """The words that a reader sees, macros and punctuation taken away."""
    text = " ".join(re.sub(r"^\.[A-Z][a-z] ", "", line) for line in lines)
    return text.replace("\\&", "").replace(",", " ").split()


def literal_tables(lines):
    """The rows of each literal display, split at two blanks or more."""
    tables = []
    for line in lines:
        if line.startswith(".Bd -literal"):
            tables.append([])
        elif line == ".Ed":
            tables.append(None)
        elif tables and tables[-1] is not None and line.strip():
            tables[-1].append(re.split(r"\s{2,}", line.strip()))
    return [table for table in tables if table]


def options_of_page(lines):
    """{"--port": ("-p", "port", words of the item)}: names, letter and argument of each item."""
    found = {}
    for head, body in items(lines):
        letter = None
        for spelling in head.split(" , "):
            name, _, argument = spelling.partition(" Ar ")
            assert name.startswith("Fl "), head
            name = "-" + name[3:]
            if name.startswith("--"):
                found[name] = (letter, argument.lower(), words(body))
            else:
                letter = name
    return found


# ---- asking the program ----

def run(*args, cwd=None, **kwargs):
    return subprocess.run([PROGRAM, *map(str, args)], cwd=cwd, capture_output=True, text=True,
                          timeout=TIMEOUT, stdin=subprocess.DEVNULL, check=False, **kwargs)


@functools.lru_cache(maxsize=None)
def help_of(*command):
    done = run(*command, "--help")
    assert done.returncode == 0, done.stderr
    return done.stdout


@functools.lru_cache(maxsize=None)
def program_commands():
    listed = help_of().split("Commands:\n")[1].split("\n\n")[0]
    return [line.split()[0] for line in listed.splitlines()]


def options_of_program(command):
    """{"--port": ("-p", "port", help text, [values])} from `command --help`."""
    found = {}
    name = None
    for line in help_of(command).split("Options:\n")[1].split("\n\n")[0].splitlines():
        head = re.match(r"  (?:(-\w), )?(--[\w-]+)(?: (\S+))?(?:\s{2,}(.*))?$", line)
        if head:
            letter, name, argument, text = head.groups()
            found[name] = [letter, (argument or "").lower(), text or "", []]
        elif not found[name][2]:
            found[name][2] = line.strip()
        else:
            found[name][3] += line.split()
    return found


def json_of(*args, cwd, status=0):
    done = run(*args, cwd=cwd)
    assert done.returncode == status, (done.returncode, done.stderr)
    return json.loads(done.stdout)


# ---- a command on the page ----

def page_options(command):
    """Those of its own section, of every command, and the flash options where it takes them."""
    own = section(TOOL_PAGE, command, "Ss")
    every = section(TOOL_PAGE, "COMMANDS")
    every = every[:every.index(".Ss " + program_commands()[0])]
    found = {**options_of_page(every), **options_of_page(own)}
    if "also takes the\n.Sx FLASH OPTIONS" in "\n".join(own):
        found.update(options_of_page(section(TOOL_PAGE, "FLASH OPTIONS")))
    return found
