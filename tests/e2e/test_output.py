# SPDX-License-Identifier: MIT
"""convert: where the bytes go, and what is left behind when they cannot."""

import os
import pathlib
import shutil
import signal
import subprocess
import time

import pytest

from image import assert_image_of
from tool import (BAD_INPUT, IO, NO_CREATE, NOT_ALL, OK, PROGRAM, USAGE, assert_refused)


@pytest.fixture
def app1(tool, firmware):
    return firmware.copy("1MB.app1", tool.cwd / "app.elf")


@pytest.fixture(scope="module")
def wanted(firmware, tmp_path_factory):
    """The image of 1MB.app1, checked."""
    path = tmp_path_factory.mktemp("wanted") / "x.bin"
    subprocess.run([PROGRAM, "convert", "-o", str(path), str(firmware.path("1MB.app1"))],
                   check=True, timeout=30, stdout=subprocess.DEVNULL)
    assert_image_of(path.read_bytes(), firmware.elf("1MB.app1"), 1)
    return path.read_bytes()


def test_beside_the_elf(tool, firmware, wanted):
    (tool.cwd / "deep").mkdir()
    firmware.copy("1MB.app1", tool.cwd / "deep" / "my.app.elf")
    result = tool.ok("convert", "deep/my.app.elf")
    assert result.out.startswith("deep/my.app-user1.bin: ")
    assert (tool.cwd / "deep" / "my.app-user1.bin").read_bytes() == wanted


@pytest.mark.parametrize("name,stem", [("app", "app"), ("app.out", "app"), (".elf", ".elf"),
                                       ("a b.elf", "a b"), ("ü.elf", "ü")])
def test_names(tool, firmware, wanted, name, stem):
    firmware.copy("1MB.app1", tool.cwd / name)
    tool.ok("convert", "--", name)
    assert (tool.cwd / f"{stem}-user1.bin").read_bytes() == wanted


def test_name_that_begins_with_a_hyphen(tool, firmware, wanted):
    firmware.copy("1MB.app1", tool.cwd / "--odd_name.elf")
    tool.ok("convert", "--", "--odd_name.elf")
    assert (tool.cwd / "--odd_name-user1.bin").read_bytes() == wanted


def test_output_file(tool, app1, wanted):
    for option in (["-o", "x.bin"], ["--output", "y.bin"], ["--output=z.bin"], ["-ow.bin"]):
        tool.ok("convert", *option, app1.name)
    for name in "wxyz":
        assert (tool.cwd / f"{name}.bin").read_bytes() == wanted
    assert "app-user1.bin" not in tool.files()


def test_output_is_standard_output(tool, app1, wanted):
    result = tool("convert", "-o", "-", app1.name)
    assert result.status == OK
    assert result.raw == wanted, "the image and nothing else"
    assert "user1 at 0x01000" in result.err and "sha256" in result.err
    assert tool.files() == ["app.elf"]


def test_json_and_image_cannot_share_standard_output(tool, app1):
    result = tool("convert", "-o", "-", "--json", app1.name)
    assert_refused(result, USAGE, "--json", "-o -")
    assert result.raw == b""


@pytest.mark.parametrize("options", [["-o", "x.bin", "--out-dir", "."]], ids=str)
def test_output_and_folder_exclude_each_other(tool, app1, options):
    assert_refused(tool("convert", *options, app1.name), USAGE, "-o", "--out-dir")


def test_output_takes_one_elf(tool, app1):
    assert_refused(tool("convert", "-o", "x.bin", app1.name, app1.name), USAGE, "-o", "--out-dir")
    assert tool.files() == ["app.elf"]


@pytest.mark.parametrize("folder", ["out", "out/", "./out//", "out/../out"])
def test_folder(tool, app1, wanted, folder):
    (tool.cwd / "out").mkdir()
    result = tool.ok("convert", "--out-dir", folder, app1.name)
    assert tool.files() == ["app.elf", "out/app-user1.bin"]
    assert (tool.cwd / "out/app-user1.bin").read_bytes() == wanted
    named = result.out.split(":")[0]
    assert (tool.cwd / named).samefile(tool.cwd / "out/app-user1.bin"), "the report names it"


@pytest.mark.parametrize("options", [["--out-dir", "missing"], ["--out-dir", "missing/"],
                                     ["--out-dir", "app.elf"], ["-o", "missing/x.bin"],
                                     ["-o", "."], ["-o", "app.elf/x.bin"],
                                     ["-o", "n" * 300 + ".bin"], ["-o", ""]], ids=str)
def test_output_that_cannot_be_created(tool, app1, options):
    result = tool("convert", *options, app1.name)
    assert_refused(result, NO_CREATE, "cannot create")
    assert tool.files() == ["app.elf"]


def test_overlong_path(tool, app1):
    assert_refused(tool("convert", "-o", "x/" * 2100 + "x.bin", app1.name), NO_CREATE)


def test_output_is_a_full_device(tool, app1):
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full")
    result = tool("convert", "-o", "/dev/full", app1.name)
    assert_refused(result, IO, "/dev/full", "No space left")
    with open("/dev/full", "wb") as full:
        result = tool("convert", "-o", "-", app1.name, stdout=full)
    assert result.status == IO
    assert any("No space left" in e for e in result.errors), result
    assert "sha256" not in result.err, "what was not written is not reported"
    with open("/dev/full", "wb") as full:
        result = tool("convert", app1.name, stdout=full)
    assert_refused(result, IO, "standard output", "No space left")


def test_output_is_a_null_device(tool, app1):
    tool.ok("convert", "-o", "/dev/null", app1.name)
    assert not os.path.isfile("/dev/null")


def test_existing_file_is_replaced_at_once(tool, app1, wanted):
    target = tool.cwd / "app-user1.bin"
    target.write_bytes(b"old")
    before = target.stat().st_ino
    with open(target, "rb") as old:
        tool.ok("convert", app1.name)
        assert old.read() == b"old", "who has it open keeps the old one, whole"
    assert target.stat().st_ino != before
    assert target.read_bytes() == wanted
    assert tool.files() == ["app-user1.bin", "app.elf"], "no temporary file is left"


def test_existing_file_survives_a_failure(tool, firmware):
    firmware.copy("rboot", tool.cwd / "app.elf")
    (tool.cwd / "app-user1.bin").write_bytes(b"old")
    assert tool("convert", "app.elf").status == BAD_INPUT
    assert (tool.cwd / "app-user1.bin").read_bytes() == b"old"


def test_mode_of_a_new_file(tool, app1):
    old = os.umask(0o027)
    try:
        tool.ok("convert", app1.name)
    finally:
        os.umask(old)
    assert (tool.cwd / "app-user1.bin").stat().st_mode & 0o777 == 0o640


def test_symlink_is_followed(tool, app1, wanted):
    (tool.cwd / "real").mkdir()
    (tool.cwd / "real/x.bin").write_bytes(b"old")
    (tool.cwd / "link.bin").symlink_to("real/x.bin")
    tool.ok("convert", "-o", "link.bin", app1.name)
    assert (tool.cwd / "link.bin").is_symlink()
    assert (tool.cwd / "real/x.bin").read_bytes() == wanted
    assert tool.files() == ["app.elf", "link.bin", "real/x.bin"]


def test_symlink_to_a_file_not_yet_there_is_followed(tool, app1, wanted):
    (tool.cwd / "real").mkdir()
    (tool.cwd / "link.bin").symlink_to("real/x.bin")
    tool.ok("convert", "-o", "link.bin", app1.name)
    assert (tool.cwd / "link.bin").is_symlink(), "the link was replaced by the file"
    assert (tool.cwd / "real/x.bin").read_bytes() == wanted


def test_the_elf_itself_is_no_output(tool, app1):
    before = app1.read_bytes()
    result = tool("convert", "-o", app1.name, app1.name)
    assert app1.read_bytes() == before, "the ELF was overwritten with its image"
    assert result.status != OK


# The least that --boot takes: the header of an image without segments.
BOOTLOADER = bytes([0xE9, 0, 0, 0]) + bytes(12)


def test_the_bootloader_is_never_overwritten(tool, app1):
    boot = tool.cwd / "app-boot.bin"
    boot.write_bytes(BOOTLOADER)
    before = boot.read_bytes()
    run = tool("convert", "--boot", boot.name, app1.name)
    assert run.status == USAGE
    assert "the output app-boot.bin is the input app-boot.bin" in run.err
    assert boot.read_bytes() == before


def test_another_elf_is_never_overwritten(tool, app1):
    other = tool.cwd / "app-user1.bin"
    other.write_bytes(app1.read_bytes())
    run = tool("convert", "--flash-size", "1MB", app1.name, other.name)
    assert "the output app-user1.bin is the input app-user1.bin" in run.err
    assert other.read_bytes() == app1.read_bytes()


def test_permissions_survive_and_protect(tool, app1, wanted):
    target = tool.cwd / "app-user1.bin"
    target.write_bytes(b"old")
    target.chmod(0o600)
    tool.ok("convert", app1.name)
    assert target.read_bytes() == wanted
    assert target.stat().st_mode & 0o777 == 0o600
    target.write_bytes(b"old")
    target.chmod(0o444)
    run = tool("convert", app1.name)
    assert run.status == NO_CREATE
    assert "app-user1.bin: is write-protected (mode 0444)" in run.err
    assert target.read_bytes() == b"old"


def test_output_is_a_pipe(tool, app1, wanted):
    fifo = tool.cwd / "fifo"
    os.mkfifo(fifo)
    reader = subprocess.Popen(["cat", str(fifo)], stdout=subprocess.PIPE)
    try:
        tool.ok("convert", "-o", "fifo", app1.name)
        out, _ = reader.communicate(timeout=10)
    finally:
        reader.kill()
        reader.wait()
    assert out == wanted


def test_reader_that_goes_away(tool, app1):
    """`espimagetool convert -o - x.elf | head -c 4` ends, and writes no file."""
    done = subprocess.run(["sh", "-c", '"$0" convert -o - app.elf 2>err | head -c 4', PROGRAM],
                          cwd=tool.cwd, timeout=20, capture_output=True, check=False)
    assert done.stdout == b"\xEA\x04\x00\x01"


def interrupted_batch(tool, names, number):
    """(exit status, files left) of a batch that gets a signal after its first outputs."""
    out = tool.cwd / "out"
    out.mkdir()
    with open(tool.cwd / "log", "wb") as log:
        child = subprocess.Popen([PROGRAM, "convert", "--out-dir", "out", *names], cwd=tool.cwd,
                                 stdout=log, stderr=log)
        limit = time.monotonic() + 20
        while len(os.listdir(out)) < 5 and child.poll() is None and time.monotonic() < limit:
            time.sleep(0.001)
        os.kill(child.pid, number)
        status = child.wait(timeout=20)
    left = {name: (out / name).read_bytes() for name in os.listdir(out)}
    shutil.rmtree(out)
    return status, left


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_leaves_no_temporary_file(tool, app1, wanted, number):
    (tool.cwd / "in").mkdir()
    names = [f"in/{i}.elf" for i in range(1000)]
    for name in names:
        os.link(app1, tool.cwd / name)
    for _ in range(5):  # on a busy computer the batch may end before the signal comes
        status, left = interrupted_batch(tool, names, number)
        if status != OK:
            break
    assert status == -number and 0 < len(left) < len(names)
    assert set(left) <= {f"{i}-user1.bin" for i in range(1000)}, "no temporary file"
    assert set(left.values()) == {wanted}, "whole or not there"


# ---- the same bytes everywhere ----

def test_same_bytes_everywhere(tool, firmware, wanted):
    elf = firmware.copy("1MB.app1", tool.cwd / "app.elf")
    os.utime(elf, (1, 1))
    (tool.cwd / "elsewhere").mkdir()
    for env in ({"LC_ALL": "C"}, {"LC_ALL": "tr_TR.UTF-8"}, {"LC_ALL": "de_DE.UTF-8"},
                {"TZ": "Asia/Kathmandu"}, {"POSIXLY_CORRECT": "1"}):
        for cwd, path in ((tool.cwd, "app.elf"), (tool.cwd / "elsewhere", "../app.elf"),
                          (pathlib.Path("/"), str(elf))):
            result = tool("convert", "--flash-mode", "QIO", "-fs", "1MB", "-o", "-", path,
                          cwd=cwd, env=env)
            assert result.status == OK and result.raw == wanted, env


@pytest.mark.parametrize("profile", ["sdk", "gen_appbin", "esptool", "rboot", "espruino", "rtos1"])
def test_twice_is_the_same(tool, firmware, profile):
    elf = str(firmware.path("three-irom.app1"))
    runs = {tool("convert", "--profile", profile, "-o", "-", elf).raw for _ in range(3)}
    assert len(runs) == 1 and runs != {b""}


# ---- file names that are not text ----

def test_file_name_that_is_not_utf8(tool, firmware, wanted):
    name = b"caf\xe9.elf"
    path = os.path.join(os.fsencode(tool.cwd), name)
    with open(path, "wb") as f:
        f.write(firmware.path("1MB.app1").read_bytes())
    tool.ok("convert", name)
    with open(os.path.join(os.fsencode(tool.cwd), b"caf\xe9-user1.bin"), "rb") as f:
        assert f.read() == wanted
    (one,) = tool.ok("convert", "--json", name).json()["images"]
    assert one["file"].startswith("caf") and one["file"].endswith("-user1.bin")
    with open(path, "wb") as f:
        f.write(b"no ELF")
    result = tool("convert", "--json", name)
    assert result.status == BAD_INPUT and len(result.errors) == 1
    assert result.json()["errors"][0]["file"].startswith("caf")


@pytest.mark.parametrize("name", ["two\nlines.elf", "esc\x1b[31m.elf", "tab\t.elf"], ids=repr)
def test_control_characters_in_a_file_name(tool, firmware, name):
    (tool.cwd / name).write_bytes(b"no ELF")
    result = tool("convert", name)
    assert_refused(result, BAD_INPUT)
    assert "\x1b" not in result.err
    firmware.copy("iram-big.app1", tool.cwd / name)
    result = tool("convert", name)
    assert result.status == OK
    assert len(result.errors) == 1, f"one line for the one warning\n{result}"
    assert len(result.out.splitlines()) == 2, f"two lines for the one image\n{result}"
    assert "\x1b" not in result.err + result.out


def test_bad_and_good_in_json_and_folder(tool, firmware):
    (tool.cwd / "out").mkdir()
    result = tool("convert", "--json", "--out-dir", "out", str(firmware.path("rboot")),
                  str(firmware.path("1MB.app1")))
    assert result.status == NOT_ALL
    assert tool.files() == ["out/1MB.app1-user1.bin"]
