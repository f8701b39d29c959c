# SPDX-License-Identifier: MIT
"""serve: a device that takes two minutes and does not read for most of one is not cut off."""

import socket
import time

import server as server_module
from server import Answer

SECONDS, PAUSE = 120, 50


def test_slow_reader_with_a_long_pause(firmware, tmp_path):
    server = server_module.Server(firmware.path("2MB-c1.large"), cwd=tmp_path)
    try:
        with server.connect(receive_buffer=4096, timeout=20) as s:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1460)
            began = time.monotonic()
            s.sendall(b"GET /user1.bin HTTP/1.0\r\nConnection: close\r\n\r\n\r")
            got = b""
            paused = False
            while True:
                passed = time.monotonic() - began
                if not paused and passed > (SECONDS - PAUSE) / 2:
                    time.sleep(PAUSE)
                    paused = True
                    continue
                # As fast as it takes to be done on time, and no faster.
                due = 600000 * (passed - (PAUSE if paused else 0)) / (SECONDS - PAUSE)
                if len(got) > due:
                    time.sleep(0.05)
                    continue
                part = s.recv(5840)
                if not part:
                    break
                got += part
        took = time.monotonic() - began
        assert paused and took > SECONDS * 0.95
        assert len(Answer(got).body) > 590000
        server.wait_for(r"GET /user1\.bin user1 200 build 1, (\d+) of \1 bytes")
    finally:
        assert server.stop() == 0
