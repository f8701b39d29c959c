# SPDX-License-Identifier: MIT
"""A running `serve`, and HTTP spoken byte by byte."""

import os
import re
import selectors
import signal
import socket
import subprocess
import time

from child import Child

START_SECONDS = 15
STOP_SECONDS = 15


class Server(Child):
    """`serve --port 0` as a child."""

    WAIT_SECONDS = STOP_SECONDS
    LOG_SECONDS = 10
    ERRORS = "surrogateescape"

    def __init__(self, *args, cwd, command=("serve", "--port", "0"), stderr=None, wrapper=(),
                 env=None, pass_fds=()):
        super().__init__("serve", (*command, *args), cwd, stderr, wrapper,
                         env=dict(os.environ, **(env or {})), pass_fds=pass_fds)
        try:
            found = self.wait_for(r"Serving on port (\d+)", START_SECONDS)
        except BaseException:
            self.end()
            raise
        self.port = int(found.group(1))
        # The URLs follow in the same write.
        self.wait_for(rf":{self.port}/(?:[^/\n]+/)?user\d\.bin\n", START_SECONDS)

    def end(self):
        if self.process.poll() is not None:
            return
        limit = time.monotonic() + STOP_SECONDS
        while self.process.poll() is None and time.monotonic() < limit:
            self.kill(signal.SIGINT)  # the second one does not wait for downloads
            try:
                self.process.wait(timeout=0.5)
            except subprocess.TimeoutExpired:
                pass
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(timeout=STOP_SECONDS)

    def connect(self, receive_buffer=None, timeout=10, source=None, mss=None):
        """With a segment size, a window and an address of its own, if wanted."""
        s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        s.settimeout(timeout)
        if mss:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, mss)
        if receive_buffer:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source:
            s.bind((source, 0))
        s.connect(("127.0.0.1", self.port))
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return s

    def ask(self, request, source=None):
        """One request, the answer up to the end of the connection."""
        with self.connect(source=source) as s:
            s.sendall(request)
            return Answer(read_to_end(s), head=request.startswith(b"HEAD"))

    def get(self, target, version="1.0", method="GET", source=None):
        lines = [f"{method} {target} HTTP/{version}", "Connection: close", "", ""]
        return self.ask("\r\n".join(lines).encode(), source)


def read_to_end(s, seconds=20):
    """Until the other side closes; a reset is an error, as it is for a device."""
    limit = time.monotonic() + seconds
    parts = []
    while True:
        assert time.monotonic() < limit, "the server did not close"
        part = s.recv(65536)
        if not part:
            return b"".join(parts)
        parts.append(part)


def read_answer(s, head=False, seconds=20):
    """One answer of a connection that stays open."""
    limit = time.monotonic() + seconds
    got = b""
    while b"\r\n\r\n" not in got:
        assert time.monotonic() < limit
        part = s.recv(65536)
        assert part, "closed within the header"
        got += part
    answer = Answer(got, head=head, whole=False)
    wanted = len(answer.header) + (0 if head else answer.length)
    while len(got) < wanted:
        assert time.monotonic() < limit
        part = s.recv(min(65536, wanted - len(got)))
        assert part, "closed within the body"
        got += part
    return Answer(got, head=head)


def nothing_more(s, seconds=0.1):
    """True when the other side sends nothing in that time."""
    with selectors.DefaultSelector() as selector:
        selector.register(s, selectors.EVENT_READ)
        return not selector.select(seconds)


class Answer:
    """Taken apart strictly, as the upgrade library reads it."""

    def __init__(self, raw, head=False, whole=True):
        end = raw.index(b"\r\n\r\n") + 4
        self.header = raw[:end]
        self.body = raw[end:]
        lines = self.header[:-4].decode("ascii").split("\r\n")
        found = re.fullmatch(r"HTTP/1\.[01] (\d{3}) [ -~]+", lines[0])
        assert found, lines[0]
        self.status = int(found.group(1))
        self.fields = [tuple(line.split(": ", 1)) for line in lines[1:]]
        lengths = re.findall(rb"\r\nContent-Length: (\d+)\r\n", self.header)
        assert len(lengths) == 1, f"exactly one Content-Length, in that spelling: {self.header!r}"
        self.length = int(lengths[0])
        names = [name.lower() for name, _ in self.fields]
        assert "transfer-encoding" not in names
        assert "content-encoding" not in names
        assert len(self.header) < 400, "far below one segment"
        if whole:
            assert len(self.body) == (0 if head else self.length)

    def field(self, name):
        values = [v for n, v in self.fields if n.lower() == name.lower()]
        return values[0] if values else None
