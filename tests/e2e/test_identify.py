# SPDX-License-Identifier: MIT
"""Every file by its right name: what info and verify say of files that are not right images."""

import pytest

from odd_files import good, odd_files
from tool import BAD_INPUT, NOT_ALL, OK

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
