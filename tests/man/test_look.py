# SPDX-License-Identifier: MIT
"""The man pages are shown without complaint, and fit a terminal."""

import os
import re
import shutil
import subprocess

import pytest

from pages import PAGES, TIMEOUT


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_mandoc_has_no_complaint(page):
    if shutil.which("mandoc") is None:
        pytest.skip("mandoc not found (on Debian: apt-get install mandoc)")
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
