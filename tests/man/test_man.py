# SPDX-License-Identifier: MIT
"""The man pages agree with the program: what one lists, the other has; the examples work."""

import functools
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import urllib.request
import zlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(os.environ.get("ESPIMAGETOOL", ROOT / "build/dev/src/espimagetool"))
TOOL_PAGE = ROOT / "man/espimagetool.1"
FORMAT_PAGE = ROOT / "man/espimage-format.5"
PAGES = [TOOL_PAGE, FORMAT_PAGE]
TIMEOUT = 60

STATUSES = [0, 1, 2, 65, 66, 69, 73, 74, 75]
CONSUMERS = ["boot", "rboot", "ota2", "ota3"]


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


# ---- firmware and images ----

@pytest.fixture(scope="session")
def elves(tmp_path_factory):
    """The example firmware under the names that the pages use."""
    folder = os.environ.get("ESPIMAGE_FIRMWARE")
    if not folder:
        if shutil.which("xtensa-lx106-elf-gcc") is None:
            pytest.skip("xtensa-lx106-elf-gcc not found")
        folder = tmp_path_factory.mktemp("firmware")
        names = ["1MB.app1", "1MB.app2", "2MB-c1", "five-segments.app1", "no-boot", "rboot"]
        subprocess.run(["make", "-s", "-C", ROOT / "examples/firmware", f"OUT={folder}"]
                       + [f"{folder}/{name}.elf" for name in names],
                       check=True, timeout=TIMEOUT, stdout=subprocess.DEVNULL)
    folder = pathlib.Path(folder)
    return {"app1.elf": folder / "1MB.app1.elf", "app2.elf": folder / "1MB.app2.elf",
            "both.elf": folder / "2MB-c1.elf", "five.elf": folder / "five-segments.app1.elf",
            "noboot.elf": folder / "no-boot.elf", "rom.elf": folder / "rboot.elf"}


def bootloader():
    """What goes for a bootloader: a v1 header and some bytes."""
    return bytes([0xE9, 1, 0, 0]) + bytes(1020)


def flash_dump(image):
    flash = bytearray(b"\xff" * 0x100000)
    flash[:4] = [0xE9, 1, 0, 0x20]
    flash[0x1000:0x1000 + len(image)] = image
    return bytes(flash)


def device_crc(crc):
    """The CRC of an image from zlib's, as espimage-format(5) says it first."""
    c = crc - (1 << 32) if crc & 0x80000000 else crc
    return c + 1 if c >= 0 else abs(c) - 1


def device_crc_other(data):
    """And as it says it second: no final inversion, then the absolute value."""
    register = zlib.crc32(data) ^ 0xFFFFFFFF
    return abs(register - (1 << 32) if register & 0x80000000 else register)


def with_crc(body):
    return bytes(body) + struct.pack("<I", device_crc(zlib.crc32(bytes(body))))


@pytest.fixture(scope="session")
def workshop(elves, tmp_path_factory):
    """A folder with every ELF, boot.bin, init.bin, app1-user1.bin and flash.bin. Only to read."""
    folder = tmp_path_factory.mktemp("workshop")
    for name, path in elves.items():
        shutil.copyfile(path, folder / name)
    (folder / "boot.bin").write_bytes(bootloader())
    (folder / "init.bin").write_bytes(bytes(128))
    assert run("convert", "app1.elf", cwd=folder).returncode == 0
    image = (folder / "app1-user1.bin").read_bytes()
    (folder / "flash.bin").write_bytes(flash_dump(image))
    return folder


@pytest.fixture(scope="session")
def image(workshop):
    return (workshop / "app1-user1.bin").read_bytes()


# ---- the look of the pages ----

@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_mandoc_has_no_complaint(page):
    if shutil.which("mandoc") is None:
        pytest.skip("mandoc not found")
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", page], capture_output=True,
                          text=True, check=False, timeout=TIMEOUT)
    assert (done.returncode, done.stdout) == (0, "")


def renderers(page):
    return [(["mandoc", "-T", "utf8", "-O", "width=80", page], {}),
            (["man", "-l", page], {"MANWIDTH": "80", "MANPAGER": "cat", "LC_ALL": "C.UTF-8"})]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
@pytest.mark.parametrize("which", [0, 1], ids=["mandoc", "man"])
def test_fits_80_columns(page, which):
    command, environment = renderers(page)[which]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} not found")
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT,
                          encoding="utf-8", env={**os.environ, **environment})
    assert done.returncode == 0, done.stderr
    if which == 1:
        assert done.stderr == ""
    text = re.sub("\x1b\\[[0-9;]*m", "", re.sub(".\b", "", done.stdout))
    lines = [line.expandtabs().rstrip() for line in text.splitlines()]
    assert len(lines) > 200
    assert [line for line in lines if len(line) > 80] == []


# ---- commands and options ----

def test_commands_are_those_of_the_program():
    commands = program_commands()
    synopsis = [line[4:] for line in section(TOOL_PAGE, "SYNOPSIS") if line.startswith(".Cm ")]
    assert [line for line in synopsis if " " not in line] == commands
    assert subsections(section(TOOL_PAGE, "COMMANDS")) == commands


def page_options(command):
    """Those of its own section, of every command, and the flash options where it takes them."""
    own = section(TOOL_PAGE, command, "Ss")
    every = section(TOOL_PAGE, "COMMANDS")
    every = every[:every.index(".Ss " + program_commands()[0])]
    found = {**options_of_page(every), **options_of_page(own)}
    if "also takes the\n.Sx FLASH OPTIONS" in "\n".join(own):
        found.update(options_of_page(section(TOOL_PAGE, "FLASH OPTIONS")))
    return found


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


def test_json_fields(workshop, tmp_path):
    documents = {
        "convert": [json_of("convert", "--json", "--out-dir", tmp_path, "app1.elf", "missing.elf",
                            cwd=workshop, status=1),
                    json_of("convert", "--json", "--out-dir", tmp_path, "--no-boot", "noboot.elf",
                            cwd=workshop)],
        "info": [json_of("info", "--json", "app1.elf", "app1-user1.bin", "boot.bin", "flash.bin",
                         "missing.elf", cwd=workshop, status=1),
                 json_of("info", "--json", "--extract", tmp_path, "flash.bin", cwd=workshop)],
        "factory": [json_of(*FACTORY, "--json", "-o", tmp_path / "flash.bin", cwd=workshop),
                    json_of(*FACTORY, "--json", "--plan", cwd=workshop)],
        "verify": [json_of("verify", "--json", "app1.elf", "flash.bin", "missing.elf",
                           cwd=workshop, status=1)],
        "maps": [json_of("maps", "--json", cwd=workshop)],
        "probe": [probe_document(workshop)],
        "simulate": [simulate_document(workshop)],
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


# ---- the format page ----

def page_rules():
    """[(name, demand, consumers)] in the order of the page."""
    found = []
    for head, body in items(section(FORMAT_PAGE, "RULES")):
        if not head.startswith("Sy "):
            continue
        text = " ".join(re.sub(r"^\.[A-Z][a-z] ", "", line) for line in body)
        refused = re.search(r"\. (?:Refused by ([\w, ]+)|(A warning only))\.", text)
        assert refused, head
        demand = text[:refused.start()]
        found.append((head[3:], demand, (refused[1] or "").split(", ") if refused[1] else []))
    return found


def verify_all(folder, files):
    """{name: report} of files given as {name: bytes}."""
    for name, data in files.items():
        (folder / name).write_bytes(data)
    done = run("verify", "--json", *files, cwd=folder)
    assert done.returncode in (0, 1, 65), done.stderr
    return {report["file"]: report for report in json.loads(done.stdout)["reports"]}


def test_consumers():
    heads = [head[3:] for head, _ in items(section(FORMAT_PAGE, "RULES"))
             if head.startswith("Cm ")]
    assert heads == CONSUMERS == options_of_program("verify")["--for"][3]


def test_rules_are_those_of_the_program(workshop):
    report = json_of("verify", "--json", "app1-user1.bin", cwd=workshop)["reports"][0]
    assert [(name, demand) for name, demand, _ in page_rules()] \
        == [(rule["rule"], rule["demand"]) for rule in report["rules"]]
    assert [verdict["consumer"] for verdict in report["verdicts"]] == CONSUMERS


def broken_images(image):
    """Images with something wrong, so that every rule that somebody has is broken in one."""
    irom = struct.unpack_from("<I", image, 12)[0]
    inner = 16 + irom
    yield "good", image
    for size in (0, 1, 3, 7, 15, 16, 1000, inner, inner + 4, inner + 20, len(image) - 100,
                 len(image) - 5, len(image) - 4, len(image) - 1):
        yield f"cut{size}", image[:size]
    for at in [*range(16), 100, *range(inner, inner + 17), len(image) - 5, len(image) - 1]:
        changed = bytearray(image)
        changed[at] ^= 0x21
        yield f"byte{at}", bytes(changed)
        yield f"byte{at}crc", with_crc(changed[:-4])
    yield "long", with_crc(image[:-4] + bytes(0x7A000))


def test_who_refuses(image, tmp_path):
    """The verdicts follow from the page: fail or unknown in a rule of the consumer's."""
    rules = page_rules()
    reports = verify_all(tmp_path, dict(broken_images(image)))
    seen = set()
    for name, report in reports.items():
        broken = {r["rule"] for r in report["rules"] if r["outcome"] in ("fail", "unknown")}
        for verdict in report["verdicts"]:
            expected = [rule for rule, _, consumers in rules
                        if rule in broken and verdict["consumer"] in consumers]
            assert verdict["because"] == (expected[0] if expected else None), name
            assert verdict["accepts"] == (not expected), name
        seen |= broken
    assert {rule for rule, _, consumers in rules if consumers} <= seen


def known_mistakes(image, workshop, folder):
    """{mistake: file content} for every mistake that there is."""
    def converted(profile):
        out = folder / f"{profile}.bin"
        done = run("convert", "--profile", profile, "-o", out, "app1.elf", cwd=workshop)
        assert done.returncode == 0, done.stderr
        return out.read_bytes()

    body = bytearray(image[:-4])
    while zlib.crc32(body) < 0x80000000:
        body[100] = (body[100] + 1) % 256
    second = bytearray(image)
    second[1] = 3
    return {
        "none": image,
        "empty": b"",
        "elf": (workshop / "app1.elf").read_bytes(),
        "html": b"<!DOCTYPE html><html></html>",
        "http": b"HTTP/1.0 200 OK\r\n\r\n" + image,
        "gzip": b"\x1f\x8b" + bytes(30),
        "blank": b"\xff" * 4096,
        "v1": bootloader(),
        "truncated": image[:-100],
        "esptool": converted("esptool"),
        "esptool2": converted("rboot"),
        "gen_appbin-py3": bytes(body) + struct.pack("<I", (zlib.crc32(body) + 1) & 0xFFFFFFFF),
        "second-byte": with_crc(second[:-4]),
        "trailing": image + bytes(16),
        "unknown": b"hello",
    }


def test_mistakes_are_those_of_the_program(image, workshop, tmp_path):
    page = [head[3:] for head, _ in items(section(FORMAT_PAGE, "KNOWN MISTAKES"))]
    files = {f"{name}.bin": data
             for name, data in known_mistakes(image, workshop, tmp_path).items()}
    reports = verify_all(tmp_path, files)
    for name, report in reports.items():
        assert report["mistake"] + ".bin" == name
    assert set(page) == {report["mistake"] for report in reports.values()}
    header = (ROOT / "include/espimage/verify.h").read_text(encoding="utf-8")
    names = re.findall(r"^ +ESPIMAGE_MISTAKE_(\w+)", header, re.M)
    assert [re.sub(r"\W", "_", name).upper() for name in page] == names


def test_flash_maps_are_those_of_the_program(workshop):
    maps = json_of("maps", "--json", cwd=workshop)["maps"]
    names, slots, scripts = literal_tables(section(FORMAT_PAGE, "FLASH MAPS"))
    assert names[0] == ["code", "name", "ESPImageTool", "flash", "slots, KB"]
    kinds = {row[0]: row[1:] for row in slots[1:]}
    linker = {row[0]: row[1:] for row in scripts}
    assert len(names) == 1 + len(maps)
    used = set()
    for (code, name, legacy, size, kind), m in zip(names[1:], maps):
        assert (int(code), name, int(size, 16)) == (m["code"], m["name"], int(m["flash_size"], 16))
        assert legacy == (m["legacy_name"] or "-")
        if kind == "none":
            assert m["slots"] == []
            continue
        used.add(kind)
        user1, user2, limit, _, app1, app2 = (int(number, 16) for number in kinds[kind])
        assert [(int(s["flash_address"], 16), int(s["limit"], 16), int(s["link"], 16),
                 s["linker_script"]) for s in m["slots"]] \
            == [(user1, limit, app1, linker[kind][0]), (user2, limit, app2, linker[kind][1])]
        assert m["windowed"] == (app1 == app2)
        half, again = kind.split("+")
        assert half == again and user2 - user1 == int(half) * 1024
    assert used == set(kinds) == set(linker)


def test_flash_size_names_are_all_there(workshop):
    maps = json_of("maps", "--json", cwd=workshop)["maps"]
    named = options_of_page(section(TOOL_PAGE, "FLASH OPTIONS"))["--flash-size"][2]
    for m in maps:
        assert m["name"] in named
        assert m["legacy_name"] is None or m["legacy_name"] in named


def test_profiles_make_what_the_page_says(workshop, tmp_path):
    (table,) = literal_tables(section(FORMAT_PAGE, "PROFILES"))
    profiles = options_of_program("convert")["--profile"][3]
    assert [row[0] for row in table[1:]] == profiles
    elf = json_of("info", "--json", "five.elf", cwd=workshop)["files"][0]
    in_ram = [s for s in elf["sections"] if s["in_image"] and s["memory"] != "irom"]
    named = [s for name in (".text", ".data", ".rodata") for s in in_ram if s["name"] == name]
    orders = {"order of the ELF": in_ram,
              ".text .data .rodata": named + [s for s in in_ram if s not in named]}
    for profile, b2, b3, order, crc, _ in table[1:]:
        out = tmp_path / f"{profile}.bin"
        done = run("convert", "--profile", profile, "-fm", "dio", "-ff", "80m", "-fs", "1MB",
                   "-o", out, "five.elf", cwd=workshop)
        assert done.returncode == 0, done.stderr
        values = {"0": 0, "mode": 2, "sf": 0x2F, "app": 1, "app - 1": 0}
        assert list(out.read_bytes()[:4]) == [0xEA, 4, values[b2], values[b3]], profile
        view = json_of("info", "--json", out, cwd=workshop)["files"][0]
        assert view["bytes_after_checksum"] == (4 if crc == "yes" else 0)
        addresses = [s["address"] for s in view["segments"]]
        wanted = [s["address"] for s in orders[order]]
        if profile == "esptool":  # some may have become one
            wanted = [address for address in wanted if address in addresses]
        assert addresses == wanted, profile


def test_crc_examples(image):
    table = literal_tables(section(FORMAT_PAGE, "CRC", "Ss"))[0]
    for text, crc, device in table[1:]:
        data = text.encode()
        assert f"{zlib.crc32(data):08X}" == crc
        assert f"{device_crc(zlib.crc32(data)):08X}" == device
        assert f"{device_crc_other(data):08X}" == device
    assert struct.pack("<I", device_crc_other(image[:-4])) == image[-4:]


def test_offsets_of_the_drawing(image):
    irom = struct.unpack_from("<I", image, 12)[0]
    offsets = {}
    for row in literal_tables(section(FORMAT_PAGE, "IMAGE"))[0][1:]:
        if re.fullmatch(r"\d+(\+L)?", row[0]):
            base, _, plus = row[0].partition("+")
            offsets[row[1]] = int(base) + (irom if plus else 0)
    assert image[offsets["EA 04 b2 b3"]:][:2] == b"\xea\x04"
    assert image[offsets["E9 N mode sf"]:][:1] == b"\xe9"
    assert struct.unpack_from("<I", image, offsets["L"])[0] == irom
    address, length = struct.unpack_from("<II", image, offsets["address"])
    assert offsets["length"] == offsets["address"] + 4
    assert 0x3FFE8000 <= address < 0x40108000
    assert offsets["segment"] + length < len(image)


# ---- file names ----

def test_default_names(elves, tmp_path):
    named = re.findall(r"^\.It Pa (\S+)", "\n".join(section(TOOL_PAGE, "FILES")), re.M)
    (tmp_path / "boot.bin").write_bytes(bootloader())
    for elf, args in (("both.elf", ["--flash-size", "2MB-c1", "--boot", "boot.bin"]),
                      ("noboot.elf", ["--no-boot"]), ("rom.elf", ["--profile", "rboot"])):
        shutil.copyfile(elves[elf], tmp_path / "app.elf")
        assert run("convert", *args, "app.elf", cwd=tmp_path).returncode == 0
    assert {path.name for path in tmp_path.glob("app-*")} == set(named)


# ---- examples ----

def examples():
    return [line[4:].replace("\\(dq", '"') for line in section(TOOL_PAGE, "EXAMPLES")
            if line.startswith(".Dl ")]


def environment():
    path = f"{PROGRAM.resolve().parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path}


def plain_example(command, cwd):
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], cwd=cwd, text=True,
                          env=environment(), capture_output=True, timeout=TIMEOUT, check=False)
    return done.returncode, done.stderr, None


def serve_example(command, cwd):
    """As printed, but on a free port; fetched as a device does, ended by Ctrl-C or --once."""
    free = re.sub(r"(-p|--port|--OTA) \d+", r"\1 0", command)
    if free == command:
        free += " --port 0"
    with subprocess.Popen(["bash", "-c", f"exec {free}"], cwd=cwd, env=environment(), text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as server:
        try:
            image = None
            port = None
            for line in server.stdout:
                port = re.search(r"(?:^Serving on port |\"port\":)(\d+)", line) or port
                if "/user1.bin" in line:
                    break
            else:
                return server.wait(TIMEOUT), server.stderr.read(), None
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port[1]}/user1.bin",
                                            timeout=TIMEOUT) as answer:
                    image = answer.read()
            except (OSError, http.client.HTTPException) as error:
                return None, f"no image: {error}", None
            if "--once" not in command and "--OTA" not in command:
                server.send_signal(signal.SIGINT)
            return server.wait(TIMEOUT), server.stderr.read(), image
        finally:
            server.kill()


def probe_example(command, cwd):
    """As printed, against a server that the test starts."""
    with subprocess.Popen(["bash", "-c", "exec espimagetool serve --port 0 app1.elf app2.elf"],
                          cwd=cwd, env=environment(), text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL) as server:
        try:
            for line in server.stdout:
                port = re.search(r"^Serving on port (\d+)", line)
                if port:
                    break
            return plain_example(command.replace(":8888/", f":{port[1]}/"), cwd)
        finally:
            server.kill()


def simulate_example(command, cwd):
    """As printed, but on free ports; with a server, or ended by Ctrl-C when it has booted."""
    free = command + " --page-port 0 --trigger-port 0"
    if "--server" in command:
        status, stderr, _ = probe_example(free.replace(":8888", ":8888/"), cwd)
        return status, stderr, None
    with subprocess.Popen(["bash", "-c", f"exec {free}"], cwd=cwd, env=environment(), text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as device:
        try:
            booted = any("runs in slot user1" in line for line in device.stdout)
            device.send_signal(signal.SIGINT)
            return device.wait(TIMEOUT) if booted else None, device.stderr.read(), None
        finally:
            device.kill()


def runner(command):
    if serves(command):
        return serve_example
    if command.startswith("espimagetool simulate "):
        return simulate_example
    return probe_example if command.startswith("espimagetool probe ") else plain_example


def serves(command):
    return command.startswith(("espimagetool serve ", "espimagetool --OTA "))


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


# ---- diagnostics ----

def test_diagnostics_are_quoted_rightly(elves, tmp_path):
    shutil.copyfile(elves["noboot.elf"], tmp_path / "app.elf")
    displays = "\n".join(section(TOOL_PAGE, "DIAGNOSTICS")).split(".Bd -literal\n")[1:]
    quoted = [" ".join(text.split("\n.Ed")[0].split()) for text in displays]
    said = [run("convert", "app.elf", cwd=tmp_path).stderr.strip(),
            run("convert", "--flash-mode", "fast", "app.elf", cwd=tmp_path).stderr.strip()]
    assert quoted == said
