#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""check.py [FOLDER]: fails when a file in src/ includes something that its room may not use, when two
files depend on each other, or when a library's name appears outside the file that wraps it."""

import pathlib
import re
import sys

# A room and the rooms that it may include, besides its own and the public headers.
ROOMS = {
    "base": set(),
    "image": {"base"},
    "ota": {"base", "image"},
    "store": {"base", "image", "ota"},
    "net": {"base"},
    "http": {"base", "ota", "store", "net"},
    "board": {"base"},
    "web": {"base", "board"},
    "sandbox": {"base"},
    "server": {"base", "ota", "store", "net", "http", "board", "web", "sandbox"},
    "device": {"base", "image", "ota"},
    "push": {"base", "image", "ota", "net"},
    "cli": {"base", "image", "ota", "store", "device", "push"},
}
# Headers of other rooms that a room may include all the same.
DOORS = {
    "cli": {"server/server.h", "board/event.h", "board/transfers.h"},
    "push": {"board/event.h"},
}

# A pattern and the only files in which it may appear.
OWNERS = {
    r"\bMHD_|microhttpd\.h": {"web/web.c"},
    r"\bseccomp\.h\b|\bscmp_": {"sandbox/system_calls.c"},
    r"<gelf\.h>|<libelf\.h>|\belf_begin\b": {"image/elf_load.c"},
    r"<zlib\.h>": {"image/checksum.c"},
    r"<nettle/": {"base/secret.c", "base/sha256.c"},
}
JANSSON = ("cli/", "board/board_json.c", "push/journal.c")


def includes(text):
    return re.findall(r'^#include "([^"]+)"', text, re.M)


def module(name):
    return name.rsplit(".", 1)[0]


def wrong_rooms(files):
    for name, text in files.items():
        room = name.split("/")[0]
        for header in includes(text):
            other = header.split("/")[0]
            allowed = other == room or other in ROOMS.get(room, set()) or header in DOORS.get(room, set())
            if room not in ROOMS or other not in ROOMS:
                yield f"{name}: the room of {header} is not in tests/layers/check.py"
            elif not allowed:
                yield f"{name}: includes {header}, but {room} may use only {', '.join(sorted(ROOMS[room]))}"


def circles(files):
    """Of modules, which are a .c file with its header."""
    uses = {}
    for name, text in files.items():
        uses.setdefault(module(name), set()).update(module(h) for h in includes(text) if module(h) != module(name))
    done, path = set(), []

    def visit(one):
        if one in path:
            yield "a circle: " + " -> ".join([*path[path.index(one):], one])
            return
        if one in done:
            return
        path.append(one)
        for other in sorted(uses.get(one, ())):
            yield from visit(other)
        path.pop()
        done.add(one)

    for one in sorted(uses):
        yield from visit(one)


def strays(files):
    for name, text in files.items():
        for pattern, owners in OWNERS.items():
            found = re.search(pattern, text)
            if found and name not in owners:
                yield f"{name}: {found.group(0)} belongs in {', '.join(sorted(owners))}"
        if "<jansson.h>" in text and not name.startswith(JANSSON):
            yield f"{name}: <jansson.h> belongs in {', '.join(JANSSON)}"


def check(folder):
    files = {str(p.relative_to(folder)): p.read_text(encoding="utf-8")
             for p in sorted(folder.rglob("*")) if p.suffix in (".c", ".h") and "/" in str(p.relative_to(folder))}
    return [*wrong_rooms(files), *circles(files), *strays(files)]


def main():
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parents[2] / "src"
    faults = check(folder)
    print(*faults, sep="\n", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
