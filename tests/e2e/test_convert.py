# SPDX-License-Identifier: MIT
"""convert: which images come of which ELF, and what is in them."""

import hashlib
import os
import re
import shutil
import subprocess

import pytest

import image
from image import Elf, Image, V1Image, assert_image_of
from tool import (BAD_INPUT, NOT_ALL, OK, USAGE, Hex, assert_refused, assert_shape)

APP1 = ["1MB.app1", "512KB.app1", "five-segments.app1", "iram-big.app1", "three-irom.app1"]

# layout: (app, flash map) of what convert makes of it unasked
CONVERTED = {
    "512KB.app1": [(1, "1MB")], "512KB.app2": [(2, "512KB")],
    "1MB.app1": [(1, "1MB")], "1MB.app2": [(2, "1MB")],
    "2MB-c1": [(1, "1MB")], "2MB-c1.large": [(1, "2MB-c1"), (2, "2MB-c1")],
    "five-segments.app1": [(1, "1MB")], "three-irom.app1": [(1, "1MB")],
    "iram-big.app1": [(1, "1MB")],
    "literal-entry.app1": [(1, "1MB")], "literal-entry.app2": [(2, "1MB")],
}

# layout: what the one line of refusal says
REFUSED = {
    "no-boot": ["0x40210000", "no bootloader", "0x40201010", "--no-boot"],
    "no-boot.40000": ["0x40240000", "no bootloader", "--no-boot"],
    "old-boot.app1": ["0x40211000", "old layout", "eagle.app.v6.new"],
    "old-boot.app2": ["0x40251000", "old layout", "eagle.app.v6.new"],
    "rboot": ["0x40202010", "rBoot", "0x02000", "--profile rboot"],
    "rboot.app2": ["0x40282010", "rBoot", "0x82000", "--profile rboot"],
    "outside-window": ["0x40301010", "1 MB window", "eagle.app.v6.new.2048.ld"],
    "too-big.app1": ["bytes long", "wanted at most 499712", "slot"],
}


def size_freq(name):
    return image.MAPS[name][0] << 4


def test_every_layout_has_an_expectation(firmware):
    assert set(firmware.names()) == set(CONVERTED) | set(REFUSED)


@pytest.mark.parametrize("name", CONVERTED)
def test_layout_becomes_its_images(tool, firmware, name):
    firmware.copy(name, tool.cwd)
    result = tool("convert", f"{name}.elf")
    assert result.status == OK, result
    wanted = [f"{name}-user{app}.bin" for app, _ in CONVERTED[name]]
    assert tool.files() == sorted([f"{name}.elf"] + wanted)
    if name != "iram-big.app1":
        assert ("crashes" in result.err) == name.startswith("literal-entry"), result
        assert len(result.errors) == (1 if name.startswith("literal-entry") else 0), result
    lines = result.out.splitlines()
    assert len(lines) == 2 * len(wanted)
    for i, (app, flash_map) in enumerate(CONVERTED[name]):
        data = (tool.cwd / wanted[i]).read_bytes()
        assert_image_of(data, firmware.elf(name), app, size_freq(flash_map))
        _, _, slots, limit, _ = image.MAPS[flash_map]
        assert lines[2 * i].startswith(f"{wanted[i]}: user{app} at 0x{slots[app - 1]:05X}, "
                                       f"{len(data)} bytes, {limit - len(data)} left in the slot"
                                       f" (map {flash_map}")
        assert lines[2 * i + 1].split() == ["sha256", hashlib.sha256(data).hexdigest()]


@pytest.mark.parametrize("name", REFUSED)
def test_layout_is_refused(tool, firmware, name):
    firmware.copy(name, tool.cwd)
    result = tool("convert", f"{name}.elf")
    assert_refused(result, BAD_INPUT, f"{name}.elf: ", "wanted ", *REFUSED[name])
    assert result.out == ""
    assert tool.files() == [f"{name}.elf"], "nothing is written"


@pytest.mark.parametrize("name", ["1MB.app1", "five-segments.app1", "three-irom.app1"])
def test_parts_agree_with_objcopy(tool, firmware, name):
    """Not only with our reading of the ELF: binutils' reading of each section."""
    objcopy = shutil.which("xtensa-lx106-elf-objcopy")
    if objcopy is None:
        pytest.skip("xtensa-lx106-elf-objcopy not found (on Debian: apt-get install binutils-xtensa-lx106)")
    tool.ok("convert", "-o", "x.bin", str(firmware.path(name)))
    got = Image((tool.cwd / "x.bin").read_bytes())
    elf = firmware.elf(name)

    def section(section_name):
        out = tool.cwd / "section"
        subprocess.run([objcopy, "-O", "binary", "-j", section_name, str(firmware.path(name)),
                        str(out)], check=True, timeout=30)
        return out.read_bytes()

    assert [s.data for s in got.segments] == [image.padded(section(s.name), 4) for s in elf.ram()]
    first = min(s.address for s in elf.irom_sections())
    for s in elf.irom_sections():
        data = section(s.name)
        assert got.irom[s.address - first:s.address - first + len(data)] == data


def test_five_segments_keep_second_byte_04(tool, firmware):
    tool.ok("convert", "-o", "x.bin", str(firmware.path("five-segments.app1")))
    got = Image((tool.cwd / "x.bin").read_bytes())
    assert len(got.segments) == 5
    assert got.second == 4


def test_three_flash_sections_merge_with_zero_gap(tool, firmware):
    elf = firmware.elf("three-irom.app1")
    sections = sorted(elf.irom_sections(), key=lambda s: s.address)
    assert len(sections) == 3
    tool.ok("convert", "-o", "x.bin", str(firmware.path("three-irom.app1")))
    got = Image((tool.cwd / "x.bin").read_bytes())
    end_of_first = sections[0].address + sections[0].size - sections[0].address
    begin_of_second = sections[1].address - sections[0].address
    assert begin_of_second > end_of_first, "the example has a gap"
    assert not any(got.irom[end_of_first:begin_of_second])
    for s in sections:
        at = s.address - sections[0].address
        assert got.irom[at:at + s.size] == s.data


# ---- flash settings ----

@pytest.mark.parametrize("mode", image.MODES)
@pytest.mark.parametrize("freq", image.FREQS)
def test_mode_and_freq_are_in_the_inner_header(tool, firmware, mode, freq):
    tool.ok("convert", "-fm", mode, "-ff", freq, "-fs", "4MB", "-o", "x.bin",
            str(firmware.path("1MB.app1")))
    assert_image_of((tool.cwd / "x.bin").read_bytes(), firmware.elf("1MB.app1"), 1,
                    4 << 4 | image.FREQS[freq], image.MODES[mode])


@pytest.mark.parametrize("flash_map", image.MAPS)
def test_each_map_writes_its_code(tool, firmware, flash_map):
    code, _, slots, _, link = image.MAPS[flash_map]
    windowed = link[0] == link[1]
    result = tool("convert", "--flash-size", flash_map, "--app", "1", "-o", "x.bin",
                  str(firmware.path("1MB.app1")))
    assert result.status == OK, result
    data = (tool.cwd / "x.bin").read_bytes()
    assert_image_of(data, firmware.elf("1MB.app1"), 1, code << 4)
    assert f"(map {flash_map})" in result.out, "given, so neither inferred nor assumed"
    if flash_map in ("8MB", "16MB"):
        assert "2MB-c1" in result.err and "warning" in result.err
    else:
        assert result.err == ""
    if windowed:
        result = tool("convert", "--flash-size", flash_map, "--app", "2", "-o", "y.bin",
                      str(firmware.path("1MB.app1")))
        assert result.status == OK
        assert f"user2 at 0x{slots[1]:05X}" in result.out


SPELLINGS = [
    ["-fm", "dio", "-ff", "80m", "-fs", "2MB"],
    ["--flash-mode", "dio", "--flash-freq", "80m", "--flash-size", "2MB"],
    ["--flash_mode", "dio", "--flash_freq", "80m", "--flash_size", "2MB"],
    ["--flash_mode=dio", "--flash-freq=80m", "--flash_size=2MB"],
    ["--mode", "dio", "--freq", "80m", "--size", "16m"],
    ["--mode", "DIO", "--freq", "80M", "--size", "16M"],
    ["--fm", "dio", "--ff", "80m", "--fs", "2mb"],
]


@pytest.mark.parametrize("options", SPELLINGS, ids=" ".join)
def test_all_spellings_mean_the_same(tool, firmware, options):
    tool.ok("convert", *options, "-o", "x.bin", str(firmware.path("1MB.app1")))
    assert_image_of((tool.cwd / "x.bin").read_bytes(), firmware.elf("1MB.app1"), 1, 0x3F, 2)


@pytest.mark.parametrize("legacy", image.LEGACY_NAMES)
def test_names_of_sizes_are_synonyms(tool, firmware, legacy):
    if legacy == "2m":
        result = tool("convert", "--size", "2m", str(firmware.path("1MB.app1")), "--out-dir", ".")
        assert_refused(result, BAD_INPUT, "256KB", "two slots")
        assert tool.files() == []
        return
    for name, option in (("a.bin", legacy), ("b.bin", image.LEGACY_NAMES[legacy])):
        tool.ok("convert", "--size", option, "--app", "1", "-o", name,
                str(firmware.path("1MB.app1")))
    assert (tool.cwd / "a.bin").read_bytes() == (tool.cwd / "b.bin").read_bytes()


# ---- which map ----

def test_pair_settles_the_map(tool, firmware):
    """app1 alone fits every map; app2 says which."""
    for pair, flash_map in ((("512KB.app1", "512KB.app2"), "512KB"),
                            (("1MB.app1", "1MB.app2"), "1MB")):
        for order in (pair, pair[::-1]):
            result = tool.ok("convert", "--json", "--out-dir", ".",
                             *[str(firmware.path(n)) for n in order])
            images = {i["slot"]: i for i in result.json()["images"]}
            assert sorted(images) == [1, 2]
            for app, i in images.items():
                assert i["flash_map"] == flash_map
                assert_image_of((tool.cwd / i["file"]).read_bytes(), firmware.elf(pair[app - 1]),
                                app, size_freq(flash_map))


def test_size_of_flash_contradicts_the_link_address(tool, firmware):
    firmware.copy("1MB.app2", tool.cwd)
    result = tool("convert", "--flash-size", "512KB", "1MB.app2.elf")
    assert_refused(result, BAD_INPUT, "1MB.app2.elf: ", "0x40281010", "0x40241010", "512KB",
                   "eagle.app.v6.new.512.app2.ld")
    assert tool.files() == ["1MB.app2.elf"]


def test_two_elfs_contradict_each_other(tool, firmware):
    for name in ("512KB.app2", "1MB.app2"):
        firmware.copy(name, tool.cwd)
    result = tool("convert", "512KB.app2.elf", "1MB.app2.elf")
    assert result.status == NOT_ALL
    assert len(result.errors) == 1
    for word in ("1MB.app2.elf: ", "0x40281010", "512KB.app2.elf", "0x40241010"):
        assert word in result.err
    assert tool.files() == ["1MB.app2.elf", "512KB.app2-user2.bin", "512KB.app2.elf"]


def test_size_settles_the_map(tool, firmware):
    """More than a slot of 512 KB holds: only a 1024+1024 map is left, and both slots get one."""
    result = tool.ok("convert", "--json", "--out-dir", ".", str(firmware.path("2MB-c1.large")))
    one, two = result.json()["images"]
    assert (one["flash_map"], two["flash_map"]) == ("2MB-c1", "2MB-c1")
    a, b = ((tool.cwd / i["file"]).read_bytes() for i in (one, two))
    assert [i for i in range(len(a) - 4) if a[i] != b[i]] == [3], "only the app number differs"


def test_one_elf_for_both_slots(tool, firmware):
    firmware.copy("2MB-c1", tool.cwd)
    tool.ok("convert", "--flash-size", "2MB-c1", "2MB-c1.elf")
    assert tool.files() == ["2MB-c1-user1.bin", "2MB-c1-user2.bin", "2MB-c1.elf"]
    for app in (1, 2):
        assert_image_of((tool.cwd / f"2MB-c1-user{app}.bin").read_bytes(), firmware.elf("2MB-c1"),
                        app, 0x50)


def test_one_elf_for_both_slots_and_one_output(tool, firmware):
    elf = str(firmware.path("2MB-c1"))
    result = tool("convert", "--flash-size", "2MB-c1", "-o", "x.bin", elf)
    assert_refused(result, USAGE, "both slots", "--app 1", "--app 2")
    assert tool.files() == []
    for app in (1, 2):
        tool.ok("convert", "--flash-size", "2MB-c1", "-o", "x.bin", "--app", str(app), elf)
        assert_image_of((tool.cwd / "x.bin").read_bytes(), firmware.elf("2MB-c1"), app, 0x50)


def test_advice_for_one_output_works_when_the_size_settles_the_map(tool, firmware):
    """It fits the slots of a 1024+1024 map only; --app says which slot, not which map."""
    elf = str(firmware.path("2MB-c1.large"))
    assert_refused(tool("convert", "-o", "x.bin", elf), USAGE, "--app 1")
    for app in (1, 2):
        result = tool("convert", "-o", "x.bin", "--app", str(app), elf)
        assert result.status == OK, result
        assert_image_of((tool.cwd / "x.bin").read_bytes(), firmware.elf("2MB-c1.large"), app, 0x50)


def test_app_overrides_with_a_warning(tool, firmware):
    elf = str(firmware.path("1MB.app1"))
    result = tool("convert", "--app", "2", "--flash-size", "1MB", "-o", "x.bin", elf)
    assert result.status == OK
    assert len(result.errors) == 1
    for word in ("warning", "0x40201010", "slot 2", "--app"):
        assert word in result.err
    assert Image((tool.cwd / "x.bin").read_bytes()).b3 == 2
    result = tool.ok("convert", "--app", "1", "-o", "x.bin", elf)
    assert Image((tool.cwd / "x.bin").read_bytes()).b3 == 1


# ---- limits ----

def test_more_than_the_first_32_kb_of_iram_is_warned_about(tool, firmware):
    result = tool("convert", "-o", "x.bin", str(firmware.path("iram-big.app1")))
    assert result.status == OK
    assert len(result.errors) == 1
    for word in ("iram-big.app1.elf: warning: ", "32 KB", "IRAM", ".text"):
        assert word in result.err


def patched_irom(elf_path, to, kilobytes):
    """A copy of an ELF whose flash section claims more bytes, which are appended to the file."""
    data = bytearray(elf_path.read_bytes())
    table = int.from_bytes(data[32:36], "little")
    index = [s.name for s in Elf(bytes(data)).sections].index(".irom0.text")
    start = len(data)
    data += bytes(i * 7 & 0xFF for i in range(kilobytes * 1024))
    header = table + index * 40
    data[header + 16:header + 20] = start.to_bytes(4, "little")
    data[header + 20:header + 24] = (kilobytes * 1024).to_bytes(4, "little")
    to.write_bytes(data)


def test_edge_of_the_slot(tool, firmware):
    """Just too long is refused, more than 90 % is warned about, less is not."""
    limit = image.MAPS["512KB"][3]
    for kilobytes, status, warned in ((232, BAD_INPUT, False), (231, OK, True), (209, OK, True),
                                      (208, OK, False)):
        patched_irom(firmware.path("512KB.app2"), tool.cwd / "x.elf", kilobytes)
        result = tool("convert", "x.elf")
        assert result.status == status, (kilobytes, result)
        made = tool.cwd / "x-user2.bin"
        if status == OK:
            assert made.stat().st_size <= limit
            assert ("warning" in result.err) == warned, (kilobytes, result)
            assert_image_of(made.read_bytes(), Elf((tool.cwd / "x.elf").read_bytes()), 2, 0)
            made.unlink()
        else:
            assert_refused(result, BAD_INPUT, str(limit), "512KB")
            assert not made.exists()


# ---- no bootloader ----

@pytest.mark.parametrize("name,address", [("no-boot", 0x10000), ("no-boot.40000", 0x40000)])
def test_no_boot_pair(tool, firmware, name, address):
    firmware.copy(name, tool.cwd)
    result = tool.ok("convert", "--no-boot", "-fm", "dio", "-fs", "1MB", f"{name}.elf")
    second = f"{name}-0x{address:05x}.bin"
    assert tool.files() == sorted([f"{name}-0x00000.bin", second, f"{name}.elf"])
    assert "0x00000" in result.out and f"0x{address:05X}" in result.out
    elf = firmware.elf(name)
    ram = V1Image((tool.cwd / f"{name}-0x00000.bin").read_bytes())
    assert ram.segments == [(s.address, image.padded(s.data, 4)) for s in elf.ram()]
    assert (ram.inner_entry, ram.mode, ram.size_freq) == (elf.entry, 2, 0x20)
    assert ram.checksum == ram.ram_checksum()
    irom = (tool.cwd / second).read_bytes()
    assert irom.rstrip(b"\0") == elf.irom()[1].rstrip(b"\0")
    assert len(irom) - len(elf.irom()[1]) in range(16)


def test_no_boot_wants_such_an_elf(tool, firmware):
    firmware.copy("1MB.app1", tool.cwd)
    result = tool("convert", "--no-boot", "1MB.app1.elf")
    assert_refused(result, BAD_INPUT, "0x40201010", "--no-boot")
    assert tool.files() == ["1MB.app1.elf"]


# ---- an entry point that is not code ----

@pytest.mark.parametrize("stripped", [False, True])
@pytest.mark.parametrize("name", ["literal-entry.app1", "1MB.app1"])
def test_entry_point_that_is_a_literal(tool, firmware, name, stripped):
    elf = firmware.copy(name, tool.cwd)
    if stripped:
        subprocess.run(["xtensa-lx106-elf-strip", str(elf)], check=True)
    for line in (["convert", elf.name], ["verify", elf.name],
                 ["factory", "--no-boot", "-fs", "1MB", elf.name, "-o", "flash.bin"]):
        result = tool(*line)
        warned = [w for w in result.err.splitlines() if "crashes there at once" in w]
        assert len(warned) == (1 if name == "literal-entry.app1" else 0), result
        assert not warned or ("0x40100000" in warned[0] and "libdriver" in warned[0])


# ---- profiles ----

def test_profiles(tool, firmware):
    elf = firmware.elf("1MB.app1")
    out = {}
    for profile in ("sdk", "gen_appbin", "esptool", "rboot", "espruino", "rtos1"):
        tool.ok("convert", "--profile", profile, "-fm", "dio", "-ff", "80m", "-fs", "1MB", "-o",
                f"{profile}.bin", str(firmware.path("1MB.app1")))
        out[profile] = (tool.cwd / f"{profile}.bin").read_bytes()
    assert_image_of(out["sdk"], elf, 1, 0x2F, 2)

    by_name = {s.name: (s.address, image.padded(s.data, 4)) for s in elf.ram()}
    got = Image(out["gen_appbin"])
    assert (got.second, got.b2, got.b3) == (4, 0, 1)
    assert got.segments == [by_name[n] for n in (".text", ".data", ".rodata")]

    got = Image(out["esptool"])
    assert (got.second, got.b2, got.b3) == (4, 2, 0x2F)
    assert b"".join(s.data for s in got.segments) == \
        b"".join(s.data for s in Image(out["sdk"]).segments), "adjoining sections may be one"

    got = Image(out["rboot"], crc=False)
    assert (got.second, got.b2, got.b3) == (4, 2, 0x2F)
    assert got.segments == [by_name[n] for n in (".text", ".data", ".rodata")]
    assert got.checksum == got.ram_checksum()

    got = Image(out["espruino"])
    assert (got.second, got.b2, got.b3) == (4, 0, 0), "it counts the apps from 0"
    assert got.segments == Image(out["gen_appbin"]).segments, "it runs gen_appbin.py"

    got = Image(out["rtos1"])
    assert (got.second, got.b2, got.b3) == (4, 2, 0x2F)
    assert got.segments == Image(out["gen_appbin"]).segments


@pytest.mark.parametrize("name,address", [("rboot", 0x2000), ("rboot.app2", 0x82000)])
def test_rboot_rom(tool, firmware, name, address):
    firmware.copy(name, tool.cwd)
    result = tool.ok("convert", "--profile", "rboot", "--flash-size", "1MB", f"{name}.elf")
    wanted = f"{name}-0x{address:05x}.bin"
    assert tool.files() == sorted([wanted, f"{name}.elf"])
    assert f"0x{address:05X}" in result.out
    got = Image((tool.cwd / wanted).read_bytes(), crc=False)
    elf = firmware.elf(name)
    assert got.irom == image.padded(elf.irom()[1], 16)
    assert got.checksum == got.ram_checksum()


def test_rboot_rom_beyond_the_flash(tool, firmware):
    elf = str(firmware.path("rboot.app2"))
    result = tool("convert", "--profile", "rboot", "-fs", "512KB", "-o", "x.bin", elf)
    assert result.status == OK and len(result.errors) == 1
    assert "beyond the flash of the 512KB map" in result.err
    tool.ok("convert", "--profile", "rboot", "-fs", "1MB", "-o", "x.bin", elf)


def test_rboot_irom_checksum(tool, firmware):
    tool.ok("convert", "--profile", "rboot", "--irom-checksum", "-o", "x.bin",
            str(firmware.path("rboot")))
    got = Image((tool.cwd / "x.bin").read_bytes(), crc=False)
    assert got.checksum == image.xor(got.irom, got.ram_checksum())


# ---- several ELFs ----

def test_one_bad_among_several(tool, firmware):
    for name in ("1MB.app1", "1MB.app2", "rboot"):
        firmware.copy(name, tool.cwd)
    result = tool("convert", "1MB.app1.elf", "rboot.elf", "missing.elf", "1MB.app2.elf")
    assert result.status == NOT_ALL
    assert len(result.errors) == 2
    assert any("rboot.elf: " in e for e in result.errors)
    assert any("missing.elf: " in e for e in result.errors)
    assert {"1MB.app1-user1.bin", "1MB.app2-user2.bin"} < set(tool.files())
    assert not any(f.startswith("rboot-") for f in tool.files())


def test_all_bad(tool, firmware):
    (tool.cwd / "text.elf").write_text("hello\n")
    result = tool("convert", "text.elf", str(firmware.path("rboot")))
    assert result.status == BAD_INPUT and len(result.errors) == 2, result
    result = tool("convert", "missing.elf", "text.elf")
    assert result.status == 66 and len(result.errors) == 2, result
    assert tool.files() == ["text.elf"]


def test_two_elfs_with_one_output(tool, firmware):
    for folder in ("a", "b"):
        (tool.cwd / folder).mkdir()
        firmware.copy("1MB.app1", tool.cwd / folder / "app.elf")
    (tool.cwd / "out").mkdir()
    result = tool("convert", "--out-dir", "out", "a/app.elf", "b/app.elf")
    assert_refused(result, NOT_ALL, "b/app.elf: ", "out/app-user1.bin", "another ELF")
    tool.ok("convert", "a/app.elf", "b/app.elf")
    assert "a/app-user1.bin" in tool.files() and "b/app-user1.bin" in tool.files()


def test_many_elfs_in_one_call(tool, firmware):
    one = firmware.copy("1MB.app1", tool.cwd / "0.elf")
    for i in range(1, 200):
        os.link(one, tool.cwd / f"{i}.elf")
    result = tool.ok("convert", *[f"{i}.elf" for i in range(200)])
    assert len(result.out.splitlines()) == 400
    made = {p.read_bytes() for p in tool.cwd.glob("*.bin")}
    assert len(made) == 1 and len(list(tool.cwd.glob("*.bin"))) == 200


# ---- JSON ----

IMAGE_SHAPE = {
    "file": str, "elf": str, "kind": str, "profile": "sdk", "flash_map": str,
    "flash_map_from": {"option"}, "flash_address": Hex(5), "size": int, "sha256": str,
    "warnings": [str], "slot": int, "slot_limit": int, "slot_left": int,
}
ERROR_SHAPE = {"file": str, "found": str, "wanted": str, "advice": str, "exit_status": int}


def test_json(tool, firmware):
    firmware.copy("1MB.app1", tool.cwd)
    firmware.copy("rboot", tool.cwd)
    result = tool("convert", "--json", "--flash-size", "1MB", "1MB.app1.elf", "rboot.elf",
                  "missing.elf")
    assert result.status == NOT_ALL
    document = result.json()
    shape = {"schema_version": 1, "command": "convert", "images": [dict(IMAGE_SHAPE)],
             "errors": [ERROR_SHAPE]}
    shape["images"][0]["flash_map_from"] = "option"
    assert_shape(document, shape)
    (one,) = document["images"]
    data = (tool.cwd / "1MB.app1-user1.bin").read_bytes()
    assert one["file"] == "1MB.app1-user1.bin" and one["elf"] == "1MB.app1.elf"
    assert (one["slot"], one["kind"], one["flash_address"]) == (1, "user1", "0x01000")
    assert one["size"] == len(data) and one["sha256"] == hashlib.sha256(data).hexdigest()
    assert one["slot_left"] == one["slot_limit"] - one["size"]
    assert {(e["file"], e["exit_status"]) for e in document["errors"]} == \
        {("rboot.elf", 65), ("missing.elf", 66)}
    assert len(result.errors) == 2, "errors are on stderr too"


def test_json_says_where_the_map_comes_from(tool, firmware):
    def source(*args):
        result = tool.ok("convert", "--json", "--out-dir", ".", *args)
        return {i["flash_map_from"] for i in result.json()["images"]}

    assert source("-fs", "1MB", str(firmware.path("1MB.app1"))) == {"option"}
    assert source(str(firmware.path("512KB.app2"))) == {"addresses"}
    assert source(str(firmware.path("1MB.app1"))) == {"assumed"}


def test_json_of_nothing_but_errors(tool):
    result = tool("convert", "--json", "missing.elf")
    assert result.status == 66
    document = result.json()
    assert document["images"] == []
    assert re.search("No such file", document["errors"][0]["found"])


def test_json_warnings(tool, firmware):
    result = tool("convert", "--json", "--out-dir", ".", str(firmware.path("iram-big.app1")))
    (one,) = result.json()["images"]
    assert len(one["warnings"]) == 1 and "IRAM" in one["warnings"][0]
