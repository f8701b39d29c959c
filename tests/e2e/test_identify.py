# SPDX-License-Identifier: MIT
"""Every file by its right name: what info and verify say of files that are not right images."""

import pytest

from odd_files import ARDUINO_ELF, ESP32_ELF, RTOS3_ELF, good, odd_files
from tool import BAD_INPUT, NOT_ALL, OK, assert_refused

FILES = odd_files()


def known(case):
    name, which = case
    return f"{name}: {which}" if which else name


@pytest.mark.parametrize("case", FILES, ids=known)
def test_verify_names_it(tool, case):
    data, words = FILES[case]
    (tool.cwd / "x.bin").write_bytes(data)
    result = tool("verify", "--json", "x.bin")
    assert result.status in (OK, NOT_ALL, BAD_INPUT)
    if case[0] == "flash":
        assert [r["part"] for r in result.json()["reports"]] == ["user1"]
        return
    (report,) = result.json()["reports"]
    assert report["mistake"] == case[0]
    for word in words:
        assert word in report["mistake_text"], word


def test_right_images_have_no_mistake(tool):
    for app in (1, 2):
        (tool.cwd / "x.bin").write_bytes(good(app))
        (report,) = tool.ok("verify", "--json", "x.bin").json()["reports"]
        assert (report["mistake"], report["mistake_text"]) == ("none", "")


@pytest.mark.parametrize("case", [c for c in FILES if FILES[c][0][:1] not in (b"\xEA", b"\xE9")
                                  and c[0] not in ("elf",)], ids=known)
def test_info_names_what_is_not_an_image(tool, case):
    data, words = FILES[case]
    (tool.cwd / "x.bin").write_bytes(data)
    result = tool("info", "x.bin")
    assert result.status == BAD_INPUT and len(result.errors) == 1
    for word in words:
        assert word in result.err, word


@pytest.mark.parametrize("case", [c for c in FILES if FILES[c][0][:1] in (b"\xEA", b"\xE9")
                                  and c[0] != "flash"], ids=known)
def test_info_names_images(tool, case):
    data, words = FILES[case]
    (tool.cwd / "x.bin").write_bytes(data)
    text = tool.ok("info", "x.bin").out
    for word in words:
        assert word in text, word
    (one,) = tool.ok("info", "--json", "x.bin").json()["files"]
    assert one["mistake"] == case[0]
    for word in words:
        assert word in one["mistake_text"], word


def written(tool, data):
    (tool.cwd / "x.elf").write_bytes(data)
    return "x.elf"


@pytest.mark.parametrize("command", [["convert"], ["convert", "--profile", "rboot"], ["verify"],
                                     ["factory", "--no-boot", "-fs", "1MB", "-o", "f.bin"]], ids=str)
def test_rtos3_elf_is_refused_without_a_wall(tool, command):
    result = tool(*command, written(tool, RTOS3_ELF))
    assert_refused(result, BAD_INPUT, "RTOS SDK 3", "0x40210010", "esptool", "esp_https_ota")
    assert "rboot" not in result.err.lower()
    assert tool.files() == ["x.elf"]


@pytest.mark.parametrize("command", [["convert"], ["info"], ["verify"]], ids=str)
def test_esp32_elf_is_named(tool, command):
    assert_refused(tool(*command, written(tool, ESP32_ELF)), BAD_INPUT,
                   "ESP32", ".iram0.vectors at 0x40080000", "ESP8266")


def test_arduino_elf_converts_with_a_word(tool):
    result = tool("convert", "-fs", "1MB", written(tool, ARDUINO_ELF))
    assert result.status == OK and len(result.errors) == 1
    for word in ("warning", "Arduino sketch", "eboot", "ArduinoOTA"):
        assert word in result.err, word
    assert tool.files() == ["x-user1.bin", "x.elf"]


@pytest.mark.parametrize("data, layout, words", [
    (ARDUINO_ELF, "arduino", ["Arduino sketch", "app1 of 512KB", "eboot"]),
    (RTOS3_ELF, "rtos3", ["RTOS SDK 3", "esp_https_ota"])], ids=["arduino", "rtos3"])
def test_info_of_elves_of_other_worlds(tool, data, layout, words):
    text = tool.ok("info", written(tool, data)).out
    for word in words:
        assert word in text, word
    assert tool.ok("info", "--json", "x.elf").json()["files"][0]["layout"] == layout


def test_old_layout_elf(tool, firmware):
    result = tool("convert", str(firmware.path("old-boot.app1")))
    assert_refused(result, BAD_INPUT, "old layout", "eagle.app.v6.new", "1.4 to 1.7")
