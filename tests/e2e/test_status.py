# SPDX-License-Identifier: MIT
"""serve: the page, its events, its data, its metrics."""

import base64
import hashlib
import html.parser
import os
import re
import socket
import time

import pytest

from server import read_to_end
from status import Events, Page, status
from tool import Hex, Maybe, assert_shape

EVIL = "<img src=x onerror=alert(1)>"
ROUTES = {"/": "text/html; charset=utf-8", "/status.json": "application/json",
          "/metrics": "text/plain; version=0.0.4", "/healthz": "text/plain"}


@pytest.fixture
def server(serve, firmware):
    one = serve(firmware.path("1MB.app1"), firmware.path("1MB.app2"))
    yield one
    one.end()
    assert one.err() == ""


def update(server, slot):
    """As a device does it that runs the other slot."""
    before = len(re.findall(rf"GET /user{slot}\.bin .* bytes ", server.log()))
    assert server.get(f"/user{slot}.bin", method="HEAD").status == 200
    answer = server.get(f"/user{slot}.bin")
    assert answer.status == 200
    limit = time.monotonic() + 10
    while status(server)["totals"]["downloading"] or \
            len(re.findall(rf"GET /user{slot}\.bin .* bytes ", server.log())) <= before:
        assert time.monotonic() < limit, "its end is told"
    return len(answer.body)


class SlowDownload:
    """Takes an image bit by bit."""

    def __init__(self, server, slot):
        self.socket = server.connect(receive_buffer=2048)
        self.socket.sendall(b"GET /user%d.bin HTTP/1.0\r\n\r\n" % slot)
        self.got = b""

    def take(self, count):
        while len(self.got) < count:
            part = self.socket.recv(min(4096, count - len(self.got)))
            assert part
            self.got += part

    def finish(self):
        self.got += read_to_end(self.socket)
        self.socket.close()

    def abort(self):
        self.socket.close()


# ---- answers ----

@pytest.mark.parametrize("target", ROUTES)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_routes(server, target, method):
    page = Page(server, target, method)
    assert page.status == 200
    assert page.fields["content-type"] == ROUTES[target]
    assert page.fields["x-content-type-options"] == "nosniff"
    assert page.fields["cache-control"] == "no-store"
    assert page.fields["referrer-policy"] == "no-referrer"
    assert page.fields["connection"] == "close"
    assert "default-src 'none'" in page.fields["content-security-policy"]
    assert bool(page.body) == (method == "GET")


def test_events_head(server):
    page = Page(server, "/events", "HEAD")
    assert (page.status, page.body) == (200, b"")
    assert page.fields["content-type"] == "text/event-stream"


@pytest.mark.parametrize("target", [*ROUTES, "/events"])
def test_no_length_is_told(server, target):
    """A device that asks for it by mistake must find no length: it would erase flash for it."""
    answer = server.connect()
    answer.sendall(f"HEAD {target} HTTP/1.0\r\n\r\n".encode())
    header = read_to_end(answer)
    answer.close()
    assert header.endswith(b"\r\n\r\n")
    assert b"200 OK" in header and b"content-length" not in header.lower()


@pytest.mark.parametrize("target", ["/", "/status.json"])
def test_a_device_takes_no_page(server, tool, target):
    result = tool("probe", "--json", "--running", "1", f"http://127.0.0.1:{server.port}{target}")
    assert result.status == 1
    answers = result.json()["answers"]
    assert answers["head"]["header"].startswith("HTTP/1.1 200 OK")
    assert answers["get"] is None and answers["fallback_get"] is None, "it never gets that far"


@pytest.mark.parametrize("target", ["/?x", "/status.json?", "/status", "/metrics/", "/Healthz",
                                    "//", "/page.html", "/favicon.ico", "/../", "/%2f", "/events?a",
                                    "/index.html", "/<img src=x>", "/%00x",
                                    "/%65vents", "http://x/", "/events%00"])
def test_other_paths_have_no_body(server, target):
    target = target.replace(" ", "%20")
    for method in ("GET", "HEAD"):
        answer = server.get(target, method=method)
        assert (answer.status, answer.length, answer.body) == (404, 0, b"")


@pytest.mark.parametrize("target", ["/user1.bin?x", "/?file=user1.bin",
                                    "/status.json?filename=user1.bin", "/events/user1.bin"])
def test_devices_come_first(server, target):
    assert server.get(target).body == server.get("/user1.bin").body


@pytest.mark.parametrize("target", ["/", "/status.json", "/events", "/metrics", "/healthz"])
def test_other_methods(server, target):
    answer = server.get(target, method="POST")
    assert (answer.status, answer.length) == (405, 0)


def test_nobody_who_looks_is_logged(server):
    for target in ROUTES:
        Page(server, target)
    update(server, 1)
    server.wait_for("GET /user1.bin")
    assert not re.search(r"GET /(status|metrics|healthz|)( |\.)", server.log())
    assert [d["client"] for d in status(server)["devices"]] == ["127.0.0.1"]


def test_where_the_page_is(server):
    assert re.search(rf"^  Status: http://127\.0\.0\.1:{server.port}/$", server.log(), re.M)


# ---- the page ----

class Strict(html.parser.HTMLParser):
    """Collects elements; checks that nothing comes from elsewhere and no handler is inline."""

    VOID = {"meta", "link", "progress-void", "img", "br", "hr", "input"}

    def __init__(self, text):
        super().__init__()
        self.elements = []
        self.open = []
        self.content = {"style": "", "script": ""}
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == [], self.open

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.elements.append((tag, attrs))
        assert not [a for a in attrs if a.startswith("on") or a == "style"], attrs
        assert tag not in ("img", "iframe", "object", "base", "form")
        assert "src" not in attrs
        assert attrs.get("href", "./") in ("./", "status.json", "metrics", "data:,")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in self.content:
            self.content[self.open[-1]] += data
        else:
            self.text += data


def test_page(server):
    size = update(server, 2)
    update(server, 1)
    page = Page(server, "/")
    seen = Strict(page.text)
    data = status(server)
    for word in ("1MB.app1.elf", "1MB.app2.elf", f"{size:,} of 499,712 bytes", "127.0.0.1",
                 "GET /user2.bin", "now runs build 1 in slot 2", "slot 2, build 1",
                 data["slots"][0]["sha256"], data["slots"][1]["sha256"]):
        assert word in seen.text, word
    rectangles = [a for tag, a in seen.elements if tag == "rect"]
    assert {"x": str(0x81000), "width": str(size)}.items() <= rectangles[4].items()
    assert any(tag == "meta" and a.get("name") == "viewport" for tag, a in seen.elements)


def test_policy_fits(server):
    page = Page(server, "/")
    policy = page.fields["content-security-policy"]
    seen = Strict(page.text)
    for name in ("style", "script"):
        digest = hashlib.sha256(seen.content[name].encode()).digest()
        assert f"{name}-src 'sha256-{base64.b64encode(digest).decode()}'" in policy
    for word in ("default-src 'none'", "connect-src 'self'", "base-uri 'none'",
                 "form-action 'none'", "frame-ancestors 'none'"):
        assert word in policy
    assert "unsafe" not in policy


def test_hostile_names(serve, firmware, tmp_path):
    evil = firmware.copy("1MB.app1", tmp_path / f"{EVIL}.elf")
    server = serve(evil, firmware.path("1MB.app2"))
    for target in (f"/{EVIL.replace(' ', '%20')}", "/<script>alert(1)</script>", "/'\"><b>",
                   "/<script>user9.bin", "/\"'<i>user2.bin"):
        server.get(target)
    server.wait_for(r"user2\.bin user2 200")
    page = Page(server, "/")
    seen = Strict(page.text)
    assert EVIL in seen.text
    assert "/<script>alert(1)</script>" in seen.text and "/\"'<i>user2.bin" in seen.text
    assert not [tag for tag, _ in seen.elements if tag in ("b", "i", "img")]
    assert len([tag for tag, _ in seen.elements if tag == "script"]) == 1
    data = status(server)
    assert data["slots"][0]["elf"] == f"{EVIL}.elf"
    assert "/<script>alert(1)</script>" in [r["target"] for r in data["results"]]
    listener = Events(server)
    assert listener.wait_for("slot", lambda s: s["slot"] == 1)["elf"] == f"{EVIL}.elf"
    server.stop()
    listener.close()


def test_names_that_are_no_text(serve, firmware, tmp_path):
    bad = os.fsencode(tmp_path) + b"/\xff\x1b[2J.elf"
    firmware.copy("1MB.app1", os.fsdecode(bad))
    server = serve(os.fsdecode(bad))
    assert status(server)["slots"][0]["elf"] == "??[2J.elf"
    assert "??[2J.elf" in Page(server, "/").text


# ---- data ----

PLACE = {"slot": int, "build": int}
STATUS = {
    "schema_version": 1, "version": str, "started": int, "now": int,
    "map": {"name": str, "flash_size": int},
    "slots": [{"slot": int, "elf": Maybe(str), "converts": bool, "build": Maybe(int),
               "size": Maybe(int), "limit": int, "flash_address": Hex(6), "link_address": Hex(8),
               "sha256": Maybe(str), "converted": Maybe(int), "reason": Maybe(str)}],
    "totals": {"requests": dict, "image_bytes": int, "complete": int, "broken": int,
               "turned_away": int, "not_converted": int, "updates": int, "not_taken": int,
               "downloading": int, "devices": int, "listeners": int},
    "devices": [{"client": str, "runs": Maybe(PLACE),
                 "download": Maybe({**PLACE, "sent": int, "size": int, "speed": int,
                                    "since": int}),
                 "last": Maybe({"slot": int, "status": int, "complete": bool, "not_taken": bool,
                                "reason": Maybe(str)}),
                 "downloads": int, "updates": int, "not_taken": int, "failures": int,
                 "first_seen": int, "seen": int}],
    "results": [{"number": int, "time": int, "client": str, "turned_away": bool,
                 "method": Maybe(str), "target": Maybe(str), "slot": Maybe(int),
                 "build": Maybe(int), "status": Maybe(int), "sent": int, "size": int,
                 "milliseconds": int, "complete": bool, "runs": Maybe(PLACE), "not_taken": bool,
                 "reason": Maybe(str)}],
}


def test_status(server):
    size = update(server, 2)
    update(server, 2)
    update(server, 1)
    server.get("/nothing")
    server.wait_for("GET /nothing")
    data = status(server)
    assert_shape(data, STATUS)
    (device,) = data["devices"]
    assert device["client"] == "127.0.0.1"
    assert device["runs"] == {"slot": 2, "build": 1}
    assert (device["downloads"], device["updates"], device["not_taken"]) == (3, 1, 1)
    assert device["download"] is None
    newest = data["results"][0]
    assert (newest["target"], newest["status"]) == ("/nothing", 404)
    assert newest["reason"].startswith("not an image")
    assert data["totals"]["complete"] == 3
    assert data["totals"]["image_bytes"] == 3 * size
    assert data["totals"]["requests"]["404"] == 1
    server.wait_for(r"^127\.0\.0\.1 has not taken what it fetched before$")
    server.wait_for(r"^127\.0\.0\.1 now runs build 1 in slot 2$")


def test_download_is_seen(server):
    slow = SlowDownload(server, 2)
    slow.take(20000)
    limit = time.monotonic() + 10
    while not (status(server)["devices"] and status(server)["devices"][0]["download"]):
        assert time.monotonic() < limit
    data = status(server)
    assert data["totals"]["downloading"] == 1
    assert data["devices"][0]["download"]["slot"] == 2
    assert 0 < data["devices"][0]["download"]["sent"] < data["devices"][0]["download"]["size"]
    assert "<progress" in Page(server, "/").text
    slow.abort()
    server.wait_for("went away|stopped reading")
    data = status(server)
    assert_shape(data, STATUS)
    assert (data["totals"]["broken"], data["totals"]["downloading"]) == (1, 0)
    assert data["devices"][0]["last"]["reason"] == "the client went away"


def test_rebuild_is_seen(serve, firmware, tmp_path):
    elf = firmware.copy("1MB.app1", tmp_path / "app.elf")
    server = serve(elf)
    first = status(server)["slots"]
    assert first[1]["elf"] is None and "eagle.app.v6.new.1024.app2.ld" in first[1]["reason"]
    listener = Events(server)
    listener.wait_for("slot")
    firmware.copy("three-irom.app1", elf)
    slot = listener.wait_for("slot", lambda s: s["build"] == 2)
    assert slot["sha256"] != first[0]["sha256"] and slot["converts"]
    elf.write_bytes(b"no ELF at all")
    refused = listener.wait_for("slot", lambda s: not s["converts"] and s["slot"] == 1)
    assert refused["reason"] and str(tmp_path) not in refused["reason"]
    assert (refused["build"], refused["sha256"]) == (2, slot["sha256"])
    server.stop()
    listener.close()


def test_health(serve, firmware, tmp_path):
    elf = firmware.copy("1MB.app1", tmp_path / "app.elf")
    server = serve(elf)
    assert Page(server, "/healthz").text == "ok\n"
    elf.write_bytes(b"no ELF at all")
    limit = time.monotonic() + 10
    while Page(server, "/healthz").status == 200:
        assert time.monotonic() < limit
    answer = server.get("/healthz")
    assert (answer.status, answer.length, answer.body) == (503, 0, b"")
    assert answer.field("X-Espimage-Reason") == "no slot has an image"
    assert status(server)["slots"][0]["converts"] is False
    firmware.copy("1MB.app1", elf)
    while Page(server, "/healthz").status != 200:
        assert time.monotonic() < limit


def test_warnings_are_not_lost(serve, firmware, tmp_path):
    """The page's look converts; the log says what a request's conversion would have said."""
    elf = firmware.copy("1MB.app1", tmp_path / "app.elf")
    server = serve(elf)
    firmware.copy("iram-big.app1", elf)
    limit = time.monotonic() + 10
    while status(server)["slots"][0]["build"] != 2:
        assert time.monotonic() < limit
    while "warning: " not in server.err():
        assert time.monotonic() < limit
    assert len(server.err().splitlines()) == 1


# ---- metrics ----

def metrics(server):
    values, kinds, helps = {}, {}, set()
    text = Page(server, "/metrics").text
    assert text.endswith("\n")
    for line in text.splitlines():
        found = re.fullmatch(r"# (HELP|TYPE) ([a-z_]+) (.+)", line)
        if found and found.group(1) == "HELP":
            assert found.group(2) not in helps
            helps.add(found.group(2))
        elif found:
            kinds[found.group(2)] = found.group(3)
        else:
            name, label, number = re.fullmatch(r'([a-z_]+)(?:\{([a-z]+="[^"\\]*")\})? (\d+)',
                                               line).groups()
            assert name in kinds and name in helps
            assert kinds[name] == ("counter" if name.endswith("_total") else "gauge")
            assert (name, label) not in values
            values[name, label] = int(number)
    return {(n.removeprefix("espimagetool_"), l): v for (n, l), v in values.items()}


def test_metrics(server):
    before = metrics(server)
    assert before["slot_ready", 'slot="1"'] == before["slot_ready", 'slot="2"'] == 1
    size = update(server, 2)
    update(server, 1)
    server.get("/nothing")
    server.wait_for("GET /nothing")
    after = metrics(server)
    assert after["image_bytes_total", None] == 2 * size == 2 * after["slot_image_bytes", 'slot="1"']
    assert after["downloads_complete_total", None] == 2
    assert after["updates_total", None] == 1
    assert after["requests_total", 'status="404"'] == 1
    assert after["devices", None] == 1
    assert all(after[k] >= v for k, v in before.items() if k[0].endswith("_total"))


# ---- events ----

def test_events_of_a_slow_download(server):
    listener = Events(server)
    assert listener.wait_for("server")["schema_version"] == 1
    assert_shape(listener.wait_for("slot", lambda s: s["slot"] == 2), STATUS["slots"][0])
    slow = SlowDownload(server, 2)
    size = listener_size = None
    for step in range(1, 13):
        slow.take(step * 5000)
        limit = time.monotonic() + 0.1
        while time.monotonic() < limit:
            time.sleep(0.02)
    slow.finish()
    end = listener.wait_for("result", lambda r: r["complete"])
    assert_shape(end, STATUS["results"][0])
    size = end["size"]
    device = listener.wait_for("device", lambda d: d["downloads"] == 1)
    assert_shape(device, STATUS["devices"][0])
    with listener.changed:
        seen = [(d["download"], when) for name, d, when in listener.list
                if name == "device" and d["download"]]
    sent = [d["sent"] for d, _ in seen]
    listener_size = {d["size"] for d, _ in seen}
    assert len(sent) >= 2 and sent == sorted(sent) and listener_size == {size}
    assert len(seen) <= (seen[-1][1] - seen[0][1]) * 5 + 2, "about four a second"
    totals = listener.wait_for("totals", lambda t: t["complete"] == 1)
    assert_shape(totals, STATUS["totals"])
    server.stop()
    listener.close()


def test_a_comment_keeps_it_open(server):
    listener = Events(server)
    listener.wait_for("totals")
    with listener.changed:
        began = listener.list[-1][2]
    listener.wait_for(None)
    with listener.changed:
        said = [when for name, _, when in listener.list if name is None]
    assert said[0] - began <= 15
    server.stop()
    listener.close()


def open_events(server, receive_buffer=None):
    s = server.connect(receive_buffer=receive_buffer)
    s.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    return s


def first_line(s):
    got = b""
    while b"\r\n" not in got:
        part = s.recv(1)
        assert part
        got += part
    return got


def test_listeners_are_bounded_and_leave(server):
    listeners = [open_events(server) for _ in range(32)]
    for s in listeners:
        assert b" 200 " in first_line(s)
    answer = server.get("/events")
    assert (answer.status, answer.length, answer.body) == (503, 0, b"")
    assert answer.field("X-Espimage-Reason") == "too many listeners"
    update(server, 1)  # devices are served all the same
    for s in listeners:
        s.close()
    limit = time.monotonic() + 10
    while status(server)["totals"]["listeners"] > 0:
        assert time.monotonic() < limit, "those who left are found soon"
        time.sleep(0.05)
    with open_events(server) as s:
        assert b" 200 " in first_line(s)


def test_listener_that_never_reads(server):
    mute = open_events(server, receive_buffer=2048)
    listener = Events(server)
    listener.wait_for("totals")
    for i in range(300):
        server.get(f"/{'x' * 150}{i}")
    began = time.monotonic()
    update(server, 2)
    assert time.monotonic() - began < 5
    listener.wait_for("result", lambda r: r["complete"])
    assert status(server)["totals"]["listeners"] == 2
    mute.close()
    server.stop()
    listener.close()


def test_late_listener_gets_the_last_results(server):
    for i in range(250):
        server.get(f"/{i}")
    server.wait_for("GET /249 ")
    listener = Events(server)
    listener.wait_for("result", lambda r: r["target"] == "/249")
    with listener.changed:
        numbers = [d["number"] for name, d, _ in listener.list if name == "result"]
    assert numbers == list(range(51, 251))
    server.stop()
    listener.close()


@pytest.mark.parametrize("count", [1, 32])
def test_stop_with_listeners(server, count):
    listeners = [open_events(server) for _ in range(count)]
    for s in listeners:
        assert b" 200 " in first_line(s)
    began = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - began < 2
    for s in listeners:
        read_to_end(s)
        s.close()


def test_stop_with_a_listener_that_never_reads(server):
    mute = open_events(server, receive_buffer=2048)
    for i in range(300):
        server.get(f"/{'x' * 150}{i}")
    began = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - began < 2
    mute.close()


def test_listeners_that_come_and_go(server):
    """Leaving at any moment; nothing is left of them."""
    for i in range(60):
        s = open_events(server)
        if i % 3 == 0:
            first_line(s)
        if i % 2 == 0:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        s.close()
        if i % 10 == 0:
            update(server, 1 + i // 10 % 2)
    limit = time.monotonic() + 10
    while status(server)["totals"]["listeners"] > 0:
        assert time.monotonic() < limit
        time.sleep(0.05)


def test_page_is_behind_the_token(serve, firmware):
    token = "a-token-that-nobody-guesses-0123456789"
    server = serve("--path-token", token, firmware.path("1MB.app1"))
    for target in ROUTES:
        assert Page(server, f"/{token}{target}").status == 200
        answer = server.get(target)
        assert (answer.status, answer.length) == (404, 0)
    assert token not in Page(server, f"/{token}/").text
