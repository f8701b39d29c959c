# SPDX-License-Identifier: MIT
"""serve, byte by byte: the answers that a device's upgrade library gets."""

import re
import socket
import time

import pytest

import server as server_module
from image import assert_image_of
from server import Answer, nothing_more, read_answer, read_to_end

# The text of the vendor's sample, and the stray CR behind it.
SAMPLE = b"%s /user%d.bin HTTP/1.0\r\nConnection: close\r\n\r\n\r"


@pytest.fixture(scope="module")
def server(firmware, tmp_path_factory):
    one = server_module.Server(firmware.path("1MB.app1"), firmware.path("1MB.app2"),
                               cwd=tmp_path_factory.mktemp("serve"))
    yield one
    assert one.stop() == 0
    assert one.err() == ""


@pytest.fixture(scope="module")
def images(server):
    return {app: server.get(f"/user{app}.bin").body for app in (1, 2)}


def assert_image(answer, images, app, head=False):
    assert answer.status == 200
    assert answer.length == len(images[app])
    assert answer.body == (b"" if head else images[app])
    assert answer.header.startswith(b"HTTP/1.1 200 OK\r\n") or \
        answer.header.startswith(b"HTTP/1.0 200 OK\r\n"), "the library looks for this text"


def assert_empty(answer, status):
    assert (answer.status, answer.length, answer.body) == (status, 0, b"")


def test_images_are_right(images, firmware):
    for app in (1, 2):
        assert_image_of(images[app], firmware.elf(f"1MB.app{app}"), app)


@pytest.mark.parametrize("app", [1, 2])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_head_and_get_agree(server, images, version, app):
    get = server.get(f"/user{app}.bin", version)
    head = server.get(f"/user{app}.bin", version, "HEAD")
    assert_image(get, images, app)
    assert_image(head, images, app, head=True)
    assert head.header == get.header
    assert get.field("Connection").lower() == "close"


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
@pytest.mark.parametrize("fields", [b"", b"Host: 192.168.4.2:8888\r\n", b"Host:\r\n",
                                    b"Connection: close\r\n", b"Connection: keep-alive\r\n",
                                    b"Connection: Keep-Alive\r\nCache-Control: no-cache\r\n"
                                    b"User-Agent: Mozilla/5.0\r\nAccept: */*\r\n"
                                    b"Accept-Encoding: gzip,deflate,sdch\r\n"
                                    b"Accept-Language: zh-CN,zh;q=0.8\r\n",
                                    b"Range: lines=0-99\r\n", b"Range: bytes=0-1,5-6\r\n",
                                    b"If-None-Match: \"other\"\r\n", b"TE: chunked\r\n"], ids=lambda f: f[:14].decode())
def test_header_fields_make_no_difference(server, images, version, fields):
    for method in (b"HEAD", b"GET"):
        with server.connect() as s:
            s.sendall(method + b" /user1.bin HTTP/" + version + b"\r\n" + fields + b"\r\n")
            answer = read_answer(s, head=method == b"HEAD")
            assert_image(answer, images, 1, head=method == b"HEAD")
            assert nothing_more(s, 0.02) or s.recv(1) == b"", "no body after HEAD"


def test_old_connections_are_closed(server):
    """HTTP/1.0 without a word about the connection: the end of the answer is its close."""
    for method in (b"HEAD", b"GET"):
        assert server.ask(method + b" /user1.bin HTTP/1.0\r\n\r\n").status == 200


@pytest.mark.parametrize("method", [b"HEAD", b"GET"])
@pytest.mark.parametrize("pause", [None, 0, 0.02, 0.2])
def test_sample_request_with_a_stray_cr(server, images, method, pause):
    """The CR in the same segment, or in one of its own, at once or later."""
    request = SAMPLE % (method, 2)
    with server.connect() as s:
        if pause is None:
            s.sendall(request)
        else:
            s.sendall(request[:-1])
            time.sleep(pause)
            try:
                s.sendall(request[-1:])
            except (BrokenPipeError, ConnectionResetError):
                pass  # it has been answered and closed: no harm
        answer = Answer(read_to_end(s), head=method == b"HEAD")
    assert_image(answer, images, 2, head=method == b"HEAD")


def test_a_whole_upgrade(server, images):
    """HEAD, close; GET that reads the length only and goes away; GET."""
    assert Answer(server.ask(SAMPLE % (b"HEAD", 2)).header, head=True).length == len(images[2])
    with server.connect() as s:
        s.sendall(SAMPLE % (b"GET", 2))
        assert b"Content-Length: " in s.recv(536)
    assert server.ask(SAMPLE % (b"GET", 2)).body == images[2]


@pytest.mark.parametrize("method", ["HEAD", "GET"])
@pytest.mark.parametrize("fields", ["", "Host: x\r\n", "Host: x\r\nConnection: keep-alive\r\n"])
def test_one_answer_a_connection(server, images, method, fields):
    """Said in the header; what is sent after the request is thrown away and causes no reset."""
    with server.connect() as s:
        s.sendall(f"{method} /user1.bin HTTP/1.1\r\n{fields}\r\n".encode())
        answer = read_answer(s, head=method == "HEAD")
        assert_image(answer, images, 1, head=method == "HEAD")
        assert answer.field("Connection") == "close"
        s.sendall(b"GET /user1.bin HTTP/1.1\r\n\r\n")
        assert s.recv(1) == b""


def test_head_and_get_have_the_same_header(server):
    assert server.get("/user1.bin", method="HEAD").header == server.get("/user1.bin").header


@pytest.mark.parametrize("value,first,last", [
    ("bytes=0-99", 0, 99), ("bytes=100-", 100, None), ("bytes=-4", -4, None),
    ("bytes=10-99999999", 10, None), ("BYTES=5-5", 5, 5)])
def test_one_range(server, images, value, first, last):
    body = images[1]
    wanted = body[first:] if last is None else body[first:last + 1]
    start = first if first >= 0 else len(body) + first
    answer = server.ask(b"GET /user1.bin HTTP/1.1\r\nConnection: close\r\nRange: %s\r\n\r\n"
                        % value.encode())
    assert answer.status == 206
    assert answer.body == wanted
    assert answer.field("Content-Range") == \
        f"bytes {start}-{start + len(wanted) - 1}/{len(body)}"


def test_range_behind_the_end(server, images):
    answer = server.ask(b"GET /user1.bin HTTP/1.1\r\nConnection: close\r\n"
                        b"Range: bytes=%d-\r\n\r\n" % len(images[1]))
    assert answer.status == 416
    assert answer.field("Content-Length") == "0"
    assert answer.field("Content-Range") == f"bytes */{len(images[1])}"


def test_not_modified(server):
    tag = server.get("/user1.bin", "1.1", "HEAD").field("ETag")
    other = server.get("/user2.bin", "1.1", "HEAD").field("ETag")
    assert tag != other
    for value, status in ((tag, b"304"), (f'"x", {tag}', b"304"), ("*", b"304"), (other, b"200")):
        with server.connect() as s:
            s.sendall(b"HEAD /user1.bin HTTP/1.1\r\nConnection: close\r\nIf-None-Match: %s\r\n\r\n"
                      % value.encode())
            assert s.recv(4096).split(b" ")[1] == status


# ---- which slot ----

@pytest.mark.parametrize("target,app", [
    ("/user1.bin", 1), ("/user2.bin", 2), ("/User2.bin", 2), ("/USER1.BIN", 1),
    ("/espup/user2.bin", 2), ("/espup/user1.bin", 1), ("/a/b/c/user2.bin", 2),
    ("/user2.2048.new.5.bin", 2), ("/user1.1024.new.2.bin", 1),
    ("/x?action=download_rom&filename=user1.bin", 1),
    ("/x?action=download_rom&filename=user2.bin", 2),
    ("/v1/device/rom/?action=download_rom&version=v1.2&filename=user2.bin", 2),
    ("/user1.bin?t=12345", 1), ("/app-user2.bin", 2), ("http://10.0.0.1:8888/user1.bin", 1)])
@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_forms_of_requests(server, images, target, app, method):
    assert_image(server.get(target, method=method), images, app, head=method == "HEAD")


@pytest.mark.parametrize("target", [
    "/favicon.ico", "/index.html", "/user3.bin", "/user.bin", "/user10.bin", "/user1.txt",
    "/user1.html", "/robots.txt", "/user2/", "/../../etc/passwd", "/%2e%2e/etc/passwd",
    "/user1user2.bin", "/x?filename=user3.bin", "/x?", "//", "/user1.bin/x"])
@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_what_is_no_image(server, target, method):
    answer = server.get(target, method=method)
    assert_empty(answer, 404)
    assert answer.field("X-Espimage-Reason")
    assert answer.field("Content-Type") != "application/octet-stream"


# ---- other methods, wrong requests ----

@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW"])
@pytest.mark.parametrize("target", ["/user1.bin", "/favicon.ico"])
def test_other_methods(server, method, target):
    for version in ("1.0", "1.1"):
        answer = server.get(target, version, method)
        assert_empty(answer, 405)
        assert answer.field("X-Espimage-Reason")
        assert {w.strip() for w in answer.field("Allow").split(",")} == {"GET", "HEAD"}


def test_post_with_a_body(server, images):
    with server.connect() as s:
        s.sendall(b"POST /user1.bin HTTP/1.1\r\nContent-Length: 100000\r\n\r\n" + bytes(100000))
        assert_empty(read_answer(s), 405)
    assert server.get("/user1.bin").body == images[1]


@pytest.mark.parametrize("rubbish,status", [
    (b"GET /user1.bin\r\n\r\n", 400),
    (b"GET /user1.bin HTTP/1.1\r\nContent-Length: abc\r\n\r\n", 400),
    (b"GET /user1.bin HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", 400),
    (b"GET /user1.bin HTTP/1.1\r\nTransfer-Encoding: nonsense\r\n\r\n", 400),
    (b"GET /user1.bin HTTP/1.1\r\nno colon\r\n\r\n", 400),
    (b"GET /user1.bin HTTP/1.1\r\nA: b\r\n folded\r\n\r\n", 400),
    (b"GET /user1.bin HTTP/1.1\r\nExpect: 100-continue\r\n\r\n", 417),
    (b"GET /user1.bin HTTP/1.0\r\nX: " + b"a" * 60000 + b"\r\n\r\n", 431),
    (b"GET /user1.bin HTTP/1.0\r\n" + b"A: b\r\n" * 1000 + b"\r\n", 431),
    (b"GET /user1.bin" + b"a" * 60000 + b" HTTP/1.0\r\n\r\n", 414),
    (b"GET / HTTP/9.9\r\n\r\n", 505), (b"\0" * 1000 + b"\n", 400),
    (b"\xff" * 100 + b"\r\n\r\n", 400), (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    (b"\x16\x03\x01\x02\x00\x01\n", 400), (b"GET /\0user1.bin HTTP/1.0\r\n\r\n", 400)],
    ids=lambda r: repr(r)[:40])
def test_what_is_no_request_gets_no_body(server, images, rubbish, status):
    """Whatever it is: a device writes a body to flash."""
    answer = server.ask(rubbish)
    assert_empty(answer, status)
    assert answer.field("X-Espimage-Reason")
    assert answer.field("Connection") == "close"
    server.wait_for(rf" {status} .*: {re.escape(answer.field('X-Espimage-Reason'))}\n")
    assert server.get("/user1.bin").body == images[1]


@pytest.mark.parametrize("part", [b"", b"GET", b"\r\n\r\n\r\n", b"GET /user1.bin HTTP/1.0\r\nA: b"])
def test_half_a_request_and_gone(server, images, part):
    """An answer for who still reads, none for who said nothing."""
    with server.connect() as s:
        s.sendall(part)
        s.shutdown(socket.SHUT_WR)
        got = read_to_end(s)
    if part:
        assert_empty(Answer(got), 408)
    else:
        assert got == b""
    assert server.get("/user1.bin").body == images[1]


def test_header_in_one_piece_with_the_length(server):
    """CRLFCRLF and Content-Length in the first 536 bytes, where the library looks for them."""
    for method in (b"HEAD", b"GET"):
        with server.connect() as s:
            s.sendall(SAMPLE % (method, 1))
            got = read_to_end(s)[:536]
        assert b"\r\nContent-Length: " in got and b"\r\n\r\n" in got


def test_the_promise_of_head_is_kept(server, images):
    assert server.get("/user1.bin", method="HEAD").length == len(images[1])
    assert server.get("/user1.bin").length == len(images[1])
