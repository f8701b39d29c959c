# SPDX-License-Identifier: MIT
"""Small HTTP servers, each wrong in one way, and images to serve with them."""

import gzip
import random
import socket
import struct
import threading
import time

import image as image_format

IRAM = 0x40100000


def make_image(size=20004, app=2, plant=None, seed=1, **kwargs):
    """An image of about `size` bytes (a multiple of 16, and 4 more); plant: {offset: bytes}."""
    irom = bytearray(random.Random(seed).randbytes(max(16, (size - 4) // 16 * 16 - 112)))
    for offset, text in (plant or {}).items():
        irom[offset - 16:offset - 16 + len(text)] = text
    made = image_format.build(bytes(irom), [(IRAM, bytes(range(64)))], entry=IRAM, app=app,
                              size_freq=0x50, **kwargs)
    for offset, text in (plant or {}).items():
        assert made[offset:offset + len(text)] == text
    return made


class BadServer:
    """Calls `behave(connection, method, body)` for every request; a context manager."""

    def __init__(self, behave, body=None, mss=None):
        self.behave = behave
        self.body = make_image() if body is None else body
        self.requests = []
        self.segment_sizes = []
        self.ending = threading.Event()
        self.threads = []
        self.listener = socket.socket()
        if mss is not None:
            self.listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, mss)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen()
        self.listener.settimeout(0.1)
        self.port = self.listener.getsockname()[1]

    def url(self, path="/user2.bin"):
        return f"http://127.0.0.1:{self.port}{path}"

    def __enter__(self):
        self._start(self._accept)
        return self

    def __exit__(self, *_):
        self.ending.set()
        for thread in self.threads:
            thread.join(timeout=10)
        self.listener.close()

    def _start(self, target, *args):
        self.threads.append(threading.Thread(target=target, args=args, daemon=True))
        self.threads[-1].start()

    def _accept(self):
        while not self.ending.is_set():
            try:
                connection, _ = self.listener.accept()
            except socket.timeout:
                continue
            connection.settimeout(10)
            self._start(self._serve, connection)

    def read_request(self, connection):
        """The method; the stray CR behind the request is read with it."""
        got = b""
        while not got.endswith(b"\r\n\r\n\r"):
            part = connection.recv(4096)
            if not part:
                return None
            got += part
        self.requests.append(got)
        self.segment_sizes.append(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG))
        return got.split(b" ", 1)[0].decode()

    def _serve(self, connection):
        try:
            method = self.read_request(connection)
            if method is not None:
                self.behave(self, connection, method)
            connection.close()
        except OSError:
            connection.close()

    def sleep(self, seconds):
        """False when the test is over."""
        return not self.ending.wait(seconds)


def header(length, status="200 OK", fields=(), field="Content-Length: "):
    lines = [f"HTTP/1.1 {status}", *fields, "Connection: close"]
    if length is not None:
        lines.insert(1, f"{field}{length}")
    text = "\r\n".join(lines) + "\r\n\r\n"
    return text.encode()


def answer(connection, method, head, body):
    connection.sendall(head if method == "HEAD" else head + body)


def good(server, connection, method):
    answer(connection, method, header(len(server.body)), server.body)


def padded_header(length, size):
    """Exactly `size` bytes."""
    bare = len(header(length, fields=["X-Pad: "]))
    return header(length, fields=["X-Pad: " + "-" * (size - bare)])


def with_header_of(size):
    def behave(server, connection, method):
        answer(connection, method, padded_header(len(server.body), size), server.body)
    return behave


def header_alone(server, connection, method):
    connection.sendall(header(len(server.body)))
    if method == "GET":
        server.sleep(0.05)
        connection.sendall(server.body)


def header_alone_at_once(server, connection, method):
    """Both are there before a slow reader looks."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(header(len(server.body)))
    if method == "GET":
        connection.sendall(server.body)


def chunked(server, connection, method):
    head = header(None, fields=["Transfer-Encoding: chunked"])
    answer(connection, method, head, b"%x\r\n%s\r\n0\r\n\r\n" % (len(server.body), server.body))


def lower_case(server, connection, method):
    head = header(len(server.body), field="content-length: ")
    answer(connection, method, head, server.body)


def line_feeds(server, connection, method):
    head = header(len(server.body)).replace(b"\r\n", b"\n")
    answer(connection, method, head, server.body)


def in_two_segments(cut):
    """The header, cut behind the text `cut`."""
    def behave(server, connection, method):
        head = header(len(server.body))
        at = head.index(cut) + len(cut)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(head[:at])
        server.sleep(0.5)  # longer than a busy machine keeps the probe from looking
        answer(connection, method, head[at:], server.body)
    return behave


def announces(difference):
    def behave(server, connection, method):
        answer(connection, method, header(len(server.body) + difference), server.body)
    return behave


def redirect(_, connection, method):
    answer(connection, method, header(0, "302 Found", ["Location: http://192.0.2.1/x"]), b"")


def compressed(server, connection, method):
    body = gzip.compress(server.body)
    head = header(len(body), fields=["Content-Encoding: gzip"])
    answer(connection, method, head, body)


def not_found(_, connection, method):
    page = b"<html><body>404 Not Found</body></html>\n"
    answer(connection, method, header(len(page), "404 Not Found"), page)


def closes_early(server, connection, method):
    answer(connection, method, header(len(server.body)), server.body[:len(server.body) // 2])


def resets(server, connection, method):
    answer(connection, method, header(len(server.body)), server.body[:len(server.body) // 2])
    if method == "GET":
        server.sleep(0.2)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def hangs(server, _connection, _method):
    server.sleep(20)


def hangs_in_body(server, connection, method):
    answer(connection, method, header(len(server.body)), server.body[:7000])
    if method == "GET":
        server.sleep(20)


def one_byte_a_second(server, connection, method):
    text = header(len(server.body)) + (b"" if method == "HEAD" else server.body)
    for i in range(len(text)):
        connection.sendall(text[i:i + 1])
        if not server.sleep(1):
            return


def trickles_body(server, connection, method):
    """The header at once, the rest slowly."""
    answer(connection, method, header(len(server.body)), server.body[:100])
    for i in range(100, len(server.body) if method == "GET" else 0):
        connection.sendall(server.body[i:i + 1])
        if not server.sleep(1):
            return


def no_head(server, connection, method):
    """Says nothing of use to HEAD, and answers a GET on the same connection."""
    if method == "HEAD":
        connection.sendall(b"HTTP/1.0 405 Method Not Allowed\r\nAllow: GET\r\n\r\n")
        method = server.read_request(connection)
    if method == "GET":
        good(server, connection, method)


def no_length_for_head(server, connection, method):
    """200 without a length to HEAD; a GET on the same connection would be answered."""
    if method == "HEAD":
        connection.sendall(header(None))
        method = server.read_request(connection)
    if method == "GET":
        good(server, connection, method)


def no_head_and_closes(server, connection, method):
    if method == "HEAD":
        connection.sendall(b"HTTP/1.0 405 Method Not Allowed\r\nAllow: GET\r\n\r\n")
    else:
        good(server, connection, method)


def page_for_head(server, connection, method):
    """501 with a page: its length is what a device erases for."""
    if method == "HEAD":
        connection.sendall(header(300, "501 Unsupported method") + b"x" * 300)
    else:
        good(server, connection, method)


def empty(_, connection, method):
    answer(connection, method, header(0), b"")


def empty_for_get(server, connection, method):
    answer(connection, method, header(len(server.body) if method == "HEAD" else 0), b"")


def endless(server, connection, method):
    """HEAD is modest; GET does not end."""
    if method == "HEAD":
        connection.sendall(header(len(server.body)))
        return
    connection.sendall(header(1 << 31) + server.body)
    until = time.monotonic() + 20
    while time.monotonic() < until and not server.ending.is_set():
        connection.sendall(bytes(65536))


def endless_header(server, connection, _method):
    until = time.monotonic() + 20
    while time.monotonic() < until and not server.ending.is_set():
        connection.sendall(b"X-More: 200 OK\r\n" * 1000)


def no_http(server, connection, _method):
    connection.sendall(server.body)


def escapes(server, connection, method):
    """Control characters in what would be shown."""
    head = header(len(server.body), "404 \x1b[31mred\x07", ["Location: \x1b[2J"])
    answer(connection, method, head, server.body)


def unevenly(server, connection, method):
    """Writes of all sizes, each pushed out."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(header(len(server.body)) + (server.body[:300] if method == "GET" else b""))
    at = 300
    while method == "GET" and at < len(server.body):
        server.sleep(0.002)
        connection.sendall(server.body[at:at + 777])
        at += 777
