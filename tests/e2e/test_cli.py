# SPDX-License-Identifier: MIT
"""Help, usage errors and the maps command."""

import re
import shlex
import subprocess

import pytest

import image
from device import Device
from tool import IO, OK, PROGRAM, USAGE, Hex, Maybe, assert_refused, assert_shape

COMMANDS = ["serve", "push", "probe", "simulate", "convert", "info", "verify", "factory", "maps",
            "completion"]


def options_of(tool, command):
    return re.findall(r"^  (?:-\w, )?--([a-z-]+)", tool.ok(command, "--help").out, re.MULTILINE)


def test_help_lists_every_command(tool):
    for line in (["--help"], ["-h"], ["help"]):
        result = tool.ok(*line)
        assert re.findall(r"^  ([a-z]+) {2,}[A-Z]", result.out, re.MULTILINE) == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command(tool, command):
    result = tool.ok(command, "--help")
    assert result.out.startswith(f"Usage: espimagetool {command} ")
    assert "\nOptions:\n" in result.out and "\nExample:\n  espimagetool " in result.out
    assert tool.ok(command, "-h").out == result.out
    assert tool.files() == []
    trailing = [line for line in result.out.splitlines() if line != line.rstrip()]
    assert not trailing, f"spaces at the end of a line: {trailing}"


@pytest.mark.parametrize("line", [["--help"]] + [[c, "--help"] for c in COMMANDS],
                         ids=" ".join)
def test_eighty_columns(tool, line):
    too_long = [f"{len(text)}: {text}" for text in tool.ok(*line).out.splitlines()
                if len(text) > 80]
    assert not too_long, "\n" + "\n".join(too_long)


@pytest.mark.parametrize("command", [c for c in COMMANDS
                                     if c not in ("serve", "push", "probe", "simulate")])
def test_example_works(tool, firmware, command):
    firmware.copy("1MB.app1", tool.cwd / "app1.elf")
    firmware.copy("1MB.app2", tool.cwd / "app2.elf")
    (tool.cwd / "release").mkdir()
    (tool.cwd / "boot.bin").write_bytes(image.build_v1(
        [(0x40100000, b"\n2nd boot version : 1.7(5d6f877)\n".ljust(64, b"\0"))]))
    (tool.cwd / "esp_init_data_default.bin").write_bytes(b"\x05" + bytes(127))
    tool.ok("convert", "-o", "app-user1.bin", "app1.elf")
    example = tool.ok(command, "--help").out.split("\nExample:\n")[1]
    example = example.replace("\\\n", " ").splitlines()[0]
    words = shlex.split(example.split(">")[0])
    assert words[0] == "espimagetool"
    tool.ok(*words[1:])


def test_example_of_probe_works(tool, firmware, serve):
    server = serve(firmware.path("1MB.app2"))
    example = tool.ok("probe", "--help").out.split("\nExample:\n")[1].splitlines()[0]
    words = shlex.split(example.replace(":8888", f":{server.port}"))
    assert "yes" in tool.ok(*words[1:]).out.splitlines()[-1]


def test_example_of_simulate_works(tool, firmware):
    firmware.copy("1MB.app1", tool.cwd / "app1.elf")
    example = tool.ok("simulate", "--help").out.split("\nExample:\n")[1].splitlines()[0]
    one = Device(*shlex.split(example)[2:], cwd=tool.cwd)
    try:
        one.wait_for(r"^firmware: build \d+ runs in slot user1$")
        assert one.stop() == OK
    finally:
        one.end()


def test_example_of_serve_works(tool, firmware, serve):
    firmware.copy("1MB.app1", tool.cwd / "app1.elf")
    firmware.copy("1MB.app2", tool.cwd / "app2.elf")
    example = tool.ok("serve", "--help").out.split("\nExample:\n")[1].splitlines()[0]
    words = shlex.split(example)
    server = serve(*words[2:], "--port", "0", "--bind", "127.0.0.1", command=("serve",))
    assert server.get("/user1.bin").status == 200


def test_version(tool):
    assert re.fullmatch(r"espimagetool \d+\.\d+\.\d+\n", tool.ok("--version").out)


def test_no_command(tool):
    assert_refused(tool(), USAGE, "--help")


@pytest.mark.parametrize("line", [["--help"], ["--version"], ["maps"], ["maps", "--json"],
                                  ["convert", "--help"], ["completion", "bash"],
                                  ["completion", "zsh"], ["completion", "fish"]], ids=" ".join)
def test_full_standard_output(tool, line):
    with open("/dev/full", "wb") as full:
        result = tool(*line, stdout=full)
    assert_refused(result, IO, "standard output")


@pytest.mark.parametrize("command", ["info", "verify"])
@pytest.mark.parametrize("options", [[], ["--json"]], ids=str)
def test_full_standard_output_of_reports(tool, firmware, command, options):
    with open("/dev/full", "wb") as full:
        result = tool(command, *options, str(firmware.path("1MB.app1")), stdout=full)
    assert_refused(result, IO, "standard output", "No space left")


@pytest.mark.parametrize("word,hint", [("convrt", "convert"), ("serv", "serve"),
                                       ("verfy", "verify"), ("map", "maps"), ("inf", "info")])
def test_mistyped_command(tool, word, hint):
    assert_refused(tool(word), USAGE, word, f"did you mean '{hint}'?")
    assert_refused(tool(word, "--json"), USAGE, word, f"did you mean '{hint}'?")


@pytest.mark.parametrize("word,hint", [("convrt", "convert"), ("serv", "serve")])
def test_mistyped_command_with_an_elf(tool, firmware, word, hint):
    """Not one of ESPImageTool's command lines: nothing must be converted."""
    firmware.copy("1MB.app1", tool.cwd / "app1.elf")
    result = tool(word, "app1.elf")
    assert_refused(result, USAGE, word, f"did you mean '{hint}'?")
    assert tool.files() == ["app1.elf"]


def test_unknown_command(tool):
    assert_refused(tool("frobnicate"), USAGE, "frobnicate", "--help")
    assert_refused(tool("--frobnicate"), USAGE, "--frobnicate", "--help")


@pytest.mark.parametrize("line,hint", [
    (["convert", "--flash-sise", "1MB", "x.elf"], "--flash-size"),
    (["convert", "--profle", "sdk", "x.elf"], "--profile"),
    (["convert", "--outdir", "x", "x.elf"], "--out-dir"),
    (["verify", "--ap", "--aap", "x.bin"], "--app"),
    (["serve", "--prot", "1", "x.elf"], "--port"),
    (["info", "--jsn", "x.elf"], "--json")], ids=lambda v: v if isinstance(v, str) else None)
def test_mistyped_option(tool, line, hint):
    assert_refused(tool(*line), USAGE, f"{line[0]}: ", hint)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("option", ["--frobnicate", "-Z"])
def test_unknown_option(tool, command, option):
    assert_refused(tool(command, option, "x"), USAGE, f"{command}: ", option)


@pytest.mark.parametrize("line,words", [
    (["convert", "-fs", "3MB", "x.elf"], ["3MB", "512KB 256KB 1MB"]),
    (["convert", "-fm", "spi", "x.elf"], ["spi", "qio qout dio dout"]),
    (["convert", "-ff", "50m", "x.elf"], ["50m", "40m 26m 20m 80m"]),
    (["convert", "--profile", "x", "x.elf"], ["'x'", "gen_appbin"]),
    (["convert", "--app", "3", "x.elf"], ["'3'", "from 1 to 2"]),
    (["convert", "--app", "", "x.elf"], ["''", "from 1 to 2"]),
    (["verify", "--for", "x", "x.bin"], ["'x'", "boot rboot ota2 ota3"]),
    (["verify", "--ota-size", "1", "x.bin"], ["'1'", "number"]),
    (["verify", "--ota-size", "-4096", "x.bin"], ["'-4096'", "number"]),
    (["serve", "--port", "65536", "x.elf"], ["'65536'", "65535"]),
    (["serve", "--port", "http", "x.elf"], ["'http'", "65535"]),
    (["serve", "--port", "-1", "x.elf"], ["'-1'", "65535"]),
    (["serve", "--port", "99999999999999999999999", "x.elf"], ["65535"]),
    (["serve", "--port", " 1", "x.elf"], ["65535"]),
    (["convert", "-o"], ["-o", "value"]),
    (["convert", "x.elf", "--app"], ["--app", "value"]),
    (["convert"], ["no ELF"]), (["info"], ["no file"]), (["verify"], ["no file"]),
    (["serve"], ["one or two ELF"]), (["serve", "a.elf", "b.elf", "c.elf"], ["one or two ELF"]),
    (["serve", "--app", "1", "a.elf", "b.elf"], ["--app"]),
    (["maps", "x"], ["no file"]), (["completion"], ["bash, zsh or fish"]),
    (["completion", "tcsh"], ["bash, zsh or fish"]),
    (["completion", "bash", "zsh"], ["bash, zsh or fish"]),
    (["convert", "--no-boot", "--app", "1", "x.elf"], ["--no-boot", "--app"]),
    (["convert", "--no-boot", "-o", "x.bin", "x.elf"], ["-o"]),
    (["convert", "--boot", "b", "-o", "x.bin", "x.elf"], ["--boot", "-o"])],
    ids=lambda v: " ".join(v))
def test_wrong_usage(tool, line, words):
    result = tool(*line)
    assert_refused(result, USAGE, f"{line[0]}: ", *words)
    assert result.out == "" and tool.files() == []


# ---- maps ----

def test_maps_table(tool):
    out = tool.ok("maps").out
    rows = {r[1]: r for r in (line.split() for line in out.splitlines()) if r and r[0].isdigit()}
    assert set(rows) == set(image.MAPS) | {"256KB"}
    legacy = {name: old for old, name in image.LEGACY_NAMES.items()}
    for name, (code, _, slots, limit, link) in image.MAPS.items():
        half = {0x41000: 256, 0x81000: 512, 0x101000: 1024}[slots[1]]
        assert rows[name] == [str(code), name, legacy.get(name, "-"), f"{half}+{half}",
                              "0x01000", f"0x{slots[1]:06X}", f"0x{limit:05X}",
                              f"0x{link[0]:08X}", f"0x{link[1]:08X}"]
    assert rows["256KB"] == ["1", "256KB", "2m", "none"]
    assert out.endswith("\nNo update brings more than 0xF0000 bytes, 240 sectors, to any slot\n")


def test_maps_drawing_is_to_scale(tool):
    out = tool.ok("maps").out
    drawings = dict(re.findall(r"^(\S+) +0 \|(.{64})\| 0x[0-9A-F]+$", out, re.MULTILINE))
    assert set(drawings) == set(image.MAPS) | {"256KB"}
    for name, (_, size_kb, slots, limit, _) in image.MAPS.items():
        cell = size_kb * 1024 // 64
        for app in (1, 2):
            middle = (slots[app - 1] + limit // 2) // cell
            assert drawings[name][middle] == str(app), name
        assert drawings[name][0] == "B" and drawings[name][-1] == "S"
        share = drawings[name].count("1") / 64
        assert abs(share - limit / (size_kb * 1024)) <= 2 / 64, name


def test_maps_json(tool):
    document = tool.ok("maps", "--json").json()
    slot = {"app": int, "flash_address": Hex(5), "limit": Hex(5), "link": Hex(8),
            "linker_script": str}
    assert_shape(document, {"schema_version": 1, "command": "maps", "maps": [
        {"name": str, "code": int, "flash_size": Hex(6), "legacy_name": Maybe(str),
         "windowed": bool, "slots": [slot], "remark": str}]}, optional=["remark"])
    maps = {m["name"]: m for m in document["maps"]}
    assert set(maps) == set(image.MAPS) | {"256KB"}
    legacy = {name: old for old, name in image.LEGACY_NAMES.items()}
    for name, (code, size_kb, slots, limit, link) in image.MAPS.items():
        m = maps[name]
        assert (m["code"], int(m["flash_size"], 16)) == (code, size_kb * 1024)
        assert m["legacy_name"] == legacy.get(name)
        assert m["windowed"] == (link[0] == link[1])
        assert [int(s["flash_address"], 16) for s in m["slots"]] == list(slots)
        assert [int(s["link"], 16) for s in m["slots"]] == list(link)
        assert {int(s["limit"], 16) for s in m["slots"]} == {limit}
        assert ("remark" in m) == (name in ("8MB", "16MB"))
    assert maps["256KB"]["slots"] == []
    assert [s["linker_script"] for s in maps["1MB"]["slots"]] == \
        ["eagle.app.v6.new.1024.app1.ld", "eagle.app.v6.new.1024.app2.ld"]
    assert {s["linker_script"] for s in maps["2MB-c1"]["slots"]} == {"eagle.app.v6.new.2048.ld"}


def test_colours_only_on_a_terminal(tool, firmware):
    for line in (["verify", str(firmware.path("1MB.app1"))], ["info", str(firmware.path("rboot"))]):
        assert "\x1b" not in tool.ok(*line, env={"TERM": "xterm"}).out


def test_options_are_unique(tool):
    for command in COMMANDS:
        names = options_of(tool, command)
        assert len(names) == len(set(names)) and "help" in names


def test_run_path_has_no_empty_element():
    """An empty element is the current directory: libraries would be loaded from there."""
    dynamic = subprocess.run(["readelf", "-dW", PROGRAM], capture_output=True, text=True,
                             check=True).stdout
    assert "(NEEDED)" in dynamic
    for path in re.findall(r"\((?:RPATH|RUNPATH)\).*\[(.*)\]", dynamic):
        assert all(path.split(":")), path
