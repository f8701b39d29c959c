# SPDX-License-Identifier: MIT
"""serve --log json: every line, and docs/log.md."""

import calendar
import json
import re
import signal
import socket
import struct
import time

import pytest

import server as server_module
from tool import OK, ROOT, USAGE, assert_refused

TYPES = {"integer": int, "number": (int, float), "string": str, "boolean": bool, "null": type(None),
         "object": dict, "list of strings": list, "list of objects": list}
RESET = struct.pack("ii", 1, 0)


class Server(server_module.Server):
    """With a log of JSON."""

    def wait_for(self, pattern, seconds=10):
        if pattern.startswith("Serving"):
            return super().wait_for(r'"port":(\d+),', seconds)
        return super().wait_for(r'"event":"started".*\n' if "user" in pattern else pattern, seconds)

    def events(self, name=None):
        lines = self.log().split("\n")
        assert lines[-1] == ""
        found = [json.loads(line) for line in lines[:-1]]
        return [e for e in found if name in (None, e["event"])]


@pytest.fixture
def serve(tmp_path):
    running = []

    def start(*args, wrapper=()):
        command = ("serve", "--port", "0", "--log", "json")
        running.append(Server(*args, cwd=tmp_path, command=command, wrapper=wrapper))
        return running[-1]

    yield start
    for one in running:
        one.end()


def documented():
    """{event: {field: types}} of docs/log.md, with the fields of every event."""
    text = (ROOT / "docs/log.md").read_text(encoding="utf-8")
    found = {}
    for part in text.split("\n### ")[1:]:
        part = part.split("\n## ")[0]
        rows = re.findall(r"^\| `([\w.]+)` \| ([\w ]+) \|", part, re.M)
        found[part.splitlines()[0]] = {name: [TYPES[t] for t in types.split(" or ")]
                                       for name, types in rows}
    every = found.pop("every event")
    return {event: {**every, **fields} for event, fields in found.items()}


def assert_documented(event, fields):
    inner = {name.split(".")[1]: types for name, types in fields.items() if "." in name}
    outer = {name: types for name, types in fields.items() if "." not in name}
    assert list(event) == list(outer), "in this order"
    for name, types in outer.items():
        value = event[name]
        assert any(isinstance(value, t) for t in types), (name, value)
        assert not isinstance(value, bool) or bool in types, (name, value)
    for slot in event.get("slots", []):
        assert_documented(slot, inner)


def interrupted(server):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.connect(("127.0.0.1", server.port))
        s.sendall(b"GET /user1.bin HTTP/1.0\r\n\r\n")
        s.recv(1000)
        server.wait_for(f'"event":"progress",.*"client_port":{s.getsockname()[1]},')
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


def test_every_event_is_as_documented(serve, tool, firmware):
    elf = firmware.copy("2MB-c1.large", tool.cwd / "app.elf")
    server = serve("-fs", "2MB-c1", elf, wrapper=("prlimit", "--nofile=64:64"))
    size = len(server.get("/user1.bin").body)
    server.wait_for('"event":"request".*"complete":true')
    server.get("/user2.bin", method="HEAD")
    server.wait_for('"method":"HEAD"')
    server.get("/favicon.ico")
    server.wait_for("favicon")
    server.get("/user1.bin", method="POST")
    server.wait_for('"method":"POST"')
    interrupted(server)
    server.wait_for("the client went away")
    visitors = [server.connect() for _ in range(40)]  # more than there can be descriptors for
    server.wait_for("turned_away")
    for visitor in visitors:
        visitor.close()
    server.kill(signal.SIGHUP)
    server.wait_for('"event":"notice".*unchanged')
    assert server.stop() == OK

    pages = documented()
    events = server.events()
    for event in events:
        assert_documented(event, pages[event["event"]])
    seen = {event["event"] for event in events}
    assert seen | {"warning"} == set(pages)
    assert events[0]["event"] == "started" and events[-1]["event"] == "stopped"
    requests = server.events("request")
    whole, head, icon, post, broken = requests[:5]
    assert (whole["method"], whole["target"], whole["status"]) == ("GET", "/user1.bin", 200)
    assert (whole["sent"], whole["size"], whole["complete"]) == (size, size, True)
    assert (whole["client"], whole["slot"], whole["build"]) == ("127.0.0.1", 1, 1)
    assert (head["method"], head["sent"], head["size"], head["complete"]) == ("HEAD", 0, size, False)
    assert (icon["status"], icon["slot"], icon["build"], icon["size"]) == (404, None, None, None)
    assert icon["reason"] and whole["reason"] is None
    assert (post["method"], post["status"]) == ("POST", 405)
    assert broken["sent"] < broken["size"] and "went away" in broken["reason"]
    port = broken["client_port"]
    assert [e["sent"] < size for e in server.events("progress") if e["client_port"] == port][:1]
    stopped = events[-1]
    assert (stopped["because"], stopped["requests"]) == ("signal", len(requests))
    assert (stopped["downloads"], stopped["turned_away"], stopped["lost"]) == \
        (sum(r["complete"] for r in requests), len(server.events("turned_away")), 0)


def test_warning_of_a_new_build(serve, tool, firmware):
    elf = firmware.copy("1MB.app1", tool.cwd / "app.elf")
    server = serve("-fs", "1MB", elf)
    firmware.copy("iram-big.app1", elf)
    assert server.get("/user1.bin").status == 200
    assert server.stop() == OK
    (warning,) = server.events("warning")
    assert_documented(warning, documented()["warning"])
    assert warning["slot"] == 1 and warning["elf"] == str(elf)
    assert f"espimagetool: {elf}: warning: {warning['text']}\n" == server.err()
    (request,) = server.events("request")
    assert request["build"] == 2
    assert server.events().index(warning) < server.events().index(request)


def test_started(serve, tool, firmware):
    server = serve(firmware.path("1MB.app1"), firmware.path("iram-big.app1"))
    (started,) = server.events()
    assert_documented(started, documented()["started"])
    assert started["protection"].startswith("no new privileges, no capabilit")
    assert started["port"] == server.port and started["bind"] == "0.0.0.0"
    assert f"http://127.0.0.1:{server.port}/user1.bin" in started["urls"]
    assert (started["flash_map"], started["profile"]) == ("1MB", "sdk")
    first, second = started["slots"]
    body = server.get("/user1.bin").body
    assert (first["slot"], first["elf"]) == (1, str(firmware.path("1MB.app1")))
    assert (first["size"], first["link"], first["slot_limit"]) == (len(body), "0x40201010", 499712)
    assert len(first["sha256"]) == 64 and first["reason"] is None
    assert second["elf"] == str(firmware.path("iram-big.app1"))
    assert (second["size"], second["sha256"]) == (None, None)
    assert "not usable yet" in second["reason"]
    assert len(server.err().splitlines()) == 1, "errors are there, too"


def test_started_with_one_elf(serve, firmware):
    server = serve(firmware.path("1MB.app1"))
    (started,) = server.events()
    second = started["slots"][1]
    assert (second["elf"], second["size"], second["sha256"]) == (None, None, None)
    assert "eagle.app.v6.new.1024.app2.ld" in second["reason"]


@pytest.mark.parametrize("options,wanted", [(["-fs", "1MB"], "option"), ([], "assumed")])
def test_where_the_flash_map_is_from(serve, firmware, options, wanted):
    assert serve(*options, firmware.path("1MB.app1")).events()[0]["flash_map_from"] in \
        (wanted, "addresses")


def test_warnings_of_the_first_conversion(serve, firmware):
    server = serve("--profile", "esptool", firmware.path("1MB.app1"))
    (started,) = server.events()
    assert any("ota.app-number" in w for w in started["slots"][0]["warnings"])
    assert "ota.app-number" in server.err()


def test_times(serve, firmware):
    before = time.time()
    server = serve(firmware.path("1MB.app1"))
    server.get("/user1.bin")
    assert server.stop() == OK
    after = time.time()
    times = []
    for line in server.log().splitlines():
        number, text, micro = re.search(
            r'"time":(\d+\.\d{6}),"time_utc":"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.(\d{6})Z"',
            line).groups()
        assert number == f"{calendar.timegm(time.strptime(text, '%Y-%m-%dT%H:%M:%S'))}.{micro}"
        times.append(float(number))
    assert times == sorted(times)
    assert before - 1 <= times[0] and times[-1] <= after + 1


def test_progress_once_a_second(serve, firmware):
    server = serve("-fs", "2MB-c1", firmware.path("2MB-c1.large"))
    with server.connect(receive_buffer=8192) as s:
        s.sendall(b"GET /user1.bin HTTP/1.0\r\n\r\n")
        begin = time.monotonic()
        while time.monotonic() - begin < 2.5:
            assert s.recv(2000)
            time.sleep(0.01)
        while s.recv(65536):
            pass
    assert server.stop() == OK
    progress = server.events("progress")
    assert 2 <= len(progress) <= 4
    assert [e["sent"] for e in progress] == sorted({e["sent"] for e in progress})
    gaps = [b["time"] - a["time"] for a, b in zip(progress, progress[1:])]
    assert min(gaps) > 0.95, gaps
    (request,) = server.events("request")
    assert {e["client_port"] for e in progress} == {request["client_port"]}


@pytest.mark.parametrize("target", [
    b"/\x1b[31m\x07x", b"/%0d%0aGET%20/user1.bin", b"/" + b"a" * 3000, b"/\xff\xfe", b'/"},{"x":"',
    b"/\\", b"/\xed\xa0\x80", b"/\xc3\xa4\xf0\x9f\x98\x80", b"/\xc3" * 300, b"/user1.bin?\"a\"=\\u0000",
    b"/\xe2\x80\xa8x", b"/</script>"], ids=lambda t: repr(t)[:24])
def test_hostile_targets(serve, firmware, target):
    server = serve(firmware.path("1MB.app1"))
    server.ask(b"GET " + target + b" HTTP/1.0\r\n\r\n")
    server.wait_for('"event":"request"')
    assert server.stop() == OK
    raw = server.log_path.read_bytes()
    assert raw.count(b"\n") == 3 and raw.isascii() or raw.decode("utf-8")
    assert not set(raw) & (set(range(32)) - {10}) and b"\x7f" not in raw
    (request,) = server.events("request")
    assert_documented(request, documented()["request"])
    assert len(request["target"].encode()) <= 255
    plain = target.decode("utf-8", "replace")
    if plain.isprintable() and "\ufffd" not in plain and len(target) < 200:
        assert request["target"] == plain


def test_path_that_is_not_utf8(serve, tool, firmware):
    elf = firmware.copy("1MB.app1", tool.cwd / "caf\udce9\n.elf")
    server = serve(elf)
    (started,) = server.events()
    assert started["slots"][0]["elf"].startswith("caf") or "/caf" in started["slots"][0]["elf"]


def test_once(serve, firmware):
    server = serve("--once", firmware.path("1MB.app1"))
    assert server.get("/user1.bin").status == 200
    assert server.wait() == OK
    stopped = server.events()[-1]
    assert (stopped["because"], stopped["downloads"]) == ("once", 1)


def test_text_is_the_default(tool, tmp_path, firmware):
    for option in ([], ["--log", "text"], ["--log=TEXT"]):
        server = server_module.Server(*option, firmware.path("1MB.app1"), cwd=tmp_path)
        assert "APP1: " in server.log() and "{" not in server.log()
        assert server.stop() == OK
    assert_refused(tool("serve", "--log", "xml", "x.elf"), USAGE, "--log", "'xml'", "text or json")


def test_what_is_in_the_documentation(tool):
    text = (ROOT / "docs/log.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^    (\{.*\})$", text, re.M)
    assert_documented(json.loads(example), documented()["request"])
    assert json.loads(example)["time_utc"] in text
