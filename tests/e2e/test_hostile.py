# SPDX-License-Identifier: MIT
"""Input that is not what it should be: one line, the right status, nothing written, no waiting."""

import os
import random
import struct

import pytest

from tool import BAD_INPUT, NO_INPUT, NOT_ALL, OK, assert_refused

READERS = ["convert", "info", "verify"]
SECONDS = 10


@pytest.mark.parametrize("command", READERS)
@pytest.mark.parametrize("path,words", [
    ("missing.elf", ["No such file"]), ("", ["No such file"]), (".", ["directory"]),
    ("fifo", ["pipe"]), ("/dev/zero", ["device"]), ("/dev/stdin", ["regular file"]),
    ("file/x", ["Not a directory"]), ("n" * 300, ["too long"]), ("loop", ["symbolic links"])],
    ids=lambda v: str(v)[:12])
def test_no_such_input(tool, command, path, words):
    os.mkfifo(tool.cwd / "fifo")
    (tool.cwd / "file").write_bytes(b"")
    (tool.cwd / "loop").symlink_to("loop")
    read_end, write_end = os.pipe()
    try:
        result = tool(command, path, timeout=SECONDS, stdin=read_end)
    finally:
        os.close(read_end)
        os.close(write_end)
    assert_refused(result, NO_INPUT, *words)
    assert result.out == ""


def test_socket(tool):
    import socket
    with socket.socket(socket.AF_UNIX) as s:
        old = os.getcwd()
        os.chdir(tool.cwd)  # the path of such an address is short
        try:
            s.bind("socket")
        finally:
            os.chdir(old)
        assert_refused(tool("convert", "socket", timeout=SECONDS), NO_INPUT)


def header(**changes):
    """A plausible ELF header of an lx106 program without anything behind it."""
    fields = dict(ident=b"\x7fELF\x01\x01\x01" + bytes(9), type=2, machine=94, version=1,
                  entry=0x40100000, phoff=0, shoff=52, flags=0x300, ehsize=52, phentsize=32,
                  phnum=0, shentsize=40, shnum=1, shstrndx=0)
    fields.update(changes)
    return struct.pack("<16sHHIIIIIHHHHHH", *fields.values())


BAD_ELFS = {
    "empty": (b"", ["empty"]),
    "one-byte": (b"\x7f", ["7F 45 4C 46"]),
    "text": (b"hello world\n" * 100, ["not an ELF"]),
    "magic-only": (b"\x7fELF", ["too short"]),
    "64-bit": (header(ident=b"\x7fELF\x02\x01\x01" + bytes(9)), ["64-bit", "32-bit",
                                                                  "xtensa-lx106-elf"]),
    "big-endian": (header(ident=b"\x7fELF\x01\x02\x01" + bytes(9)), ["big-endian",
                                                                     "little-endian"]),
    "arm": (header(machine=40), ["machine 40", "94"]),
    "object": (header(type=1) + bytes(40), ["object file", "executable"]),
    "shared": (header(type=3) + bytes(40), ["shared object"]),
    "core": (header(type=4) + bytes(40), ["core"]),
    "no-sections": (header(shoff=0, shnum=0), ["section headers", "stripped"]),
    "table-beyond": (header(shoff=0xFFFFFFF0), ["truncated"]),
    "table-at-end": (header(shoff=52), ["truncated"]),
    "65000-sections": (header(shnum=65000) + bytes(40), ["65000", "truncated"]),
    "section-size": (header(shentsize=8) + bytes(40), ["8 bytes", "40"]),
    "nothing-in-it": (header() + bytes(40), ["occupies memory"]),
    "4-gb-claim": (header(shnum=2) + bytes(40)
                   + struct.pack("<10I", 0, 1, 6, 0x40201010, 60, 0xFFFFFF00, 0, 0, 4, 0), []),
    "4-gb-bss": (header(shnum=2) + bytes(40)
                 + struct.pack("<10I", 0, 8, 3, 0x3FFE8000, 0, 0xC0000000, 0, 0, 4, 0), []),
    "nowhere": (header(shnum=2) + bytes(40)
                + struct.pack("<10I", 0, 1, 6, 0x10000000, 52, 16, 0, 0, 4, 0), ["0x10000000"]),
    "unaligned": (header(shnum=2) + bytes(40)
                  + struct.pack("<10I", 0, 1, 6, 0x3FFE8001, 52, 16, 0, 0, 4, 0), ["0x3FFE8001"]),
    "html": (b"<!DOCTYPE html><html><body>404</body></html>", ["not an ELF"]),
}


@pytest.mark.parametrize("name", BAD_ELFS)
def test_bad_elf(tool, name):
    data, words = BAD_ELFS[name]
    (tool.cwd / "x.elf").write_bytes(data)
    result = tool("convert", "x.elf", timeout=SECONDS)
    assert_refused(result, BAD_INPUT, "x.elf: ", *words)
    assert result.out == "" and tool.files() == ["x.elf"]


@pytest.mark.parametrize("name", BAD_ELFS)
def test_bad_elf_is_not_served(serve, tool, name):
    data, words = BAD_ELFS[name]
    (tool.cwd / "x.elf").write_bytes(data)
    server = serve("x.elf")
    (line,) = server.err().splitlines()
    assert line.startswith("espimagetool: x.elf: ") and all(w in line for w in words)
    answer = server.get("/user1.bin")
    assert (answer.status, answer.length) == (503, 0)
    assert server.stop() == OK


def test_program_of_this_computer(tool):
    result = tool("convert", "--out-dir", ".", "/bin/true")
    assert_refused(result, BAD_INPUT, "/bin/true", "ELF class 2", "64-bit")
    assert tool.files() == []


def test_every_section_twice(tool, firmware):
    """65,000 section headers that are really there, in bounded time."""
    data = bytearray(firmware.path("1MB.app1").read_bytes())
    (table,) = struct.unpack_from("<I", data, 32)
    (count,) = struct.unpack_from("<H", data, 48)
    headers = data[table:table + 40 * count]
    struct.pack_into("<I", data, 32, len(data))
    struct.pack_into("<H", data, 48, 65000 - 65000 % count)
    data += headers * (65000 // count)
    (tool.cwd / "x.elf").write_bytes(data)
    assert_refused(tool("convert", "x.elf", timeout=SECONDS), BAD_INPUT, "overlaps")


def test_huge_sparse_file(tool):
    with open(tool.cwd / "x.elf", "wb") as f:
        f.write(header())
        f.truncate(5 << 30)
    for command in READERS:
        result = tool(command, "x.elf", timeout=SECONDS)
        assert_refused(result, BAD_INPUT, str(5 << 30), "at most")


def cut_points(size, table):
    """Every byte of the headers' edges, and points all over."""
    rng = random.Random(8266)
    points = set(range(0, 70)) | {size - 1, size - 40, size - 41}
    points |= {table + i for i in range(-20, 20)}
    while len(points) < 400:
        points.add(rng.randrange(size))
    return sorted(p for p in points if 0 <= p < size)


def test_truncated_elf(tool, firmware):
    whole = firmware.path("1MB.app1").read_bytes()
    (table,) = struct.unpack_from("<I", whole, 32)
    names = []
    for point in cut_points(len(whole), table):
        names.append(f"cut{point}.elf")
        (tool.cwd / names[-1]).write_bytes(whole[:point])
    (tool.cwd / "out").mkdir()
    result = tool("convert", "--out-dir", "out", *names)
    assert result.status == BAD_INPUT
    assert [e.split(": ")[1] for e in result.errors] == names, "one line for each, in order"
    assert not list((tool.cwd / "out").iterdir())


def test_damaged_elf(tool, firmware):
    """Random bytes in the ELF header and the section headers: converted or refused, one line."""
    rng = random.Random(1)
    whole = firmware.path("three-irom.app1").read_bytes()
    (table,) = struct.unpack_from("<I", whole, 32)
    names = []
    for i in range(300):
        data = bytearray(whole)
        for _ in range(rng.randint(1, 4)):
            at = rng.choice([rng.randrange(52), rng.randrange(table, len(data))])
            data[at] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)])
        names.append(f"bad{i}.elf")
        (tool.cwd / names[-1]).write_bytes(data)
    (tool.cwd / "out").mkdir()
    result = tool("convert", "--flash-size", "1MB", "--out-dir", "out", *names)
    assert result.status in (OK, NOT_ALL, BAD_INPUT)
    failed = [e.split(": ")[1] for e in result.errors if ": warning: " not in e]
    assert len(failed) == len(set(failed))
    made = {p.name[:-len("-user1.bin")] + ".elf" for p in (tool.cwd / "out").iterdir()}
    assert made | set(failed) == set(names)
    assert not made & set(failed)
    for command in ("info", "verify"):
        result = tool(command, *names)
        assert result.status in (NOT_ALL, BAD_INPUT)


def test_truncated_image(tool, firmware):
    tool.ok("convert", "-o", "x.bin", str(firmware.path("1MB.app1")))
    whole = (tool.cwd / "x.bin").read_bytes()
    names = []
    for point in cut_points(len(whole), 16 + len(firmware.elf("1MB.app1").irom()[1])):
        if point:
            names.append(f"cut{point}.bin")
            (tool.cwd / names[-1]).write_bytes(whole[:point])
    result = tool("verify", "--json", *names)
    assert result.status == NOT_ALL and result.err == "", result
    reports = result.json()["reports"]
    assert [r["file"] for r in reports] == names
    for report in reports:
        assert report["mistake"] == "truncated", report["file"]
        accepts = {v["consumer"]: v["accepts"] for v in report["verdicts"]}
        assert not accepts["ota2"] and not accepts["ota3"], report["file"]
    result = tool("info", *names)
    assert result.status == OK and result.err == "", result


def test_growing_and_vanishing_files_are_no_crash(tool, firmware):
    """The folder changes while a batch runs."""
    names = []
    for i in range(100):
        names.append(f"{i}.elf")
        (tool.cwd / names[-1]).symlink_to(firmware.path("1MB.app1") if i % 2 else "gone.elf")
    (tool.cwd / "out").mkdir()
    result = tool("convert", "--out-dir", "out", *names)
    assert result.status == NOT_ALL
    assert len(result.errors) == 50 and len(list((tool.cwd / "out").iterdir())) == 50
