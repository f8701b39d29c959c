# SPDX-License-Identifier: MIT
"""espimage-format(5) agrees with the program: its tables, rules and mistakes, its drawing."""

import json
import re
import struct
import zlib

from images import device_crc, device_crc_other, with_crc
from pages import (FORMAT_PAGE, ROOT, TOOL_PAGE, items, json_of, literal_tables, options_of_page,
                   options_of_program, run, section)
from odd_files import odd_files

CONSUMERS = ["boot", "rboot", "ota2", "ota3", "rtos1", "esp-link", "libesphttpd", "espruino"]


def page_rules():
    """[(name, demand, consumers)] in the order of the page."""
    found = []
    for head, body in items(section(FORMAT_PAGE, "RULES")):
        if not head.startswith("Sy "):
            continue
        text = " ".join(re.sub(r"^\.[A-Z][a-z] ", "", line) for line in body)
        refused = re.search(r"\. (?:Refused by ([\w, -]+)|(A warning only))\.", text)
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
    for at, value in ((0, 0xE9), (3, 2), (3, 0x7F)):
        changed = bytearray(image)
        changed[at] = value
        yield f"byte{at}is{value}", with_crc(changed[:-4])
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


def test_mistakes_are_those_of_the_program(image, tmp_path):
    """Each name of the page is one of the header, and a file of that name is known by it."""
    page = [head[3:] for head, _ in items(section(FORMAT_PAGE, "KNOWN MISTAKES"))]
    header = (ROOT / "include/espimage/identify.h").read_text(encoding="utf-8")
    names = re.findall(r"^ +ESPIMAGE_MISTAKE_(\w+)", header, re.M)
    files = {f"{name}.bin": data for (name, _), (data, _) in odd_files().items()}
    files.pop("flash.bin")  # its slots are checked, not the file
    files["none.bin"] = image
    for name, report in verify_all(tmp_path, files).items():
        assert report["mistake"] + ".bin" == name
    assert sorted(page) == sorted([name[:-4] for name in files] + ["flash"])
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
