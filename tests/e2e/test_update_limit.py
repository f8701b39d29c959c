# SPDX-License-Identifier: MIT
"""The longest image that an update can bring: 240 sectors, though a slot of 1024+1024 has 250."""

import pytest

from test_convert import patched_irom
from tool import NOT_ALL, OK

LIMIT = 240 * 4096


@pytest.fixture(scope="module")
def elfs(firmware, tmp_path_factory):
    """Below and above the limit: 982,388 and 983,412 bytes."""
    folder = tmp_path_factory.mktemp("limit")
    for name, kilobytes in (("below", 959), ("above", 960)):
        patched_irom(firmware.path("2MB-c1.large"), folder / f"{name}.elf", kilobytes)
    return folder


def test_convert_warns(tool, elfs):
    result = tool("convert", "-fs", "2MB-c1", "--app", "1", "-o", "a.bin", elfs / "above.elf")
    assert result.status == OK
    assert (tool.cwd / "a.bin").stat().st_size > LIMIT
    assert "no update can bring it" in result.err and str(LIMIT) in result.err


def test_factory_warns(tool, elfs):
    tool("convert", "-fs", "2MB-c1", "--app", "1", "-o", "a.bin", elfs / "above.elf")
    for source in (elfs / "above.elf", "a.bin"):
        result = tool("factory", "-fs", "2MB-c1", "--no-boot", "-o", "flash.bin", source)
        assert result.status == OK
        assert "no update can bring it" in result.err, result


def test_verify_fails_it_for_the_upgrade_library(tool, elfs):
    for name, accepted in (("below", True), ("above", False)):
        tool("convert", "-fs", "2MB-c1", "--app", "1", "-o", "a.bin", elfs / f"{name}.elf")
        assert tool("verify", "--for", "boot", "a.bin").status == OK
        for consumer in ("ota2", "ota3"):
            assert (tool("verify", "--for", consumer, "a.bin").status == OK) == accepted
        status = tool("verify", "--for", "ota3", "--ota-size", "0x100000", "a.bin").status
        assert status == (OK if accepted else NOT_ALL)


def test_serve_refuses_it(serve, elfs):
    server = serve("-fs", "2MB-c1", elfs / "above.elf")
    answer = server.get("/user1.bin", method="HEAD")
    assert (answer.status, answer.length) == (503, 0)
    server.wait_for(f"at most {LIMIT}")


def test_serve_refuses_it_after_a_build(serve, elfs, tmp_path):
    """HEAD gets a length of 0, so no device waits for its time to be up."""
    path = tmp_path / "firmware.elf"
    path.write_bytes((elfs / "below.elf").read_bytes())
    server = serve("-fs", "2MB-c1", path)
    assert server.get("/user1.bin", method="HEAD").length <= LIMIT
    path.write_bytes((elfs / "above.elf").read_bytes())
    answer = server.get("/user1.bin", method="HEAD")
    assert (answer.status, answer.length) == (503, 0)
    server.wait_for(f"at most {LIMIT}")
