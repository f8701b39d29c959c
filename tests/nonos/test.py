# SPDX-License-Identifier: MIT
"""examples/nonos-sdk-ota: every setting compiles for the chip and does the right thing here."""

import itertools
import json
import os
import pathlib
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
needs_cross = pytest.mark.skipif(shutil.which(CROSS + "gcc") is None, reason="no compiler")


def run(*args, **kwargs):
    return subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60,
                          universal_newlines=True, **kwargs)


def make(out, *args):
    return run("make", "-s", "-C", str(EXAMPLE), f"OUT={out}", f"ESPIMAGETOOL={TOOL}", *args)


def flash_maps():
    maps = json.loads(run(TOOL, "maps", "--json").stdout)["maps"]
    return {m["name"]: m for m in maps}


@needs_cross
@pytest.mark.parametrize("station, name", itertools.product((0, 1), MAPS))
def test_compiles_for_the_chip(tmp_path, station, name):
    sdk = tmp_path / "sdk"
    (sdk / "ld").mkdir(parents=True)
    (sdk / "include").symlink_to(HERE / "sdk")
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
    (["SDK=/nowhere", "MAP=512KB"], "MAP=512KB: choose 1MB"),
])
def test_wrong_settings(tmp_path, args, words):
    done = make(tmp_path / "out", *args)
    assert done.returncode != 0
    assert words in done.stdout
    assert not (tmp_path / "out").exists()


@needs_cross
def test_sdk_too_old_or_not_whole(tmp_path):
    sdk = tmp_path / "sdk"
    (sdk / "include").mkdir(parents=True)
    (sdk / "include/user_interface.h").write_text("")
    assert "older than 3.0" in make(tmp_path / "out", f"SDK={sdk}").stdout
    shutil.rmtree(str(sdk / "include"))
    (sdk / "include").symlink_to(HERE / "sdk")
    assert "ld/eagle.app.v6.new.1024.app1.ld is missing" in make(tmp_path / "out",
                                                                 f"SDK={sdk}").stdout


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
def test_images_and_flash(tmp_path, name):
    """With ELFs of the other example in place of linked ones."""
    firmware = pathlib.Path(os.environ["ESPIMAGE_FIRMWARE"])
    sdk = tmp_path / "sdk"
    (sdk / "ld").mkdir(parents=True)
    (sdk / "include").symlink_to(HERE / "sdk")
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
    top = int(flash_maps()[name]["flash_size"], 16)
    for part in (f"-fs {name} ", f"0x1000 {images[0]} ", f"0x{top - 0x4000:X} ",
                 f"0x{top - 0x2000:X} "):
        assert part in done.stdout, part
