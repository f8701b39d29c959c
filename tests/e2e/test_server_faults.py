# SPDX-License-Identifier: MIT
"""serve: requests that once were answered wrongly, starved others, or got in."""

import json
import pathlib
import re
import socket
import threading
import time

import pytest

from status import Events, Page, status
from tool import OK, PROGRAM, USAGE

SANITIZED = any(name in PROGRAM for name in ("asan", "tsan"))


@pytest.fixture
def server(serve, firmware):
    return serve(firmware.path("1MB.app1"))


def ask(server, lines):
    return server.ask("\r\n".join([*lines, "", ""]).encode("latin-1"))


# ---- nothing torn ----

def test_if_range_of_the_same_image(server):
    whole = server.get("/user1.bin")
    part = ask(server, ["GET /user1.bin HTTP/1.1", "Range: bytes=100-199", f"If-Range: {whole.field('ETag')}"])
    assert (part.status, part.body) == (206, whole.body[100:200])


@pytest.mark.parametrize("value", ['"0123456789abcdef0123456789abcdef"', "Wed, 21 Oct 2015 07:28:00 GMT", ""])
def test_if_range_of_another_image(server, value):
    """A download that goes on after a rebuild would be a mix of two images."""
    whole = server.get("/user1.bin")
    answer = ask(server, ["GET /user1.bin HTTP/1.1", "Range: bytes=100-199", f"If-Range: {value}"])
    assert (answer.status, answer.body) == (200, whole.body)


def test_head_ignores_range(server):
    whole = server.get("/user1.bin", method="HEAD")
    answer = ask(server, ["HEAD /user1.bin HTTP/1.1", "Range: bytes=0-9"])
    assert (answer.status, answer.length) == (200, whole.length)


# ---- nothing starved ----

@pytest.mark.parametrize("field", [
    "Cookie: " + "; ".join(f"a{i}=b" for i in range(907)),
    "Content-Length: 0 0",
    "Content-Length: 0, 0",
    "Content-Length: +0",
])
@pytest.mark.parametrize("target", ["/", "/events", "/user1.bin"])
def test_fields_that_libmicrohttpd_refuses(server, target, field):
    answer = ask(server, [f"GET {target} HTTP/1.1", "Host: localhost", field])
    assert answer.status in (400, 431) and answer.length == 0
    assert answer.field("X-Espimage-Reason")
    server.wait_for(rf"GET {re.escape(target)} .*{answer.status}")


def test_many_arguments(server):
    arguments = "&".join("a" * (1 + i % 3) for i in range(1200))
    began = time.monotonic()
    assert server.get(f"/x?{arguments}").status == 404
    whole = server.get("/user1.bin")
    assert server.get(f"/x?{arguments}&filename=user1.bin").body == whole.body
    assert time.monotonic() - began < 5
    server.wait_for(r"GET /x\?a&aa.* 404")


def kernel_memory():
    """Of all TCP sockets of this machine; bytes."""
    text = pathlib.Path("/proc/net/sockstat").read_text(encoding="ascii")
    return int(re.search(r"^TCP:.* mem (\d+)", text, re.M).group(1)) * 4096


def resident(server):
    text = pathlib.Path(f"/proc/{server.process.pid}/status").read_text(encoding="ascii")
    return int(re.search(r"^VmRSS:\s+(\d+)", text, re.M).group(1)) * 1024


def test_unread_pages(serve, firmware):
    """Each used to cost the server a page of its own."""
    server = serve("--max-per-address", "3000", "--max-connections", "4000", firmware.path("1MB.app1"))
    for i in range(200):
        server.get(f"/{'x' * 150}{i}")
    status(server)
    memory, kernel = resident(server), kernel_memory()
    readers = []
    try:
        for _ in range(1000):
            readers.append(server.connect(receive_buffer=2304, source="127.0.0.9"))
            readers[-1].sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        time.sleep(1)
        assert SANITIZED or resident(server) - memory < 8 << 20
        assert kernel_memory() - kernel < 24 << 20
        assert status(server)["totals"]["requests"]["503"] > 500
        whole = server.get("/user1.bin", source="127.0.0.10")
        assert whole.status == 200
    finally:
        for one in readers:
            one.close()
    limit = time.monotonic() + 10
    while Page(server, "/").status != 200:
        assert time.monotonic() < limit
    assert server.stop() == OK


# ---- no one gets in ----

BROWSER = ["Origin: http://evil.example", "Referer: http://evil.example/x", "Sec-Fetch-Site: cross-site"]


@pytest.mark.parametrize("target", ["/", "/status.json", "/metrics", "/healthz", "/events"])
@pytest.mark.parametrize("host", ["evil.example", "evil.example:8888", "", "127.0.0.1.evil.example"])
def test_pages_are_for_those_who_name_this_computer(server, target, host):
    answer = ask(server, [f"GET {target} HTTP/1.1", f"Host: {host}"])
    assert (answer.status, answer.length) == (421, 0)
    assert "--host" in answer.field("X-Espimage-Reason")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8888", "[::1]:8888", socket.gethostname()])
def test_names_of_this_computer(server, host):
    assert Page(server, "/healthz", host=host).status == 200


def test_host_option(serve, firmware):
    server = serve("--host", "build.example", "--host", "b2.example", firmware.path("1MB.app1"))
    for host in ("build.example", "B2.example:80"):
        assert Page(server, "/healthz", host=host).status == 200
    assert ask(server, ["GET / HTTP/1.1", "Host: b3.example"]).status == 421


@pytest.mark.parametrize("value", ["", "a b", "http://x", "x:80", "x/"])
def test_names_that_are_none(tool, firmware, value):
    result = tool("serve", "--host", value, str(firmware.path("1MB.app1")), timeout=10)
    assert result.status == USAGE and "--host" in result.err


def test_images_for_browsers(server):
    whole = server.get("/user1.bin")
    for field in BROWSER:
        assert ask(server, ["GET /user1.bin HTTP/1.1", "Host: evil.example", field]).status == 421
        assert ask(server, ["GET /user1.bin HTTP/1.1", "Host: localhost", field]).body == whole.body
    assert ask(server, ["GET /user1.bin HTTP/1.1", "Host: evil.example"]).body == whole.body, "a device"


@pytest.mark.parametrize("request_line", ["GET /user1.bin HTTP/9.9", "POST /user1.bin HTTP/1.1", "GET /user1.bin HTTP/1.1"])
def test_without_the_token_a_client_is_no_device(serve, firmware, request_line):
    server = serve("--path-token", "s3cret-token", firmware.path("1MB.app1"))
    assert ask(server, [request_line]).status in (404, 405, 505)
    shown = json.loads(Page(server, "/s3cret-token/status.json").text)
    assert shown["devices"] == []
    assert [r["slot"] for r in shown["results"]] == [None]


# ---- nothing misreported ----

def test_head_is_never_behind_its_get(server):
    """HEAD and GET of one client each time; several at once."""
    def update(number):
        for _ in range(15):
            server.get("/user1.bin", method="HEAD", source=f"127.0.1.{number}")
            server.get("/user1.bin", source=f"127.0.1.{number}")

    threads = [threading.Thread(target=update, args=(n,)) for n in range(1, 9)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert server.stop() == OK
    for number in range(1, 9):
        methods = re.findall(rf"^127\.0\.1\.{number} (HEAD|GET) ", server.log(), re.M)
        assert sorted(methods) == ["GET"] * 15 + ["HEAD"] * 15
        ahead = 0
        for method in methods:
            ahead += 1 if method == "HEAD" else -1
            assert ahead >= 0, "a GET before its HEAD"


def test_subscribers_share_what_is_new(server):
    subscribers = [Events(server) for _ in range(8)]
    for one in subscribers:
        one.wait_for("totals")
    server.get("/nothing-here")
    for one in subscribers:
        one.wait_for("result", lambda r: r["target"] == "/nothing-here")
    server.stop()
    for one in subscribers:
        one.close()
