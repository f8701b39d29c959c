# SPDX-License-Identifier: MIT
"""serve: what only shows on a real network, with large images and slow readers."""

import time

import pytest

import server as server_module
from server import Answer, read_to_end

# The text of the vendor's sample, and the stray CR behind it.
SAMPLE = b"%s /user%d.bin HTTP/1.0\r\nConnection: close\r\n\r\n\r"


@pytest.fixture(scope="module")
def large(firmware, tmp_path_factory):
    one = server_module.Server(firmware.path("2MB-c1.large"),
                               cwd=tmp_path_factory.mktemp("large"))
    yield one
    assert one.stop() == 0


@pytest.mark.parametrize("receive_buffer", [None, 4096])
def test_stray_cr_in_the_same_segment(large, receive_buffer):
    wanted = large.get("/user1.bin").body
    with large.connect(receive_buffer=receive_buffer) as s:
        s.sendall(SAMPLE % (b"GET", 1))
        got = s.recv(100)
        time.sleep(0.3)
        got += read_to_end(s)
    assert Answer(got).body == wanted


@pytest.mark.parametrize("receive_buffer", [None, 4096])
def test_stray_cr_loses_nothing_of_a_large_image(large, receive_buffer):
    """Unread input turns the close after the answer into a reset, and the end would be lost."""
    wanted = large.get("/user1.bin").body
    request = SAMPLE % (b"GET", 1)
    with large.connect(receive_buffer=receive_buffer) as s:
        s.sendall(request[:-1])
        got = s.recv(100)
        s.sendall(request[-1:])
        time.sleep(0.3)
        got += read_to_end(s)
    assert Answer(got).body == wanted
