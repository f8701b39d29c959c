# SPDX-License-Identifier: MIT
"""factory: a whole flash from ELFs, and taken apart again by info --extract."""

import hashlib
import os
import pathlib
import shlex

import pytest

import image
import odd_files
from image import build_v1
from tool import (BAD_INPUT, NO_CREATE, NO_INPUT, OK, ROOT, USAGE, Hex, Maybe, assert_refused,
                  assert_shape)

BOOT = build_v1([(0x40100000, bytes(range(256)) * 12), (0x3FFE8000, b"2nd boot version : 1.7\0")])
INIT = bytes(range(5, 133))
NO_BOOT = "a chip does not start from it"
SYSTEM = {"RF calibration": (0x5000, 0x1000), "init data": (0x4000, 0x1000),
          "system parameters": (0x3000, 0x3000)}

PART = {"name": str, "address": Hex(6), "size": int, "blank": bool, "from": Maybe(str),
        "file": Maybe(str), "content_size": int}
REPORT = {"schema_version": 1, "command": "factory", "file": Maybe(str), "size": int,
          "flash_map": str, "flash_mode": str, "flash_freq": str, "parts": [PART],
          "warnings": [str], "errors": [], "sha256": str, "commands": [[str]]}


@pytest.fixture
def bench(tool, firmware):
    """The folder with app1.elf, app2.elf, both.elf, boot.bin and init.bin."""
    for name, layout in (("app1", "1MB.app1"), ("app2", "1MB.app2"), ("both", "2MB-c1")):
        firmware.copy(layout, tool.cwd / f"{name}.elf")
    (tool.cwd / "boot.bin").write_bytes(BOOT)
    (tool.cwd / "init.bin").write_bytes(INIT)
    return tool


def flash_of(flash_map, user1=None, user2=None, boot=BOOT, init=INIT, mode=0, freq=0):
    """The flash as we put it together ourselves."""
    code, size_kb, slots, _, _ = image.MAPS[flash_map]
    flash = bytearray(b"\xFF" * (size_kb * 1024))
    for at, data in ((0, boot), (slots[0], user1), (slots[1], user2), (len(flash) - 0x4000, init)):
        flash[at:at + len(data or b"")] = data or b""
    flash[2:4] = bytes([mode, code << 4 | freq])
    return bytes(flash)


def converted(tool, elf, app, *options):
    out = tool.cwd / "converted.bin"
    done = tool("convert", "--app", str(app), *options, "-o", str(out), elf)
    assert done.status == 0, done
    data = out.read_bytes()
    out.unlink()
    return data


def assert_flash(data, wanted):
    """Equal, and if not, where (a diff of megabytes helps nobody)."""
    assert len(data) == len(wanted)
    wrong = next((i for i in range(len(data)) if data[i] != wanted[i]), None) \
        if data != wanted else None
    assert wrong is None, f"first difference at 0x{wrong:X}"


@pytest.mark.parametrize("options,mode,freq", [
    ([], 0, 0), (["-fm", "dio", "-ff", "80m"], 2, 15), (["--mode", "dout", "--freq", "26m"], 3, 1)],
    ids=str)
def test_every_byte(bench, options, mode, freq):
    bench.ok("factory", "--flash-size", "1MB", *options, "--boot", "boot.bin", "--init-data",
             "init.bin", "app1.elf", "app2.elf", "-o", "flash.bin")
    settings = ["-fs", "1MB", *options]
    wanted = flash_of("1MB", converted(bench, "app1.elf", 1, *settings),
                      converted(bench, "app2.elf", 2, *settings), mode=mode, freq=freq)
    assert_flash((bench.cwd / "flash.bin").read_bytes(), wanted)


@pytest.mark.parametrize("flash_map", image.MAPS)
def test_every_map(bench, firmware, flash_map):
    code, size_kb, slots, limit, link = image.MAPS[flash_map]
    elf1, elf2 = ("both.elf", "both.elf") if link[0] == link[1] else ("app1.elf", "app2.elf")
    if flash_map == "512KB":
        firmware.copy("512KB.app1", bench.cwd / "app1.elf")
        firmware.copy("512KB.app2", bench.cwd / "app2.elf")
    line = ["factory", "-fs", flash_map, "--boot", "boot.bin", "--init-data", "init.bin",
            "-o", "flash.bin", elf1, elf2]
    result = bench(*line)
    assert result.status == 0, result
    assert ("2MB-c1" in result.err) == (flash_map in ("8MB", "16MB")), result
    data = (bench.cwd / "flash.bin").read_bytes()
    wanted = flash_of(flash_map, converted(bench, elf1, 1, "-fs", flash_map),
                      converted(bench, elf2, 2, "-fs", flash_map))
    assert_flash(data, wanted)

    document = bench(*line, "--json").json()
    assert_shape(document, REPORT, optional=["commands"])
    assert "commands" not in document
    assert (document["file"], document["size"], document["flash_map"]) == \
        ("flash.bin", size_kb * 1024, flash_map)
    assert document["sha256"] == hashlib.sha256(wanted).hexdigest()
    size = size_kb * 1024
    assert {p["name"]: (int(p["address"], 16), p["size"]) for p in document["parts"]} == {
        "bootloader": (0, 0x1000), "user1": (slots[0], limit), "user2": (slots[1], limit),
        **{name: (size - end, length) for name, (end, length) in SYSTEM.items()}}

    flash = bench.ok("info", "--json", "flash.bin").json()["files"][0]
    assert (flash["flash_map"], flash["size_agrees"]) == (flash_map, True)
    assert [(p["name"], p["address"], p["size"], p["blank"], p["content_size"])
            for p in flash["parts"]] == \
        [(p["name"], p["address"], p["size"], p["blank"], p["content_size"])
         for p in document["parts"]]
    bench.ok("verify", "flash.bin")


def test_round_trip(bench):
    bench.ok("factory", "-fs", "1MB", "--boot", "boot.bin", "--init-data", "init.bin", "app1.elf",
             "app2.elf", "-o", "flash.bin")
    (bench.cwd / "parts").mkdir()
    result = bench.ok("info", "--extract", "parts", "flash.bin")
    inputs = {"bootloader": BOOT[:2] + b"\x00\x20" + BOOT[4:], "init-data": INIT,
              "user1": converted(bench, "app1.elf", 1, "-fs", "1MB"),
              "user2": converted(bench, "app2.elf", 2, "-fs", "1MB")}
    parts = bench.cwd / "parts"
    assert {p.stem: p.read_bytes() for p in parts.iterdir()} == inputs
    for name in inputs:
        assert f", extracted to parts/{name}.bin" in result.out

    bench.ok("factory", "-fs", "1MB", "--boot", "parts/bootloader.bin", "--init-data",
             "parts/init-data.bin", "parts/user2.bin", "parts/user1.bin", "-o", "again.bin")
    assert_flash((bench.cwd / "again.bin").read_bytes(), (bench.cwd / "flash.bin").read_bytes())


def test_same_bytes_anywhere(bench, tmp_path_factory):
    line = ["factory", "-fs", "1MB", "--boot", "boot.bin", "--init-data", "init.bin", "-o"]
    bench.ok(*line, "a.bin", "app1.elf", "app2.elf")
    other = tmp_path_factory.mktemp("elsewhere")
    for name in ("app1.elf", "app2.elf", "boot.bin", "init.bin"):
        (other / f"x{name}").write_bytes((bench.cwd / name).read_bytes())
        os.utime(other / f"x{name}", (0, 0))
    bench.ok("factory", "-fs", "8m", "--boot", "xboot.bin", "--init-data", "xinit.bin", "-o",
             "b.bin", "xapp2.elf", "xapp1.elf", cwd=other, env={"LC_ALL": "C", "TZ": "Asia/Tokyo"})
    assert_flash((other / "b.bin").read_bytes(), (bench.cwd / "a.bin").read_bytes())
    result = bench.ok(*line, "c.bin", "app1.elf", "app2.elf")
    assert_flash((bench.cwd / "c.bin").read_bytes(), (bench.cwd / "a.bin").read_bytes())
    assert hashlib.sha256((bench.cwd / "c.bin").read_bytes()).hexdigest() in result.out


def test_standard_output(bench):
    line = ["factory", "-fs", "1MB", "--boot", "boot.bin", "--init-data", "init.bin", "app1.elf"]
    bench.ok(*line, "-o", "flash.bin")
    result = bench(*line, "-o", "-")
    assert result.status == 0 and "map 1MB" in result.err, result.err
    assert_flash(result.raw, (bench.cwd / "flash.bin").read_bytes())
    assert_refused(bench(*line, "-o", "-", "--json"), USAGE, "standard output")


# ---- which slot ----

def test_one_elf_of_a_windowed_map_goes_to_user1(bench):
    bench.ok("factory", "-fs", "2MB-c1", "--boot", "boot.bin", "--init-data", "init.bin",
             "both.elf", "-o", "flash.bin")
    assert_flash((bench.cwd / "flash.bin").read_bytes(),
                 flash_of("2MB-c1", converted(bench, "both.elf", 1, "-fs", "2MB-c1")))


def test_image_beside_an_elf_of_a_windowed_map(bench):
    """The ELF takes the slot that the image leaves, in whatever order they are given."""
    for app in (1, 2):
        (bench.cwd / "ready.bin").write_bytes(converted(bench, "both.elf", app, "-fs", "2MB-c1"))
        for files in (["ready.bin", "both.elf"], ["both.elf", "ready.bin"]):
            document = bench.ok("factory", "-fs", "2MB-c1", "--boot", "boot.bin", "--init-data",
                                "init.bin", *files, "-o", "flash.bin", "--json").json()
            come_from = {p["name"]: p["from"] for p in document["parts"]}
            assert come_from[f"user{app}"] == "ready.bin"
            assert come_from[f"user{3 - app}"] == "both.elf"


def test_app2_alone(bench):
    result = bench("factory", "-fs", "1MB", "--boot", "boot.bin", "--init-data", "init.bin",
                   "app2.elf", "-o", "flash.bin")
    assert result.status == 0 and "warning: user1 is blank" in result.err, result
    assert_flash((bench.cwd / "flash.bin").read_bytes(),
                 flash_of("1MB", None, converted(bench, "app2.elf", 2, "-fs", "1MB")))


def test_map_by_the_link_addresses(bench, firmware):
    firmware.copy("512KB.app2", bench.cwd / "small.elf")
    line = ["factory", "--boot", "boot.bin", "--init-data", "init.bin", "-o", "flash.bin"]
    assert bench(*line, "small.elf").status == 0
    assert (bench.cwd / "flash.bin").stat().st_size == 512 * 1024
    result = bench(*line, "app1.elf", "app2.elf")
    assert_refused(result, USAGE, "several flash maps", "--flash-size")


def test_elf_that_no_map_would_help(bench):
    (bench.cwd / "rtos3.elf").write_bytes(odd_files.RTOS3_ELF)
    result = bench("factory", "--boot", "boot.bin", "--init-data", "init.bin", "-o", "flash.bin",
                   "rtos3.elf")
    assert_refused(result, BAD_INPUT, "rtos3.elf: an application of Espressif's RTOS SDK 3")
    assert "flash maps" not in result.err


@pytest.mark.parametrize("profile", ["sdk", "gen_appbin", "esptool", "espruino", "rtos1"])
def test_profiles(bench, profile):
    bench.ok("factory", "-fs", "1MB", "--profile", profile, "--boot", "boot.bin", "--init-data",
             "init.bin", "app1.elf", "-o", "flash.bin")
    user1 = converted(bench, "app1.elf", 1, "-fs", "1MB", "--profile", profile)
    assert_flash((bench.cwd / "flash.bin").read_bytes(), flash_of("1MB", user1))


def test_image_with_other_settings_is_told(bench):
    (bench.cwd / "ready.bin").write_bytes(converted(bench, "app1.elf", 1, "-fs", "4MB"))
    result = bench("factory", "-fs", "1MB", "--boot", "boot.bin", "--init-data", "init.bin",
                   "ready.bin", "-o", "flash.bin", "--json")
    assert result.status == 0 and "ready.bin: warning: " in result.err and "00 40" in result.err
    (warning,) = result.json()["warnings"]
    assert "00 40" in warning


# ---- without a bootloader ----

def test_no_boot(bench):
    result = bench("factory", "-fs", "1MB", "--no-boot", "-fm", "dio", "app1.elf", "-o",
                   "flash.bin")
    assert result.status == 0
    assert len(result.errors) == 1 and NO_BOOT in result.errors[0], result.err
    user1 = converted(bench, "app1.elf", 1, "-fs", "1MB", "-fm", "dio")
    assert_flash((bench.cwd / "flash.bin").read_bytes(),
                 flash_of("1MB", user1, None, b"\xE9\x00\xFF\xFF", None, mode=2))
    (bench.cwd / "parts").mkdir()
    assert "no bootloader, a header alone" in bench.ok("info", "--extract", "parts",
                                                       "flash.bin").out
    assert [p.name for p in (bench.cwd / "parts").iterdir()] == ["user1.bin"]


def test_no_init_data_is_told(bench):
    result = bench("factory", "-fs", "1MB", "--boot", "boot.bin", "app1.elf", "-o", "flash.bin")
    assert result.status == 0 and len(result.errors) == 1
    assert "esp_init_data_default.bin" in result.errors[0]


# ---- refusals ----

@pytest.mark.parametrize("name,content,status,words", [
    ("boot.bin", None, NO_INPUT, ["No such file"]),
    ("boot.bin", b"", BAD_INPUT, ["not a bootloader"]),
    ("boot.bin", b"\xEA" + BOOT[1:], BAD_INPUT, ["not a bootloader", "EA", "E9"]),
    ("boot.bin", BOOT + bytes(4097 - len(BOOT)), BAD_INPUT, ["4097 bytes", "4096"]),
    ("init.bin", None, NO_INPUT, ["No such file"]),
    ("init.bin", INIT[1:], BAD_INPUT, ["127 bytes", "wanted 128"]),
    ("init.bin", INIT * 33, BAD_INPUT, ["4224 bytes", "4096"]),
    ("app1.elf", None, NO_INPUT, ["No such file"]),
    ("app1.elf", b"hello", BAD_INPUT, ["boot 1.2", "file.image"]),
    ("app1.elf", b"<html></html>", BAD_INPUT, ["web page"]),
    ("app1.elf", b"\x7FELF", BAD_INPUT, ["ELF"]),
    ("app1.elf", BOOT, BAD_INPUT, ["ota.header"]),
    ("app1.elf", b"\xE9\x04" + bytes((1 << 20) - 2), BAD_INPUT, ["boot 1.2"]),
    ("app2.elf", "1MB.app1", BAD_INPUT, ["app1.elf already", "0x40281010", "app2.ld"]),
    ("app2.elf", "512KB.app2", BAD_INPUT, ["0x40241010", "0x40281010"]),
    ("app2.elf", "2MB-c1.large", BAD_INPUT, ["user1", "app1.elf already"]),
    ("app1.elf", "2MB-c1.large", BAD_INPUT, ["at most 499712"]),
    ("app1.elf", "too-big.app1", BAD_INPUT, ["at most 499712"]),
    ("app1.elf", "no-boot", BAD_INPUT, ["0x40210000", "no bootloader"]),
    ("app1.elf", "rboot", BAD_INPUT, ["rBoot"]),
    ("app1.elf", "outside-window", BAD_INPUT, ["0x40301010"])],
    ids=lambda v: str(v)[:16])
def test_refused_inputs(bench, firmware, name, content, status, words):
    path = bench.cwd / name
    if content is None:
        path.unlink()
    elif isinstance(content, str):
        firmware.copy(content, path)
    else:
        path.write_bytes(content)
    before = bench.files()
    line = ["factory", "-fs", "1MB", "--boot", "boot.bin", "--init-data", "init.bin", "app1.elf",
            "app2.elf"]
    result = bench(*line, "-o", "flash.bin")
    assert_refused(result, status, f"{name}: ", *words)
    assert result.out == "" and bench.files() == before
    result = bench(*line, "--plan", "--json")
    assert result.status == status
    (error,) = result.json()["errors"]
    assert (error["file"], error["exit_status"]) == (name, status)


@pytest.mark.parametrize("profile", ["esptool", "rtos1", "rboot", "espruino"])
def test_images_that_no_update_would_bring(bench, profile):
    """A flash is written by cable: a warning. Their slot is that of the addresses in them."""
    for number in (1, 2):
        bench.ok("convert", "-fs", "1MB", "--profile", profile, "-o", f"x{number}.bin",
                 f"app{number}.elf")
    result = bench("factory", "-fs", "1MB", "--boot", "boot.bin", "--init-data", "init.bin",
                   "x2.bin", "x1.bin", "-o", "flash.bin")
    assert result.status == 0, result
    warned = [line for line in result.errors if "will not update to it" in line]
    assert len(warned) == 2 == len(result.errors)
    user1, user2 = ((bench.cwd / f"x{n}.bin").read_bytes() for n in (1, 2))
    assert_flash((bench.cwd / "flash.bin").read_bytes(), flash_of("1MB", user1, user2))


def test_image_for_the_other_slot(bench):
    """Its app number says user2, the addresses in it user1."""
    assert bench("convert", "-fs", "1MB", "--app", "2", "-o", "x.bin", "app1.elf").status == 0
    result = bench("factory", "-fs", "1MB", "--no-boot", "x.bin", "-o", "flash.bin")
    assert_refused(result, BAD_INPUT, "x.bin: ", "link.slot", "0x40201010", "0x40281010")


def boot(version):
    return build_v1([(0x40100000, f"2nd boot version : {version}\n\0".encode().ljust(64, b"\0"))])


@pytest.mark.parametrize("version,flash_map,status,words", [
    ("1.1", "1MB", BAD_INPUT, ["boot 1.1 does not start"]),
    ("1.2", "2MB-c1", BAD_INPUT, ["boot 1.2 takes", "512 KB"]),
    ("1.3(b3)", "4MB-c1", BAD_INPUT, ["boot 1.3 takes", "boot 1.4"]),
    ("1.6", "8MB", BAD_INPUT, ["boot 1.6 takes", "2MB-c1"]),
    ("1.4(b1)", "4MB-c1", OK, []), ("1.6", "1MB", OK, []),
    ("1.7", "16MB", OK, ["never leaves user1"])])
@pytest.mark.parametrize("ready", [False, True])
def test_bootloader_and_map(bench, firmware, version, flash_map, status, words, ready):
    (bench.cwd / "boot.bin").write_bytes(boot(version))
    both = flash_map != "1MB"
    source = firmware.copy("2MB-c1" if both else "1MB.app1", bench.cwd / "app.elf").name
    if ready:
        bench("convert", "-fs", flash_map, "--app", "1", "-o", "app.bin", source)
        source = "app.bin"
    result = bench("factory", "-fs", flash_map, "--boot", "boot.bin", "--init-data", "init.bin",
                   source, "-o", "flash.bin")
    assert result.status == status, result
    assert len(result.errors) == (1 if words else 0), "said once"
    for word in words:
        assert word in result.err


def test_unknown_bootloader_is_told(bench):
    (bench.cwd / "boot.bin").write_bytes(build_v1([(0x40100000, b"mine" * 20)]))
    result = bench("factory", "-fs", "1MB", "--boot", "boot.bin", "--init-data", "init.bin",
                   "app1.elf", "-o", "flash.bin")
    assert result.status == 0 and len(result.errors) == 1
    assert "not one of Espressif's bootloaders" in result.err


@pytest.mark.parametrize("content,words", [
    (b"\xFF" * 4096, ["blank.bin", "swapped"]), (bytes(4096), ["00 throughout"]),
    (BOOT[:128], ["begins with E9", "swapped"])], ids=["blank", "zeros", "boot"])
def test_init_data_that_are_something_else(bench, content, words):
    (bench.cwd / "init.bin").write_bytes(content)
    result = bench("factory", "-fs", "1MB", "--boot", "boot.bin", "--init-data", "init.bin",
                   "app1.elf", "-o", "flash.bin")
    assert_refused(result, BAD_INPUT, "init.bin: ", "wanted 05", *words)


def test_ready_images_bring_their_map(bench):
    for number in (1, 2):
        bench.ok("convert", "-fs", "4MB", "-o", f"x{number}.bin", f"app{number}.elf")
    line = ["factory", "--boot", "boot.bin", "--init-data", "init.bin"]
    document = bench.ok(*line, "x1.bin", "x2.bin", "-o", "flash.bin", "--json").json()
    assert document["flash_map"] == "4MB"
    assert bench.ok(*line, "x1.bin", "app2.elf", "-o", "flash.bin",
                    "--json").json()["flash_map"] == "4MB"
    bench.ok("convert", "-fs", "2MB", "-o", "x2.bin", "app2.elf")
    assert_refused(bench(*line, "x1.bin", "x2.bin", "-o", "flash.bin"), BAD_INPUT, "2MB", "4MB",
                   "--flash-size")


def test_run_user2(bench):
    line = ["factory", "-fs", "1MB", "--boot", "boot.bin", "--init-data", "init.bin"]
    bench.ok(*line, "app1.elf", "app2.elf", "--run", "user2", "-o", "flash.bin")
    flash = (bench.cwd / "flash.bin").read_bytes()
    (first,) = bench("simulate", "--resets", "1", "--json", "flash.bin").json()["resets"]
    assert (first["runs"], first["outcome"]) == ("user2", "runs")
    bench.ok(*line, "app1.elf", "app2.elf", "--run", "user1", "-o", "plain.bin")
    plain = (bench.cwd / "plain.bin").read_bytes()
    assert flash[:0xFD000] == plain[:0xFD000] and plain[0xFD000:] == b"\xFF" * 0x3000
    assert_refused(bench(*line, "app1.elf", "--run", "user2", "-o", "x.bin"), USAGE, "blank")
    assert_refused(bench(*line, "app1.elf", "--run", "user3", "-o", "x.bin"), USAGE, "user1 user2")
    assert_refused(bench(*line, "app1.elf", "app2.elf", "--run", "user2", "--plan"), USAGE,
                   "--run user2")
    (bench.cwd / "boot.bin").write_bytes(build_v1([(0x40100000, b"mine" * 20)]))
    assert_refused(bench(*line, "app1.elf", "app2.elf", "--run", "user2", "-o", "x.bin"), USAGE,
                   "not known")


def test_damaged_image(bench):
    data = bytearray(converted(bench, "app1.elf", 1, "-fs", "1MB"))
    data[1000] ^= 1
    (bench.cwd / "x.bin").write_bytes(data)
    result = bench("factory", "-fs", "1MB", "--no-boot", "x.bin", "-o", "flash.bin")
    assert_refused(result, BAD_INPUT, "x.bin: ", "ota.crc", "stored")


def test_image_of_another_map(bench):
    (bench.cwd / "x.bin").write_bytes(converted(bench, "app2.elf", 2, "-fs", "1MB"))
    for other, link in (("512KB", "0x40241010"), ("2MB-c1", "0x40201010")):
        result = bench("factory", "-fs", other, "--no-boot", "x.bin", "-o", "flash.bin")
        assert_refused(result, BAD_INPUT, "x.bin: ", "0x40281010", link)


def test_map_without_slots(bench):
    result = bench("factory", "-fs", "256KB", "--no-boot", "app1.elf", "-o", "flash.bin")
    assert_refused(result, BAD_INPUT, "app1.elf", "256KB", "two slots")
    (bench.cwd / "x.bin").write_bytes(converted(bench, "app1.elf", 1, "-fs", "1MB"))
    result = bench("factory", "-fs", "256KB", "--no-boot", "x.bin", "-o", "flash.bin")
    assert_refused(result, USAGE, "x.bin", "256KB", "two slots")


@pytest.mark.parametrize("output", ["app1.elf", "./boot.bin", "link"])
def test_output_is_an_input(bench, output):
    (bench.cwd / "link").symlink_to("app1.elf")
    before = {name: (bench.cwd / name).read_bytes() for name in bench.files()}
    result = bench("factory", "-fs", "1MB", "--boot", "boot.bin", "app1.elf", "-o", output)
    assert_refused(result, USAGE, output, "is the input")
    assert {name: (bench.cwd / name).read_bytes() for name in bench.files()} == before


def test_output_cannot_be_created(bench):
    result = bench("factory", "-fs", "1MB", "--boot", "boot.bin", "--init-data", "init.bin",
                   "app1.elf", "-o", "missing/flash.bin")
    assert_refused(result, NO_CREATE, "missing/flash.bin")


@pytest.mark.parametrize("line,words", [
    ([], ["one or two"]), (["a", "b", "c", "--no-boot", "-o", "x"], ["one or two"]),
    (["a.elf", "--no-boot"], ["-o", "--plan"]),
    (["a.elf", "--no-boot", "-o", "x", "--plan"], ["-o", "--plan"]),
    (["a.elf", "-o", "x"], ["--boot", "--no-boot", "boot_v1.7.bin"]),
    (["a.elf", "-o", "x", "--boot", "b", "--no-boot"], ["--boot", "--no-boot"]),
    (["a.elf", "--plan", "--no-boot"], ["--plan", "--no-boot"]),
    (["a.elf", "--profile", "rboot", "--no-boot", "-o", "x"], ["rBoot", "sdk"]),
    (["a.elf", "--init-data"], ["value"])], ids=" ".join)
def test_wrong_usage(tool, line, words):
    assert_refused(tool("factory", *line), USAGE, "factory: ", *words)


# ---- the plan ----

def run_plan(tool, commands):
    """Does with the files what esptool.py would do with a chip that is erased."""
    flash = None
    for words in commands:
        if words[0] == "espimagetool":
            tool.ok(*words[1:])
            continue
        assert words[0] == "esptool.py" and words[1] in ("erase_region", "write_flash")
        if words[1] == "erase_region":
            assert int(words[2], 16) % 0x1000 == 0 and int(words[3], 16) % 0x1000 == 0
            continue
        options = dict(zip(words[2:8:2], words[3:8:2]))
        assert list(options) == ["--flash_mode", "--flash_freq", "--flash_size"]
        code, size_kb, *_ = image.MAPS[options["--flash_size"]]
        flash = bytearray(b"\xFF" * (size_kb * 1024))
        for at, path in zip(words[8::2], words[9::2]):
            data = (tool.cwd / path).read_bytes()
            flash[int(at, 16):int(at, 16) + len(data)] = data
        flash[2:4] = bytes([image.MODES[options["--flash_mode"]],
                            code << 4 | image.FREQS[options["--flash_freq"]]])
    return bytes(flash)


@pytest.mark.parametrize("flash_map,files,options", [
    ("1MB", ["app1.elf", "app2.elf"], ["-fm", "dio", "-ff", "80m"]),
    ("1MB", ["app2.elf"], ["--profile", "gen_appbin"]),
    ("4MB", ["app 'one'.elf"], []),
    ("2MB-c1", ["both.elf"], []), ("2MB-c1", ["both.elf", "both.elf"], []),
    ("1MB", ["ready.bin"], []), ("1MB", ["ready.bin", "app2.elf"], ["-ff", "20m"])], ids=str)
def test_plan_makes_the_same_flash(bench, flash_map, files, options):
    (bench.cwd / "app 'one'.elf").write_bytes((bench.cwd / "app1.elf").read_bytes())
    (bench.cwd / "ready.bin").write_bytes(converted(bench, "app1.elf", 1, "-fs", "1MB", *options))
    line = ["factory", "-fs", flash_map, *options, "--boot", "boot.bin", "--init-data", "init.bin",
            *files]
    before = bench.files()
    document = bench(*line, "--plan", "--json").json()
    text = bench(*line, "--plan").out
    assert len(document["warnings"]) == (1 if files == ["app2.elf"] else 0)
    assert bench.files() == before, "a plan writes nothing"
    assert_shape(document, REPORT, optional=["sha256"])
    assert "sha256" not in document and document["file"] is None
    printed = [shlex.split(text_line) for text_line in text.splitlines()
               if text_line.startswith(("  espimagetool", "  esptool.py"))]
    assert printed == document["commands"]
    for part in document["parts"]:
        where = f"  {part['address']}  {part['name']:18} "
        assert where + (f"{part['file']}, {part['content_size']} bytes" if part["file"]
                        else "blank") in text

    assert bench(*line, "-o", "flash.bin").status == 0
    assert_flash(run_plan(bench, document["commands"]), (bench.cwd / "flash.bin").read_bytes())


def test_plan_in_words(bench):
    out = bench.ok("factory", "-fs", "1MB", "--boot", "boot.bin", "--init-data", "init.bin",
                   "app1.elf", "app2.elf", "--plan").out.splitlines()
    assert ("  esptool.py write_flash --flash_mode qio --flash_freq 40m --flash_size 1MB "
            "0x00000 app1-boot.bin 0x01000 app1-user1.bin 0x81000 app2-user2.bin "
            "0xFC000 init.bin") in out
    assert "  esptool.py erase_region 0xFB000 0x1000" in out
    assert "  esptool.py erase_region 0xFD000 0x3000" in out


# ---- info --extract ----

@pytest.fixture
def flash(bench):
    bench.ok("factory", "-fs", "1MB", "--boot", "boot.bin", "--init-data", "init.bin", "app1.elf",
             "app2.elf", "-o", "flash.bin")
    (bench.cwd / "parts").mkdir()
    return bench.cwd / "flash.bin"


def test_extract_json(bench, flash):
    del flash
    (one,) = bench.ok("info", "--json", "--extract", "parts/", "flash.bin").json()["files"]
    assert {p["name"]: p["extracted"] for p in one["parts"]} == {
        "bootloader": "parts/bootloader.bin", "user1": "parts/user1.bin",
        "user2": "parts/user2.bin", "RF calibration": None, "init data": "parts/init-data.bin",
        "system parameters": None}
    (one,) = bench.ok("info", "--json", "flash.bin").json()["files"]
    assert all("extracted" not in p for p in one["parts"])


def test_extract_overwrites_nothing(bench, flash):
    bench.ok("info", "--extract", "parts", str(flash))
    bench.ok("info", "--extract", "parts", str(flash))  # the same again: fine
    (bench.cwd / "parts/user2.bin").write_bytes(b"mine")
    (bench.cwd / "parts/user1.bin").unlink()
    result = bench("info", "--extract", "parts", str(flash))
    assert_refused(result, NO_CREATE, "parts/user2.bin", "other content")
    assert (bench.cwd / "parts/user2.bin").read_bytes() == b"mine"
    assert not (bench.cwd / "parts/user1.bin").exists(), "nothing is written"
    flash.rename(bench.cwd / "user1.bin")
    result = bench("info", "--extract", ".", "user1.bin")
    assert_refused(result, NO_CREATE, "./user1.bin", "other content")


def test_extract_what_a_device_wrote(bench, flash):
    """All of the areas that the SDK writes, init data of a whole sector, half an update."""
    data = bytearray(flash.read_bytes())
    for name, (end, length) in SYSTEM.items():
        at = len(data) - end
        data[at + 200:at + length] = (name.encode() * 2000)[:length - 200]
    data[0x81000 + 60000:0x81000 + 70000] = b"\xFF" * 10000
    flash.write_bytes(data)
    result = bench.ok("info", "--extract", "parts", str(flash))
    assert "no whole image" in result.out
    parts = {p.name: p.read_bytes() for p in (bench.cwd / "parts").iterdir()}
    assert set(parts) == {"bootloader.bin", "user1.bin", "rf-calibration.bin", "init-data.bin",
                          "system-parameters.bin"}
    for name, (end, length) in SYSTEM.items():
        at = len(data) - end
        assert parts[name.lower().replace(" ", "-") + ".bin"] == data[at:at + length], name


def test_extract_refusals(bench, flash):
    assert_refused(bench("info", "--extract", "parts", "app1.elf"), BAD_INPUT, "not a flash dump")
    assert_refused(bench("info", "--extract", "nowhere", str(flash)), NO_CREATE, "nowhere/")
    assert_refused(bench("info", "--extract", "parts", str(flash), str(flash)), USAGE, "one")
    assert not list((bench.cwd / "parts").iterdir())


# ---- the vendor's firmware ----

def test_firmware_of_the_vendor(bench):
    folder = pathlib.Path(os.environ.get("ESPIMAGE_SHARED_DATA", ROOT.parent / "shared/data"))
    elf = folder / "sdk20-at.app1.elf"
    if not elf.exists():
        pytest.skip("the vendor's ELF is not here")
    wanted = [(folder / f"sdk20-at.dio-80m-2MB-c1.user{app}.gen_appbin.bin").read_bytes()
              for app in (1, 2)]
    bench.ok("factory", "-fs", "2MB-c1", "-fm", "dio", "-ff", "80m", "--profile", "gen_appbin",
             "--boot", "boot.bin", "--init-data", "init.bin", str(elf), str(elf), "-o",
             "flash.bin")
    assert_flash((bench.cwd / "flash.bin").read_bytes(),
                 flash_of("2MB-c1", *wanted, mode=2, freq=15))
