# SPDX-License-Identifier: MIT
"""probe: what it says of servers, held against servers that are known to be so."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

import bad_servers
import image as image_format
from bad_servers import BadServer, make_image
from tool import (NOT_ALL, OK, PROGRAM, ROOT, UNAVAILABLE, USAGE, assert_refused, assert_shape,
                  Maybe)

TIMED_OUT = 75
USUAL = [536, 1436, 1440, 1448, 1452, 1460]
RULES = ["connect", "head-header", "length", "get-header", "first-bytes", "app-number",
         "same-length", "no-drop", "complete", "in-time", "last-segment", "crc"]


# "200 OK" CRLF hurts only when no zero byte is between it and the beginning of the segment.
TRAP = b"200 OK\r\n"
NO_TRAP = b"\0" + TRAP


def probe(tool, url, *args, status=None, timeout=60):
    """The JSON of a probe."""
    result = tool("probe", *args, "--json", url, timeout=timeout)
    assert result.err == "", result
    if status is not None:
        assert result.status == status, result
    return result.json()


def probe_confirmed(tool, url, *args, status):
    """The report of a probe whose count of segments agreed. A probe that reads late, on a busy machine,
    closes the window: then the server's kernel cuts shorter segments, and the count says nothing."""
    for _ in range(5):
        report = probe(tool, url, *args, status=status)
        if report["segments"]["confirmed"]:
            return report
    raise AssertionError(f"five probes, none confirmed: {report['segments']}")


def outcomes(report):
    assert [r["rule"] for r in report["rules"]] == RULES
    return {r["rule"]: r["outcome"] for r in report["rules"]}


def assert_yes(report):
    assert report["verdict"] == "yes", report
    assert set(outcomes(report).values()) == {"pass"}, report
    assert report["because"] is None


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for_port(port, process):
    limit = time.monotonic() + 10
    while time.monotonic() < limit:
        assert process.poll() is None, "the server has ended"
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        time.sleep(0.02)
    raise AssertionError("the server does not listen")


@contextlib.contextmanager
def running(command, port, cwd):
    with open(cwd / "server.log", "wb") as log:
        process = subprocess.Popen(command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=log,
                                   stderr=log)
        try:
            wait_for_port(port, process)
            yield port
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(timeout=10)


# ---- our own server ----


@pytest.fixture(scope="module")
def large(firmware):
    return firmware.path("2MB-c1.large")


def test_our_server(tool, serve, large):
    port = serve(large).port
    for slot in (1, 2):
        report = probe_confirmed(tool, f"http://127.0.0.1:{port}/user{slot}.bin", status=OK)
        assert_yes(report)
        assert report["running"] == 3 - slot
        assert not report["segments"]["header_alone"]
        assert not report["causes"]


@pytest.mark.parametrize("mss", USUAL)
def test_our_server_at_every_mss(tool, serve, large, mss):
    port = serve(large).port
    assert_yes(probe_confirmed(tool, f"http://127.0.0.1:{port}/user2.bin", "--mss", str(mss), status=OK))


def test_our_server_to_a_slow_reader(tool, serve, large):
    port = serve(large).port
    began = time.monotonic()
    report = probe(tool, f"http://127.0.0.1:{port}/user2.bin", "--speed", "300000", status=OK)
    assert_yes(report)
    assert time.monotonic() - began > 1
    assert report["segments"]["uneven"] == 0, report["segments"]


def test_our_server_without_an_elf(tool, serve, firmware):
    port = serve(firmware.path("1MB.app1")).port
    report = probe(tool, f"http://127.0.0.1:{port}/user2.bin", status=NOT_ALL)
    assert report["because"] == "length"
    assert "404" in report["causes"][0]
    assert report["answers"]["get"] is None, "nothing is erased, nothing more is asked"


def test_image_linked_for_the_other_slot(tool, serve, firmware):
    """The upgrade client takes it, and the device crashes at every reset from then on."""
    port = serve(firmware.path("1MB.app1"), "--app", "2").port
    result = tool("probe", f"http://127.0.0.1:{port}/user2.bin")
    assert result.status == NOT_ALL, result
    assert "and then it would not run: the bootloader crashes at every reset: link.slot" \
        in result.out
    assert "Would a device have been updated? yes" in result.out.splitlines()[-1]


# ---- nginx ----

NGINX = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
needs_nginx = pytest.mark.skipif(NGINX is None, reason="nginx not found (on Debian: apt-get install nginx-light)")

PLAIN = """server {
    listen 8080;
    root /srv/espimage;
    etag off;
    %s
}"""


class Nginx:
    def __init__(self, folder):
        self.folder = folder
        self.www = folder / "www"
        self.www.mkdir()

    def put(self, name, content):
        (self.www / name).write_bytes(content)

    @contextlib.contextmanager
    def serving(self, site):
        port = free_port()
        assert "listen 8080;" in site and "root /srv/espimage;" in site
        site = site.replace("listen 8080;", f"listen 127.0.0.1:{port};")
        site = site.replace("root /srv/espimage;", f"root {self.www};")
        (self.folder / "site.conf").write_text(site)
        temp = "".join(f"{kind}_temp_path {self.folder}/{kind};\n" for kind in
                       ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (self.folder / "nginx.conf").write_text(
            f"daemon off;\nmaster_process off;\npid {self.folder}/pid;\n"
            f"error_log {self.folder}/error.log;\nevents {{ }}\n"
            f"http {{\naccess_log off;\n{temp}include {self.folder}/site.conf;\n}}\n")
        command = [NGINX, "-p", str(self.folder), "-e", str(self.folder / "error.log"),
                   "-c", str(self.folder / "nginx.conf")]
        with running(command, port, self.folder):
            yield f"http://127.0.0.1:{port}/user2.bin"


@pytest.fixture
def nginx(tmp_path):
    folder = tmp_path / "nginx"
    folder.mkdir()
    return Nginx(folder)


def example():
    return (ROOT / "examples/nginx/espimage.conf").read_text()


def header_size(report):
    return report["answers"]["get"]["header_size"]


@needs_nginx
def test_nginx_example_passes(tool, nginx):
    """Also for sizes of other numbers of digits: the filler makes up for them."""
    with nginx.serving(example()) as url:
        for size in (4020, 9988, 10004, 99988, 100004, 400004, 983028):
            nginx.put("user2.bin", make_image(size))
            report = probe(tool, url, "--all-mss", status=OK)
            assert_yes(report)
            assert header_size(report) % 4 == 0
            assert report["segments"]["confirmed"] or report["segments"]["uneven"] == 0
            assert [l["outcome"] for l in report["all_mss"]] == ["pass"] * len(USUAL)


@needs_nginx
def test_nginx_example_with_growing_images(tool, nginx):
    with nginx.serving(example()) as url:
        for step in range(60):
            nginx.put("user2.bin", make_image(30004 + 16 * step, seed=step))
            assert_yes(probe(tool, url, "--all-mss", status=OK))


@needs_nginx
def test_nginx_example_has_no_body_for_errors(tool, nginx):
    nginx.put("user2.bin", make_image())
    nginx.put("other.bin", make_image())
    with nginx.serving(example()) as url:
        for name in ("user1.bin", "user3.bin", "other.bin", "", "www/../../etc/passwd"):
            report = probe(tool, url.replace("user2.bin", name), "--running", "1",
                           status=NOT_ALL)
            assert report["because"] == "length", report
            assert "Content-Length: 0" in report["answers"]["head"]["header"]
        port = int(url.split(":")[2].split("/")[0])
        for request in (b"POST /user2.bin HTTP/1.0", b"DELETE /user2.bin HTTP/1.0",
                        b"GET /user2.bin"):
            with socket.create_connection(("127.0.0.1", port), timeout=10) as s:
                s.sendall(request + b"\r\nContent-Length: 0\r\n\r\n")
                got = s.recv(4096)
            assert b"<html" not in got, got


def unlucky_size(header, mss):
    """A size with which header and image leave 1 to 3 bytes for the last segment; or None."""
    sizes = range(20004, 20004 + 16 * mss, 16)
    return next((size for size in sizes if 0 < (header + size) % mss < 4), None)


@needs_nginx
@pytest.mark.parametrize("mss", [536, 1460])
def test_nginx_short_last_segment(tool, nginx, mss):
    for pad in range(1, 9):
        site = PLAIN % f"sendfile on; tcp_nopush on; add_header X-Pad {'-' * pad};"
        nginx.put("user2.bin", make_image(30004))
        with nginx.serving(site) as url:
            size = unlucky_size(header_size(probe(tool, url, "--mss", "1440")), mss)
            if size is None:
                continue
            nginx.put("user2.bin", make_image(size))
            report = probe_confirmed(tool, url, "--mss", str(mss), "--all-mss", status=NOT_ALL)
            assert report["verdict"] == "no"
            assert report["because"] == "last-segment", report
            layouts = {l["mss"]: l["outcome"] for l in report["all_mss"]}
            assert layouts[mss] == "fail" and "pass" in layouts.values()
            return
    raise AssertionError("no header is unlucky")


def trap_at_boundary(header, mss, segment, before=20):
    """An image that has "200 OK" CRLF `before` bytes behind the beginning of a segment."""
    at = segment * mss - header
    return make_image(60004, plant={at - 1: b"\0" + b"x" * before + TRAP})


@needs_nginx
@pytest.mark.parametrize("mss", [536, 1448, 1460])
def test_nginx_trap_at_a_boundary(tool, nginx, mss):
    nginx.put("user2.bin", make_image(60004))
    with nginx.serving(example()) as url:
        header = header_size(probe(tool, url, status=OK))
        nginx.put("user2.bin", trap_at_boundary(header, mss, 7))
        report = probe(tool, url, "--mss", str(mss), "--all-mss", status=NOT_ALL)
        assert report["because"] == "no-drop", report
        assert f"1 segments, {mss} bytes" in report["found"]
        assert {l["mss"]: l["outcome"] for l in report["all_mss"]}[mss] == "fail"
        other = 1460 if mss != 1460 else 1452
        assert_yes(probe(tool, url, "--mss", str(other), status=OK))
        nginx.put("user2.bin", make_image(60004, plant={7 * mss - header: b"x" * 20 + NO_TRAP}))
        assert_yes(probe(tool, url, "--mss", str(mss), status=OK))


@needs_nginx
def test_nginx_longer_filler_moves_the_trap(tool, nginx):
    """What the documentation says to do about it."""
    nginx.put("user2.bin", make_image(60004))
    with nginx.serving(example()) as url:
        nginx.put("user2.bin", trap_at_boundary(header_size(probe(tool, url)), 1460, 7, before=2))
        assert probe(tool, url, status=NOT_ALL)["because"] == "no-drop"
    longer = re.sub(r'"(-+)";', r'"\1----";', example())
    with nginx.serving(longer) as url:
        assert_yes(probe(tool, url, "--all-mss", status=OK))


@needs_nginx
def test_nginx_header_in_a_segment_of_its_own(tool, nginx):
    nginx.put("user2.bin", make_image(60004))
    with nginx.serving(PLAIN % "sendfile on; tcp_nopush off; tcp_nodelay on;") as url:
        report = probe(tool, url, "--all-mss", status=OK)
        assert_yes(report)
        assert report["segments"]["header_alone"]
        nginx.put("user2.bin", trap_at_boundary(0, 1460, 9))
        assert probe(tool, url, status=NOT_ALL)["because"] == "no-drop"
        nginx.put("user2.bin", make_image(app=1))
        report = probe(tool, url, status=NOT_ALL)
        assert (report["verdict"], report["because"]) == ("at risk", "app-number")


@needs_nginx
@pytest.mark.parametrize("made, rule, mistake", [
    (lambda: make_image(app=1), "app-number", "none"),
    (lambda: make_image(app=0x50), "app-number", "esptool"),
    (lambda: make_image(crc=lambda data: image_format.device_crc(data) ^ 1), "crc", None),
    (lambda: make_image(crc=False), "crc", None),
    (lambda: make_image(second=3), "first-bytes", None),
    (lambda: b"<html><body>hello</body></html>", "first-bytes", "html"),
    (lambda: make_image(1024020), "length", None),
    (lambda: b"", "length", None),
], ids=["slot", "esptool", "crc", "no-crc", "second", "page", "too-long", "empty"])
def test_nginx_bad_images(tool, nginx, made, rule, mistake):
    nginx.put("user2.bin", made())
    with nginx.serving(example()) as url:
        report = probe(tool, url, status=NOT_ALL)
        assert report["verdict"] == "no"
        assert report["because"] == rule, report
        if mistake is not None:
            assert report["image"]["mistake"] == mistake
            assert report["image"]["whole"], "the whole image is looked at, though a device stops"


@needs_nginx
def test_nginx_redirect_and_error_page(tool, nginx):
    with nginx.serving(PLAIN % "location = /user2.bin { return 301 /x; }") as url:
        report = probe(tool, url, status=NOT_ALL)
        assert report["because"] == "first-bytes", report
        assert any("redirect" in c and "/x" in c for c in report["causes"])
    with nginx.serving(PLAIN % "") as url:
        report = probe(tool, url, status=NOT_ALL)
        assert report["because"] == "first-bytes"
        assert any("404" in c for c in report["causes"])


# ---- Python's own server ----


def test_python_http_server(tool, tmp_path):
    port = free_port()
    (tmp_path / "user2.bin").write_bytes(make_image(300004))
    (tmp_path / "user1.bin").write_bytes(make_image(300004, app=1,
                                                    plant={1460 * 30: TRAP}))
    command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port)]
    with running(command, port, tmp_path):
        url = f"http://127.0.0.1:{port}/"
        report = probe(tool, url + "user2.bin", status=OK)
        assert_yes(report)
        assert report["segments"]["header_alone"]
        report = probe(tool, url + "user1.bin", status=NOT_ALL)
        assert report["because"] == "no-drop"
        # The page comes behind its header, so a device does not look at it before it is written.
        report = probe(tool, url + "missing/user1.bin", status=NOT_ALL)
        assert report["because"] == "crc"
        assert outcomes(report)["first-bytes"] == "at risk"
        assert any("404" in c for c in report["causes"])


# ---- small servers, each wrong in one way ----

BAD = {
    # name: (behaviour, rule that decides, words among the causes)
    "chunked": (bad_servers.chunked, "head-header", "chunked"),
    "lower-case": (bad_servers.lower_case, "head-header", "spelled"),
    "line-feeds": (bad_servers.line_feeds, "head-header", "LF"),
    "cut-behind-length": (bad_servers.in_two_segments(b"Content-Length: 20004\r\n"),
                          "head-header", ""),
    "cut-in-status": (bad_servers.in_two_segments(b"HTTP/1.1 20"), "get-header", ""),
    "announces-more": (bad_servers.announces(100), "complete", ""),
    "announces-less": (bad_servers.announces(-100), "last-segment", ""),
    "redirect": (bad_servers.redirect, "length", "redirects (to http://192.0.2.1/x)"),
    "compressed": (bad_servers.compressed, "first-bytes", "Content-Encoding: gzip"),
    "not-found": (bad_servers.not_found, "first-bytes", "404"),
    "closes-early": (bad_servers.closes_early, "complete", ""),
    "resets": (bad_servers.resets, "complete", ""),
    "no-head-and-closes": (bad_servers.no_head_and_closes, "head-header", "405"),
    "empty": (bad_servers.empty, "length", ""),
    "empty-for-get": (bad_servers.empty_for_get, "length", ""),
    "endless": (bad_servers.endless, "complete", ""),
    "endless-header": (bad_servers.endless_header, "head-header", "no end"),
    "no-http": (bad_servers.no_http, "head-header", "no HTTP status line"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_server(tool, name):
    behave, rule, cause = BAD[name]
    with BadServer(behave) as server:
        report = probe(tool, server.url(), status=NOT_ALL, timeout=30)
    assert report["verdict"] == "no", report
    assert report["because"] == rule, report
    assert outcomes(report)[rule] == "fail"
    assert report["rules"][RULES.index(rule)]["advice"]
    if cause:
        assert any(cause in c for c in report["causes"]), report["causes"]
    assert report["seconds"] < 15


def test_more_than_was_erased(tool):
    """Writing clears bits, so behind the erased sectors a body arrives only where flash is blank."""
    with BadServer(bad_servers.page_for_head) as server:
        report = probe(tool, server.url(), status=NOT_ALL)
    assert (report["verdict"], report["because"]) == ("at risk", "same-length"), report
    assert "must be blank" in report["found"]
    assert any("501" in c for c in report["causes"])


def test_path_with_get_in_it(tool):
    """The SDK replaces it in HEAD, and a server may not know that path."""
    with BadServer(bad_servers.good) as server:
        url = server.url().replace("/user2.bin", "/abcGETxyz/keep-alive/user2.bin")
        report = probe(tool, url, "--running", "1", status=OK)
        assert report["head_path"] == "/abcHEADxyz/close/user2.bin"
        assert [r.split(b" HTTP")[0] for r in server.requests] == [
            b"HEAD /abcHEADxyz/close/user2.bin", b"GET /abcGETxyz/keep-alive/user2.bin"]
        shown = tool("probe", url, timeout=60).out
        assert "warning: HEAD asks for /abcHEADxyz/close/user2.bin" in shown
        assert "warning" not in tool("probe", server.url(), timeout=60).out


def test_longest_path(tool):
    """The SDK has 512 bytes for the text of HEAD and a zero byte."""
    with BadServer(bad_servers.good) as server:
        for more, status in ((0, OK), (1, USAGE)):
            path = "/" + "p" * (462 + more) + "/user2.bin"
            assert tool("probe", server.url(path), timeout=60).status == status
        assert max(map(len, server.requests)) == 511
        assert tool("probe", server.url("/" + "GET" * 130 + "/user2.bin")).status == USAGE


def no_blank(server, connection, method):
    head = b"HTTP/1.1 404 Not Found\r\nContent-Length:0\r\n\r\n"
    bad_servers.answer(connection, method, head if method == "HEAD" else
                       bad_servers.header(len(server.body)), server.body)


def no_header_for_get(server, connection, method):
    connection.sendall(bad_servers.header(len(server.body)) if method == "HEAD" else server.body)


def no_length_for_get(server, connection, method):
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
    connection.sendall(bad_servers.header(len(server.body)) if method == "HEAD" else head)
    if method != "HEAD":
        time.sleep(0.1)
        connection.sendall(server.body)


def more_at_the_end(server, connection, method):
    head = bad_servers.header(len(server.body))
    connection.sendall(head if method == "HEAD" else head + server.body + server.body[-4:])


@pytest.mark.parametrize("behave, size, rule, late", [
    (no_blank, 20004, "head-header", True),
    (no_header_for_get, 20004, "get-header", True),
    (no_length_for_get, 20004, "get-header", True),
    (more_at_the_end, 20004, "last-segment", True),
    (bad_servers.good, 1204, "last-segment", False),
], ids=["no-blank", "no-header", "no-length", "more", "one-segment"])
def test_what_once_passed(tool, behave, size, rule, late):
    """Answers that a device does not take, and notices late or at once."""
    with BadServer(behave, make_image(size)) as server:
        report = probe(tool, server.url(), status=NOT_ALL)
    assert (report["verdict"], report["because"], report["late"]) == ("no", rule, late), report
    with BadServer(behave, make_image(size)) as server:
        shown = tool("probe", server.url(), timeout=60).out
    assert ("a device notices this only when its time is up" in shown) == late


@pytest.mark.parametrize("made, rule", [
    (make_image(app=1), "app-number"),
    (make_image(app=0x50), "app-number"),
    (make_image(crc=lambda data: 0), "crc"),
    (make_image(20020)[:-2], "crc"),
], ids=["wrong-slot", "esptool", "crc", "cut-short"])
def test_bad_image(tool, made, rule):
    with BadServer(bad_servers.good, made) as server:
        report = probe(tool, server.url(), status=NOT_ALL)
    assert report["because"] == rule
    assert report["image"]["whole"]


def test_good_server(tool):
    with BadServer(bad_servers.good) as server:
        assert_yes(probe_confirmed(tool, server.url(), status=OK))


def cut_for(method_cut, size, cut):
    """The header of one method is `size` bytes long, and sent in two pieces, `cut` apart."""
    def behave(server, connection, method):
        whole = bad_servers.padded_header(len(server.body), size)
        body = b"" if method == "HEAD" else server.body
        if method != method_cut:
            connection.sendall(bad_servers.header(len(server.body)) + body)
            return
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if cut:
            connection.sendall(whole[:cut])
            server.sleep(0.5)
        connection.sendall(whole[cut:] + body)
    return behave


@pytest.mark.parametrize("size, cut, words", [
    (1565, 0, "the header of 1565 bytes does not fit in one segment of 1460"),
    (100, 20, "the header of 100 bytes came in several segments")])
@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_header_in_several_segments(tool, method, size, cut, words):
    with BadServer(cut_for(method, size, cut)) as server:
        report = probe(tool, server.url(), status=NOT_ALL)
    assert report["because"] == f"{method.lower()}-header" and report["late"]
    assert len(report["causes"]) == 1
    assert report["causes"][0].startswith(f"{method}: {words}"), report["causes"]


def test_number_of_the_slot(tool):
    """Advice is for the image that came: no word of esptool for one of esp-link."""
    with BadServer(bad_servers.good, make_image(app=0)) as server:
        out = tool("probe", server.url()).out
    assert "what came is numbered 0 as user1, as Espruino, esp-link and libesphttpd do" in out
    assert "numbered 1 or 2" in out and "esptool" not in out
    with BadServer(bad_servers.good, make_image(app=0x50)) as server:
        assert "what came is made by esptool" in tool("probe", server.url()).out


def test_header_cut_where_it_does_no_harm(tool):
    with BadServer(bad_servers.in_two_segments(b"200 OK\r\n")) as server:
        assert_yes(probe(tool, server.url(), status=OK))


@pytest.mark.parametrize("behave", [bad_servers.header_alone, bad_servers.header_alone_at_once])
def test_header_alone(tool, behave):
    with BadServer(behave) as server:
        report = probe(tool, server.url(), status=OK)
        assert report["segments"]["header_alone"], report["segments"]
        assert_yes(report)
        server.body = make_image(app=1)
        report = probe(tool, server.url(), status=NOT_ALL)
        assert (report["verdict"], report["because"]) == ("at risk", "app-number")


def test_no_head(tool):
    """A GET that is broken off and another one: normal for a device."""
    with BadServer(bad_servers.no_head) as server:
        report = probe(tool, server.url(), status=OK)
        assert [r.split(b" ")[0] for r in server.requests] == [b"HEAD", b"GET", b"GET"]
    assert_yes(report)
    assert report["answers"]["fallback_get"]["status_line"] == "HTTP/1.1 200 OK"


@pytest.mark.parametrize("behave, rule, seconds", [
    (bad_servers.hangs, "head-header", 2),
    (bad_servers.hangs_in_body, "in-time", 2),
    (bad_servers.one_byte_a_second, "head-header", 3),
    (bad_servers.trickles_body, "in-time", 3),
])
def test_out_of_time(tool, behave, rule, seconds):
    with BadServer(behave) as server:
        began = time.monotonic()
        report = probe(tool, server.url(), "--time", str(seconds), status=TIMED_OUT)
        assert seconds <= time.monotonic() - began < seconds + 3
    assert report["verdict"] == "no"
    assert report["because"] == rule
    assert outcomes(report)["in-time"] == "fail"


def test_uneven_cut(tool):
    """Where segments begin is chance: only an image without the text is safe."""
    with BadServer(bad_servers.unevenly, make_image(30004)) as server:
        report = probe(tool, server.url())
        assert report["segments"]["uneven"] > 0
        assert outcomes(report)["no-drop"] == "pass"
        server.body = make_image(30004, plant={20000: NO_TRAP})
        report = probe(tool, server.url(), status=NOT_ALL)
        assert outcomes(report)["no-drop"] == "at risk", report


def test_trap_across_a_boundary(tool):
    """Dropped only when a lost packet joins the segment with the next: at risk."""
    size = 200
    at = 1460 * 4 - size
    made = make_image(60004, plant={at: b"x" * 1456 + TRAP})
    with BadServer(bad_servers.with_header_of(size), made) as server:
        report = probe(tool, server.url(), status=NOT_ALL)
    assert (report["verdict"], report["because"]) == ("at risk", "no-drop"), report


@pytest.mark.parametrize("mss", [536, 1460])
def test_every_boundary_counts(tool, mss):
    """The trap one byte before a boundary, at it, one byte behind it."""
    size = 212
    for shift, verdict in ((-1, "yes"), (0, "no"), (1, "yes")):
        plant = {mss * 5 - size + shift - 1: NO_TRAP}
        with BadServer(bad_servers.with_header_of(size), make_image(60004, plant=plant)) as server:
            report = probe(tool, server.url(), "--mss", str(mss))
        assert report["verdict"] == verdict, (shift, report)


# ---- what it sends, and how ----


@pytest.mark.parametrize("path, slot", [
    ("/user1.bin", 1), ("/User2.bin", 2), ("/x?action=download_rom&filename=user1.bin", 1),
    ("/a/user2.2048.new.5.bin", 2), ("/user2", 2),
])
def test_request_is_the_samples(tool, path, slot):
    with BadServer(bad_servers.good, make_image(app=slot)) as server:
        assert_yes(probe(tool, server.url(path), status=OK))
        assert server.requests == [
            f"{method} {path} HTTP/1.0\r\nConnection: close\r\n\r\n\r".encode()
            for method in ("HEAD", "GET")]


@pytest.mark.parametrize("mss", [88, 536, 1448, 1460, 4000])
def test_mss_is_announced(tool, mss):
    """With timestamps too, the segments that come are as large as a device's."""
    with BadServer(bad_servers.good, make_image(100004)) as server:
        report = probe(tool, server.url(), "--mss", str(mss))
        assert server.segment_sizes[-1] == mss == report["segments"]["largest"]


def test_smaller_segments_than_announced(tool):
    """What server and network allow counts for a device too, without timestamps."""
    with BadServer(bad_servers.with_header_of(208), make_image(60004), mss=1000) as server:
        report = probe(tool, server.url(), "--all-mss", status=OK)
        assert_yes(report)
        assert report["segments"]["path"] == 1000 and not report["segments"]["header_alone"]
        server.body = make_image(60004, plant={9 * 1000 - 208: TRAP})
        report = probe(tool, server.url(), "--all-mss", status=NOT_ALL)
        assert report["because"] == "no-drop"
        assert [l["outcome"] for l in report["all_mss"]] == ["pass"] + ["fail"] * 5
        server.body = make_image(60004, plant={9 * 1460 - 209: NO_TRAP})
        assert_yes(probe(tool, server.url(), status=OK))


def stopping(behave, seconds):
    """The probe does not get to read while the server answers GET, as on a busy machine: the
    server's kernel repeats segments and fills the last bytes of the window."""
    def behave_while_stopped(server, connection, method):
        if method != "GET":
            behave(server, connection, method)
            return
        while not hasattr(server, "probe"):
            server.sleep(0.01)
        os.kill(server.probe.pid, signal.SIGSTOP)
        timer = threading.Timer(seconds, os.kill, (server.probe.pid, signal.SIGCONT))
        timer.start()
        behave(server, connection, method)
        timer.join()
    return behave_while_stopped


@pytest.mark.parametrize("seconds", [0.02, 0.3, 0.7])
@pytest.mark.parametrize("mss", [1000, None])
@pytest.mark.parametrize("behave, alone", [
    (bad_servers.with_header_of(208), False), (bad_servers.header_alone_at_once, True)])
def test_probe_that_reads_late(behave, alone, mss, seconds):
    size = (mss or 1460) * 9 - (0 if alone else 208)
    for text, verdict, because in ((TRAP, "no", "no-drop"), (b"x" + NO_TRAP, "yes", None)):
        made = make_image(60004, plant={size: text})
        with BadServer(stopping(behave, seconds), made, mss=mss) as server:
            server.probe = subprocess.Popen([PROGRAM, "probe", "--json", server.url()],
                                            stdout=subprocess.PIPE)
            report = json.loads(server.probe.communicate(timeout=60)[0])
        if report["verdict"] == "not known" and seconds > 0.2:
            continue  # honest: where the window ended is chance
        assert (report["verdict"], report["because"]) == (verdict, because), report
        assert report["segments"]["header_alone"] == alone
        assert report["segments"]["path"] == (mss or 0)


def test_all_mss_with_another(tool):
    with BadServer(bad_servers.good) as server:
        report = probe(tool, server.url(), "--all-mss", "--mss", "1400", status=OK)
    assert [l["mss"] for l in report["all_mss"]] == [536, 1400, *USUAL[1:]]


def test_running(tool):
    with BadServer(bad_servers.good, make_image(app=1)) as server:
        assert_yes(probe(tool, server.url("/firmware"), "--running", "2", status=OK))
        assert_yes(probe(tool, server.url(), "--running", "2", status=OK))
        report = probe(tool, server.url(), "--running", "1", status=NOT_ALL)
        assert report["because"] == "app-number"


def test_ota_size(tool):
    """Whole sectors of the partition count."""
    with BadServer(bad_servers.good) as server:
        whole = (len(server.body) + 4095) // 4096 * 4096
        assert_yes(probe(tool, server.url(), "--ota-size", str(whole), status=OK))
        report = probe(tool, server.url(), "--ota-size", str(whole - 1), status=NOT_ALL)
        assert report["because"] == "length" and not report["late"]


def test_240_sectors(tool):
    """Above them a device erases nothing, and notices that late."""
    with BadServer(bad_servers.good, make_image(240 * 4096 - 8)) as server:
        assert_yes(probe(tool, server.url(), status=OK))
    with BadServer(bad_servers.good, make_image(240 * 4096 + 64)) as server:
        for sdk in ("2", "3"):
            report = probe(tool, server.url(), "--sdk", sdk, status=NOT_ALL)
            assert report["because"] == "length" and report["late"]
            assert "num max=240" in report["found"]


def test_sdk(tool):
    """SDK 2.x asks with GET at once where later ones wait."""
    with BadServer(bad_servers.no_length_for_head) as server:
        report = probe(tool, server.url(), "--time", "2", status=TIMED_OUT)
        assert report["because"] == "head-header" and report["late"]
        assert any("no Content-Length" in c for c in report["causes"])
        for option in (("--sdk", "2"), ("--before-2018",)):
            assert_yes(probe(tool, server.url(), *option, status=OK))
    assert "--before-2018" not in tool("probe", "--help").out
    assert tool("probe", "--sdk", "4", "http://127.0.0.1:1/user1.bin").status == USAGE


def test_speed(tool):
    with BadServer(bad_servers.good, make_image(100004)) as server:
        report = probe(tool, server.url(), "--speed", "100000", status=OK)
    assert_yes(report)
    assert 0.8 < report["seconds"] < 3


def test_nobody_listens(tool):
    report = probe(tool, f"http://127.0.0.1:{free_port()}/user1.bin", status=UNAVAILABLE)
    assert report["because"] == "connect"
    assert "refused" in report["found"]


# ---- the report ----


def test_text(tool):
    with BadServer(bad_servers.lower_case) as server:
        result = tool("probe", server.url())
        assert result.status == NOT_ALL
        lines = result.out.splitlines()
        assert "fail         head-header" in result.out
        assert "to do: answer HEAD like GET" in result.out
        assert "spelled" in result.out
        assert lines[-1].startswith("Would a device have been updated? no: head-header: ")
    with BadServer(bad_servers.good) as server:
        result = tool.ok("probe", "--all-mss", server.url())
        lines = result.out.splitlines()
        assert lines[-1].startswith("Would a device have been updated? yes: ")
        assert "segments are computed for MSS 1460, not observed" in result.out
        assert len(re.findall(r"^  MSS \d+ +pass ", result.out, re.M)) == len(USUAL)
        assert "image fail" not in result.out


def test_no_control_characters(tool):
    with BadServer(bad_servers.escapes) as server:
        result = tool("probe", server.url())
    assert "\x1b" not in result.out and "\x07" not in result.out
    assert "404" in result.out


RULE = {"rule": str, "outcome": {"pass", "fail", "at risk", "not reached"}, "demand": str,
        "found": str, "advice": Maybe(str)}
ANSWER = {"status_line": str, "header": str, "header_size": int, "body_size": int}


@pytest.mark.parametrize("behave", [bad_servers.good, bad_servers.no_head, bad_servers.redirect,
                                    bad_servers.not_found])
def test_json_shape(tool, behave):
    with BadServer(behave) as server:
        report = probe(tool, server.url(), "--all-mss")
    assert_shape(report, {
        "schema_version": 1, "command": "probe", "url": str, "head_path": str, "address": str, "running": int,
        "seconds": float, "verdict": {"yes", "no", "at risk"}, "because": Maybe(str), "found": str,
        "late": bool,
        "answers": {"head": Maybe(ANSWER), "fallback_get": Maybe(ANSWER), "get": Maybe(ANSWER)},
        "rules": [RULE], "causes": [str],
        "segments": {"mss": int, "path": int, "computed": int, "received": int,
                     "largest": int, "uneven": int, "confirmed": bool, "header_alone": bool,
                     "timed_out": bool},
        "image": Maybe({"size": int, "whole": bool, "mistake": str, "mistake_text": str,
                        "rules": [{"rule": str, "outcome": str, "demand": str, "found": str}]}),
        "all_mss": [{"mss": int, "outcome": {"pass", "fail", "at risk"}, "rule": Maybe(str),
                     "found": str}],
    })


@pytest.mark.parametrize("args, words", [
    ([], ["give one URL"]),
    (["http://127.0.0.1/user1.bin", "http://127.0.0.1/user2.bin"], ["give one URL"]),
    (["http://127.0.0.1/app.bin"], ["--running", "/app.bin"]),
    (["http://127.0.0.1"], ["--running"]),
    (["http://127.0.0.1/user1user2.bin"], ["--running"]),
    (["https://127.0.0.1/user1.bin"], ["plain HTTP", "http://HOST"]),
    (["127.0.0.1/user1.bin"], ["plain HTTP"]),
    (["http:///user1.bin"], ["no host"]),
    (["http://[::1]/user1.bin"], ["IPv6"]),
    (["http://me@127.0.0.1/user1.bin"], ["user name"]),
    (["http://127.0.0.1:0/user1.bin"], ["port"]),
    (["http://127.0.0.1:65536/user1.bin"], ["port"]),
    (["http://127.0.0.1:99999999999999999999/user1.bin"], ["port"]),
    (["http://127.0.0.1:x/user1.bin"], ["port"]),
    (["http://127.0.0.1:/user1.bin"], ["port"]),
    (["http://127.0.0.1?user1.bin"], ["no path"]),
    (["http://127.0.0.1/user1.bin#x"], ["fragment"]),
    (["http://127.0.0.1/user1.bin x"], ["encoding"]),
    (["http://127.0.0.1/user1.bin\r\nX: y"], ["encoding"]),
    (["http://127.0.0.1/us\u00e9r1.bin"], ["encoding"]),
    (["http://127.0.0.1/" + "x" * 2000 + "user1.bin"], ["too long"]),
    (["http://" + "x" * 300 + "/user1.bin"], ["long"]),
    (["--running", "3", "http://127.0.0.1/user1.bin"], ["--running", "1 to 2"]),
    (["--mss", "87", "http://127.0.0.1/user1.bin"], ["--mss", "88"]),
    (["--mss", "9001", "http://127.0.0.1/user1.bin"], ["--mss", "9000"]),
    (["--speed", "0", "http://127.0.0.1/user1.bin"], ["--speed"]),
    (["--time", "0", "http://127.0.0.1/user1.bin"], ["--time"]),
    (["--ota-size", "10", "http://127.0.0.1/user1.bin"], ["--ota-size"]),
])
def test_usage(tool, args, words):
    assert_refused(tool("probe", *args), USAGE, *words)
