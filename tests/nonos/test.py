# SPDX-License-Identifier: MIT
"""examples/nonos-sdk-ota: every setting compiles for the chip and does the right thing here."""

import itertools
import json
import os
import pathlib
import shlex
import shutil
import subprocess

import pytest

HERE = pathlib.Path(__file__).resolve().parent
EXAMPLE = HERE.parents[1] / "examples/nonos-sdk-ota"
TOOL = os.environ["ESPIMAGETOOL"]
CC = os.environ.get("HOST_CC", "cc")
SOURCES = [EXAMPLE / name for name in ("main.c", "partitions.c", "upgrade.c", "web.c")]
MAPS = ["1MB", "2MB", "4MB", "2MB-c1", "4MB-c1"]
CROSS = "xtensa-lx106-elf-"
# The vendor's SDK takes part when NONOS_SDK names it.
REAL_SDK = os.environ.get("NONOS_SDK")
LIBRARIES = "c gcc hal phy pp net80211 lwip wpa main crypto upgrade driver".split()


def _cross_lacks():
    if shutil.which(CROSS + "gcc") is None:
        return f"{CROSS}gcc not found (on Debian: apt-get install gcc-xtensa-lx106)"
    found = subprocess.run([CROSS + "gcc", "-E", "-"], input=b"#include <string.h>\n",
                           capture_output=True, check=False)
    return None if found.returncode == 0 else \
        "no <string.h> for the chip (on Debian: apt-get install picolibc-xtensa-lx106-elf)"


LACKS = _cross_lacks()
needs_cross = pytest.mark.skipif(LACKS is not None, reason=str(LACKS))
needs_sdk = pytest.mark.skipif(LACKS is not None or not REAL_SDK,
                               reason=LACKS or "NONOS_SDK does not name the vendor's SDK")


def run(*args, **kwargs):
    return subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60,
                          universal_newlines=True, **kwargs)


def make(out, *args):
    return run("make", "-s", "-C", str(EXAMPLE), f"OUT={out}", f"ESPIMAGETOOL={TOOL}", *args)


@pytest.fixture
def sdk(tmp_path):
    """The stand-in for the SDK, in a folder with a space in its name."""
    folder = tmp_path / "my sdk"
    (folder / "ld").mkdir(parents=True)
    (folder / "include").symlink_to(HERE / "sdk")
    return folder


def flash_maps():
    maps = json.loads(run(TOOL, "maps", "--json").stdout)["maps"]
    return {m["name"]: m for m in maps}


@needs_cross
@pytest.mark.parametrize("station, name", itertools.product((0, 1), MAPS))
def test_compiles_for_the_chip(tmp_path, sdk, station, name):
    done = make(tmp_path, "objects", f"SDK={sdk}", f"MAP={name}", f"STATION={station}",
                "PASSWORD=12345678", "BUILD=4711", "CFLAGS=-std=gnu11 -Os -Wall -Wextra -Werror "
                "-mlongcalls -mtext-section-literals -fno-tree-loop-distribute-patterns")
    assert done.returncode == 0 and done.stdout == "", done.stdout
    for source in SOURCES:
        listing = run(CROSS + "size", "-A", str(tmp_path / (source.stem + ".o"))).stdout
        lines = [line.split() for line in listing.splitlines() if line.startswith(".")]
        sizes = {name: int(size) for name, size, _ in lines}
        assert sizes[".text"] == 0 and sizes.get(".literal", 0) == 0, "code outside flash"
        assert sizes[".irom0.text"] > 0
    tag = run(CROSS + "objdump", "-s", "-j", ".irom.text", str(tmp_path / "main.o")).stdout
    data = bytes.fromhex("".join("".join(line[6:41].split()) for line in tag.split("\n")
                                 if line.startswith(" 0")))
    assert data.startswith(b"espimagetool-build=4711\0")


@pytest.mark.parametrize("station, name", itertools.product((0, 1), MAPS))
def test_behaves(tmp_path, station, name):
    m = flash_maps()[name]
    slot = m["slots"][1]
    program = tmp_path / "firmware"
    defines = {"STATION": station, "SSID": '"net"', "PASSWORD": '"secret-word"' if station else '""',
               "BUILD": 17, "FLASH_MAP": m["code"], "FLASH": m["flash_size"],
               "USER2": slot["flash_address"], "LIMIT": slot["limit"]}
    built = run(CC, "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-fsanitize=address,undefined",
                *(f"-D{k}={v}" for k, v in defines.items()), f"-I{HERE / 'sdk'}", f"-I{EXAMPLE}",
                "-o", str(program), str(HERE / "test_firmware.c"), *map(str, SOURCES), "-lcmocka")
    assert built.returncode == 0, built.stdout
    done = run(str(program))
    assert done.returncode == 0, done.stdout


@needs_cross
@pytest.mark.parametrize("args, words", [
    ([], "SDK is not set"),
    (["SDK=/nowhere"], "SDK=/nowhere: no ESP8266_NONOS_SDK"),
    (["SDK=/nowhere", "MAP=3MB"], "MAP=3MB: choose 1MB"),
    (["SDK=/nowhere", "MAP=512KB"], "MAP=512KB: too small for SDK 3.x"),
])
def test_wrong_settings(tmp_path, args, words):
    done = make(tmp_path / "out", *args)
    assert done.returncode != 0
    assert words in done.stdout
    assert not (tmp_path / "out").exists()


@needs_cross
def test_compiler_without_a_libc(tmp_path, sdk):
    done = make(tmp_path / "out", f"SDK={sdk}", f"CC={CROSS}gcc -nostdinc")
    assert done.returncode != 0 and not (tmp_path / "out").exists()
    assert "picolibc-xtensa-lx106-elf" in done.stdout


@needs_cross
def test_strings_with_special_characters(tmp_path, sdk):
    """An apostrophe is common in the names of telephones' networks."""
    done = make(tmp_path, "objects", f"SDK={sdk}", "SSID=Bob's \\ \"net\"", "PASSWORD=it's \"8\" \\")
    assert done.returncode == 0 and done.stdout == "", done.stdout
    data = (tmp_path / "main.o").read_bytes()
    assert b"Bob's \\ \"net\"\0" in data and b"it's \"8\" \\\0" in data


@needs_cross
def test_sdk_too_old_or_incomplete(tmp_path, sdk):
    old = tmp_path / "old"
    (old / "include").mkdir(parents=True)
    (old / "include/user_interface.h").write_text("")
    assert "older than 3.0" in make(tmp_path / "out", f"SDK={old}").stdout
    script = sdk / "ld/eagle.app.v6.new.1024.app1.ld"
    for missing in (f"ld/{script.name} is missing", "lib/libc.a is missing"):
        assert missing in make(tmp_path / "out", f"SDK={sdk}").stdout
        script.write_text("")


@pytest.mark.parametrize("name", MAPS)
def test_linker_scripts_are_those_of_the_map(tmp_path, name):
    slots = flash_maps()[name]["slots"]
    wanted = list(dict.fromkeys(s["linker_script"] for s in slots))
    text = run("make", "-pn", "-C", str(EXAMPLE), f"MAP={name}", f"OUT={tmp_path}").stdout
    variables = dict(line.split(" = ", 1) for line in text.splitlines()
                     if line.startswith("script_app"))
    apps = ["app"] if len(wanted) == 1 else ["app1", "app2"]
    assert [variables["script_" + app] for app in apps] == wanted
    assert f"apps := {' '.join(apps)}" in text


@needs_cross
@pytest.mark.parametrize("name", ["1MB", "2MB-c1"])
def test_images_and_flash(tmp_path, sdk, name):
    """With ELFs of the other example in place of linked ones."""
    firmware = pathlib.Path(os.environ["ESPIMAGE_FIRMWARE"])
    args = [f"SDK={sdk}", f"MAP={name}"]
    assert make(tmp_path, "objects", *args).returncode == 0
    pairs = {"app": "2MB-c1"} if "-c1" in name else {"app1": "1MB.app1", "app2": "1MB.app2"}
    for app, layout in pairs.items():
        shutil.copyfile(str(firmware / f"{layout}.elf"), str(tmp_path / f"{app}.elf"))
    done = make(tmp_path, "images", *args)
    assert done.returncode == 0, done.stdout
    images = [tmp_path / f"{list(pairs)[0]}-user1.bin", tmp_path / f"{list(pairs)[-1]}-user2.bin"]
    for image in images:
        assert run(TOOL, "verify", str(image)).returncode == 0
    done = make(tmp_path, "flash", *args)
    assert done.returncode == 0, done.stdout
    (line,) = [shlex.split(done.stdout.replace("\\\n", "").splitlines()[-1])]
    assert line[:2] == ["esptool.py", "--port"] and f"-fs {name} " in done.stdout
    where = [int(word, 16) for word in line if word.startswith("0x")]
    what = [line[line.index(word) + 1] for word in line if word.startswith("0x")]
    top = int(flash_maps()[name]["flash_size"], 16)
    assert dict(zip(where, what)) == {
        0: f"{sdk}/bin/boot_v1.7.bin",
        0x1000: str(images[0]),
        top - 0x5000: f"{sdk}/bin/blank.bin",
        top - 0x4000: f"{sdk}/bin/esp_init_data_default_v08.bin",
        top - 0x3000: f"{sdk}/bin/blank.bin",
        top - 0x2000: f"{sdk}/bin/blank.bin",
        top - 0x1000: f"{sdk}/bin/blank.bin",
    }


SCRIPT = """
ENTRY(%s)
SECTIONS
{
    .text 0x40100000 : { *(.literal .text .literal.* .text.*) }
    .irom0.text 0x40201010 : { *(.irom0.literal .irom0.text .irom.text) }
    .data 0x3FFE8000 : { *(.data .data.* .rodata .rodata.* .bss .bss.* COMMON) }
}
"""


def link(tmp_path, sdk, entry, libraries):
    """`libraries`: name -> C text; the functions of the SDK go to libmain."""
    (sdk / "lib").mkdir()
    for script in ("app1", "app2"):
        (sdk / f"ld/eagle.app.v6.new.1024.{script}.ld").write_text(SCRIPT % entry)
    assert make(tmp_path, "objects", f"SDK={sdk}").returncode == 0
    objects = [str(tmp_path / (source.stem + ".o")) for source in SOURCES]
    names = {flag: {line.split()[-1] for line in run(CROSS + "nm", flag, *objects).stdout.splitlines()
                    if line and not line.endswith(":")} for flag in ("-u", "--defined-only")}
    sdk_names = names["-u"] - names["--defined-only"]
    texts = {"main": "".join(f"void {name}(void) {{}}\n" for name in sdk_names)}
    for library, text in libraries.items():
        texts[library] = texts.get(library, "") + text
    for library in LIBRARIES:
        source = sdk / f"{library}.c"
        source.write_text(texts.get(library, ""))
        built = run(CROSS + "gcc", "-Os", "-w", "-fno-builtin", "-mlongcalls",
                    "-mtext-section-literals", "-c", "-o",
                    str(source.with_suffix(".o")), str(source))
        assert built.returncode == 0, built.stdout
        run(CROSS + "ar", "rcs", str(sdk / f"lib/lib{library}.a"), str(source.with_suffix(".o")))
    return make(tmp_path, f"SDK={sdk}")


# A function that begins with a literal, and calls what keeps the firmware in.
START = "void user_init(void); int %s(void) { user_init(); return 0x12345678; }"


@needs_cross
@pytest.mark.parametrize("entry, library", [("call_user_start", "main"),
                                            ("call_user_start1", "driver")])
def test_entry_point_is_that_of_the_linker_script(tmp_path, sdk, entry, library):
    done = link(tmp_path, sdk, entry, {library: START % entry})
    assert done.returncode == 0 and done.stdout == "", done.stdout
    for app in ("app1", "app2"):
        assert entry_point(tmp_path / f"{app}.elf") == entry


@needs_cross
def test_missing_entry_point_is_an_error(tmp_path, sdk):
    """Otherwise the firmware starts in the literals before the first function."""
    done = link(tmp_path, sdk, "call_user_start1", {"main": START % "call_user_start"})
    assert done.returncode != 0 and "cannot find entry symbol call_user_start1" in done.stdout
    assert not (tmp_path / "app1.elf").exists()


def entry_point(elf):
    """The name of the function there."""
    header = run(CROSS + "readelf", "-h", str(elf)).stdout
    (entry,) = [int(line.split()[-1], 16) for line in header.splitlines() if "Entry point" in line]
    names = [line.split() for line in run(CROSS + "nm", str(elf)).stdout.splitlines()]
    (name,) = [words[2] for words in names
               if len(words) == 3 and words[1] == "T" and int(words[0], 16) == entry]
    return name


HEADERS = {  # what stands alone, and what the others need before them
    "c_types.h": [], "ets_sys.h": [], "os_type.h": [], "osapi.h": [], "ip_addr.h": [],
    "user_interface.h": [], "upgrade.h": ["c_types.h"], "espconn.h": ["ip_addr.h"]}


@needs_cross
@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("of", ["stand-in", pytest.param("vendor", marks=needs_sdk)])
def test_headers_need_what_those_of_the_sdk_need(of, header):
    """So that a wrong order of the example's #include lines fails with the stand-ins, too."""
    include = HERE / "sdk" if of == "stand-in" else pathlib.Path(REAL_SDK, "include")

    def compiles(names):
        text = "".join(f'#include "{name}"\n' for name in names)
        return run(CROSS + "gcc", "-std=gnu11", "-fsyntax-only", f"-I{EXAMPLE}", "-isystem",
                   str(include), "-x", "c", "-", input=text).returncode == 0

    assert compiles([*HEADERS[header], header])
    if HEADERS[header]:
        assert not compiles([header])


@needs_sdk
@pytest.mark.parametrize("name", MAPS)
def test_links_with_the_sdk(tmp_path, name):
    """Without a warning, as an image that every consumer takes."""
    done = make(tmp_path, f"SDK={REAL_SDK}", f"MAP={name}", "images")
    assert done.returncode == 0, done.stdout
    assert "warning" not in done.stdout, done.stdout
    elfs = sorted(tmp_path.glob("*.elf"))
    assert [elf.name for elf in elfs] == (["app.elf"] if "-c1" in name else ["app1.elf", "app2.elf"])
    for elf in elfs:
        script = next(pathlib.Path(REAL_SDK, "ld").glob("eagle.app.v6.new.1024.app1.ld"))
        assert f"ENTRY({entry_point(elf)})" in script.read_text()
    for image in tmp_path.glob("*.bin"):
        assert run(TOOL, "verify", str(image)).returncode == 0
