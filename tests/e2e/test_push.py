# SPDX-License-Identifier: MIT
"""push: fleets of virtual devices, and devices that misbehave, each state reached."""

import http.client
import http.server
import json
import shlex
import signal
import socket
import struct
import sys
import threading
import time
import xml.etree.ElementTree

import pytest

from child import Child
from device import Device, builds_that_ran
from tool import NOT_ALL, OK, USAGE, assert_refused, assert_shape, Maybe

NONE_REACHED = 75
STATES = {"waiting", "switched", "up to date", "unreachable", "busy", "refused", "not switched",
          "came back as before", "timed out", "downloaded"}
SHAPE = {"schema_version": 1, "command": "push", "updated": int, "stopped": bool,
         "devices": [{"address": Maybe(str), "name": str, "label": Maybe(str), "state": STATES,
                      "reason": Maybe(str), "build_before": Maybe(str), "build_after": Maybe(str),
                      "seconds": float, "attempts": int, "bytes": int}]}
QUICK = ("--settle", "1", "--timeout", "10", "--proof-timeout", "4")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


class Workshop:
    """Ports that all devices of a test have in common, and ELFs of builds 1 and 2."""

    def __init__(self, cwd, firmware):
        self.cwd = cwd
        self.page, self.trigger, self.server = (free_port() for _ in range(3))
        self.children = []
        for slot in (1, 2):
            elf = firmware.path(f"1MB.app{slot}").read_bytes()
            assert elf.count(b"espimagetool-build=1\0") == 1
            (cwd / f"old{slot}.elf").write_bytes(elf)
            (cwd / f"app{slot}.elf").write_bytes(
                elf.replace(b"espimagetool-build=1\0", b"espimagetool-build=2\0"))

    def simulate(self, *args):
        pulls = ("--server", f"http://127.0.0.1:{self.server}", "--trigger-port",
                 str(self.trigger)) if "--web" not in args else ()
        device = Device("--load", "old1.elf", *pulls, *args, cwd=self.cwd,
                        ports=("--page-port", str(self.page)))
        self.children.append(device)
        device.wait_for(r"firmware: build 1 runs")
        return device

    def arguments(self, *args, elves=("app1.elf", "app2.elf")):
        return ["push", "--via", f"tcp:{self.trigger}", "--port", str(self.server), "--page",
                f"http://{{device}}:{self.page}/", *args, *elves]

    def start(self, *args):
        child = Child("push", self.arguments(*args), self.cwd)
        self.children.append(child)
        return child

    def end(self):
        for child in self.children:
            if child.process.poll() is None:
                child.process.kill()
            child.process.wait(timeout=15)


@pytest.fixture
def workshop(tmp_path, firmware):
    shop = Workshop(tmp_path, firmware)
    yield shop
    shop.end()


class Fake:
    """A device of Python: a page, a trigger, and what `course` makes of an update."""

    def __init__(self, shop, address, course, build="1"):
        self.shop, self.address, self.course, self.build = shop, address, course, build
        self.triggers = 0
        self.pages = self.open_page() if course != "no page" else None
        self.listener = socket.create_server((address, shop.trigger))
        threading.Thread(target=self.listen, daemon=True).start()

    def open_page(self):
        fake = self

        class Page(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                text = b"nothing to see" if fake.course == "blank page" else \
                    f"<h1>Build {fake.build}</h1>".encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *args):
                pass

        server = http.server.ThreadingHTTPServer((self.address, self.shop.page), Page)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05},
                         daemon=True).start()
        return server

    def close_page(self):
        if self.pages:
            self.pages.shutdown()
            self.pages.server_close()

    def listen(self):
        while True:
            try:
                self.listener.accept()[0].close()
            except OSError:
                return
            self.triggers += 1
            threading.Thread(target=self.update, daemon=True).start()

    def ask(self, method, slot, take=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.shop.server, timeout=10,
                                                source_address=(self.address, 0))
        connection.request(method, f"/user{slot}.bin", headers={"Connection": "close"})
        answer = connection.getresponse()
        got = answer.read(take)
        connection.close()
        return answer.status, len(got)

    def break_off(self):
        """Takes little, and resets the connection."""
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            s.settimeout(10)
            s.bind((self.address, 0))
            s.connect(("127.0.0.1", self.shop.server))
            s.sendall(b"GET /user2.bin HTTP/1.0\r\n\r\n")
            s.recv(1000)

    def update(self):
        if self.course == "silent":
            return
        self.ask("HEAD", 2)
        if self.course == "breaks off":
            self.break_off()
            return
        self.ask("GET", 2)
        time.sleep(0.2)
        if self.course in ("falls back", "gone", "switches"):
            self.close_page()
        if self.course == "falls back":
            time.sleep(1)
            self.pages = self.open_page()
        if self.course == "switches":
            self.build = "2"
            self.pages = self.open_page()
        if self.course == "asks for the other file":
            self.ask("HEAD", 1)
        if self.course == "asks again":
            self.ask("HEAD", 2)

    def end(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.close_page()


def by_name(result):
    document = result.json()
    assert_shape(document, SHAPE)
    return {d["name"]: d for d in document["devices"]}


# ---- one device ----

def test_a_device_is_updated_and_left_alone_afterwards(workshop, tool):
    device = workshop.simulate()
    done = by_name(tool(*workshop.arguments("--json", "127.0.0.1")))["127.0.0.1"]
    assert (done["state"], done["build_before"], done["build_after"]) == ("switched", "1", "2")
    assert (done["reason"], done["attempts"]) == (None, 1)
    again = tool(*workshop.arguments("127.0.0.1"))
    assert again.status == OK and again.out == ("127.0.0.1: up to date, build 2\n"
                                                "1 device: 1 up to date\n")
    assert builds_that_ran(device.log()) == [(1, 1), (2, 2)]


@pytest.mark.parametrize("course, state, reason", [
    ("switches", "switched", None),
    ("asks for the other file", "switched", None),
    ("breaks off", "refused", "complete:"),
    ("falls back", "came back as before", "rebooted"),
    ("asks again", "not switched", "asks for the same file again"),
    ("stays", "not switched", "did not start it"),
    ("gone", "timed out", "does not answer"),
    ("blank page", "downloaded", "no proof"),
    ("no page", "downloaded", "no proof"),
    ("silent", "timed out", "asked for no image"),
])
def test_states(workshop, tool, course, state, reason):
    fake = Fake(workshop, "127.2.0.1", course)
    try:
        result = tool(*workshop.arguments("--json", *QUICK, "127.2.0.1"))
    finally:
        fake.end()
    done = by_name(result)["127.2.0.1"]
    assert done["state"] == state, result
    assert (reason is None) == (done["reason"] is None), result
    assert reason is None or reason in done["reason"], result
    assert result.status == (OK if state == "switched" else NOT_ALL)
    assert fake.triggers == 1


def test_a_damaged_image_is_not_called_updated(workshop, tool):
    device = workshop.simulate("--flip-bit", "9000")
    result = tool(*workshop.arguments("--json", *QUICK, "127.0.0.1"))
    assert by_name(result)["127.0.0.1"]["state"] == "not switched"
    assert result.status == NOT_ALL
    assert builds_that_ran(device.log()) == [(1, 1)]


def test_a_device_that_drops_the_connection_is_tried_again(workshop, tool):
    workshop.simulate("--drop-after", "9000")
    result = tool(*workshop.arguments("--json", "--retry", "2", *QUICK, "127.0.0.1"))
    done = by_name(result)["127.0.0.1"]
    assert (done["state"], done["attempts"]) == ("refused", 3), result


def test_a_file_that_was_not_given(workshop, tool):
    workshop.simulate()
    result = tool(*workshop.arguments("--json", *QUICK, "127.0.0.1", elves=("app1.elf",)))
    done = by_name(result)["127.0.0.1"]
    assert done["state"] == "not switched" and "user2.bin" in done["reason"], result


def test_force_updates_what_runs_the_build_but_claims_nothing(workshop, tool):
    device = workshop.simulate()
    result = tool(*workshop.arguments("--json", "--force", *QUICK, "127.0.0.1",
                                      elves=("old1.elf", "old2.elf")))
    done = by_name(result)["127.0.0.1"]
    assert done["state"] == "downloaded" and "no proof" in done["reason"], result
    assert builds_that_ran(device.log()) == [(1, 1), (1, 2)]


def test_unreachable(workshop, tool):
    began = time.monotonic()
    result = tool(*workshop.arguments("--json", "127.2.0.1", "127.2.0.2", "no-such-device.invalid"))
    assert {d["state"] for d in by_name(result).values()} == {"unreachable"}
    assert result.status == NONE_REACHED
    assert time.monotonic() - began < 20


# ---- other transports ----

def push_via(workshop, tool, via, *args, elves=("app1.elf", "app2.elf")):
    return tool("push", "--json", "--via", via, "--port", str(workshop.server), *QUICK, *args,
                *elves)


@pytest.mark.parametrize("dialect", ["esp-link", "libesphttpd", "espruino"])
def test_posting(workshop, tool, dialect):
    fleet = workshop.simulate("--web", dialect, "--devices", "3")
    via = f"{dialect}:{workshop.page}"
    result = push_via(workshop, tool, via, "--settle", "10", "127.1.0.1", "127.1.0.2", "127.1.0.3")
    devices = by_name(result).values()
    assert [d["state"] for d in devices] == ["switched"] * 3, result
    assert {d["build_after"] for d in devices} == {"2"} and result.status == OK
    ran = builds_that_ran(fleet.log())
    assert ran.count((2, 2)) == 3 and len(ran) == 6


def test_a_device_refuses_what_is_posted(workshop, tool):
    device = workshop.simulate("--web", "esp-link", "--flip-bit", "0")
    result = push_via(workshop, tool, f"esp-link:{workshop.page}", "127.0.0.1")
    done = by_name(result)["127.0.0.1"]
    assert done["state"] == "refused" and "400" in done["reason"], result
    assert builds_that_ran(device.log()) == [(1, 1)]


def test_only_the_slot_that_the_device_names_is_posted(workshop, tool):
    device = workshop.simulate("--web", "esp-link")
    result = push_via(workshop, tool, f"esp-link:{workshop.page}", "127.0.0.1",
                      elves=("app1.elf",))
    done = by_name(result)["127.0.0.1"]
    assert done["state"] == "not switched" and "user2.bin" in done["reason"], result
    assert (done["bytes"], builds_that_ran(device.log())) == (0, [(1, 1)])


@pytest.mark.parametrize("answer, state", [
    (b"HTTP/1.0 200 OK\r\n\r\nuser3.bin", "refused"),
    (b"HTTP/1.0 200 OK\r\n\r\nuser1.bin, or not", "refused"),
    (b"HTTP/1.0 404 Not Found\r\n\r\n", "refused"),
    (b"user1.bin", "refused"),
    (b"", "busy"),
])
def test_a_device_that_names_no_slot_gets_nothing(workshop, tool, answer, state):
    got = []
    with socket.create_server(("127.2.0.1", workshop.page)) as listener:
        def serve():
            while True:
                try:
                    with listener.accept()[0] as s:
                        got.append(s.recv(65536))
                        s.sendall(answer)
                except OSError:
                    return
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        result = push_via(workshop, tool, f"esp-link:{workshop.page}", "127.2.0.1")
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)
    assert by_name(result)["127.2.0.1"]["state"] == state, result
    assert len(got) == 1 and got[0].startswith(b"GET /flash/next HTTP/1.0\r\n")


def test_nothing_starts_when_a_rule_is_broken(workshop, tool):
    result = push_via(workshop, tool, "espruino", "--profile", "sdk", "127.2.0.1")
    assert result.status == NOT_ALL and result.out == "" and "Espruino" in result.err, result
    assert_refused(push_via(workshop, tool, "libesphttpd", "127.2.0.1", elves=("app1.elf",)), USAGE,
                   "both ELFs")


def test_a_request_as_the_trigger(workshop, tool):
    workshop.simulate()
    page = f"http://{{device}}:{workshop.page}/"
    via = f"http://{{device}}:{workshop.trigger}/update"
    assert push_via(workshop, tool, via, "--page", page, "127.0.0.1").status == OK
    again = push_via(workshop, tool, f"http:POST http://{{device}}:{workshop.page}/nothing",
                     "--page", page, "--force", "127.0.0.1")
    done = by_name(again)["127.0.0.1"]
    assert done["state"] == "refused" and "status 4" in done["reason"], again


def test_a_device_that_says_it_is_busy(workshop, tool):
    with socket.create_server(("127.2.0.1", workshop.trigger)) as listener:
        def serve():
            with listener.accept()[0] as s:
                s.recv(65536)
                s.sendall(b"HTTP/1.0 503 Busy\r\n\r\n")
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        result = push_via(workshop, tool, f"http://{{device}}:{workshop.trigger}/", "--page",
                          f"http://{{device}}:{workshop.page}/", "127.2.0.1")
        thread.join(10)
    assert by_name(result)["127.2.0.1"]["state"] == "busy", result


def test_a_command_as_the_trigger(workshop, tool):
    workshop.simulate()
    page = f"http://{{device}}:{workshop.page}/"
    (workshop.cwd / "trigger.py").write_text(
        "import os, socket, sys\n"
        "assert sys.argv[1] == os.environ['ESPIMAGETOOL_DEVICE']\n"
        "print('triggering')\n"
        f"socket.create_connection((sys.argv[1], {workshop.trigger})).close()\n")
    via = f"exec:{sys.executable} trigger.py {{device}}"
    result = push_via(workshop, tool, via, "--page", page, "127.0.0.1")
    assert by_name(result)["127.0.0.1"]["state"] == "switched", result
    assert "triggering" in result.err
    result = push_via(workshop, tool, "exec:exit 3", "--page", page, "--force", "127.0.0.1")
    done = by_name(result)["127.0.0.1"]
    assert done["state"] == "refused" and "status 3" in done["reason"], result


# ---- fleets ----

def test_a_fleet(workshop, tool):
    fleet = workshop.simulate("--devices", "30")
    (workshop.cwd / "list").write_text(
        "# all\n127.1.0.1 the first\n" + "".join(f"127.1.0.{i}\n" for i in range(2, 31)))
    result = tool(*workshop.arguments("--json", "--canary", "2", "--batch", "50%", "--junit",
                                      "out.xml", "@list", "127.1.0.200"), timeout=120)
    devices = by_name(result)
    states = [d["state"] for d in devices.values()]
    assert (states.count("switched"), states.count("unreachable")) == (30, 1), result
    assert devices["127.1.0.1"]["label"] == "the first"
    assert result.status == NOT_ALL
    suite = xml.etree.ElementTree.parse(workshop.cwd / "out.xml").getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("31", "1", "0")
    assert len(suite.findall("testcase")) == 31 and len(suite.findall("testcase/failure")) == 1
    ran = builds_that_ran(fleet.log())
    assert ran.count((2, 2)) == 30 and len(ran) == 60


def test_a_failing_canary_stops_the_rest(workshop, tool):
    bad = workshop.simulate("--flip-bit", "9000")
    good = workshop.simulate("--devices", "2")
    result = tool(*workshop.arguments("--json", "--canary", "1", *QUICK, "127.0.0.1", "127.1.0.1"))
    devices = by_name(result)
    assert devices["127.0.0.1"]["state"] == "not switched"
    assert devices["127.1.0.1"]["state"] == "waiting"
    assert result.json()["stopped"] and result.status == NOT_ALL
    assert builds_that_ran(good.log()) == [(1, 1)] * 2 and builds_that_ran(bad.log()) == [(1, 1)]


def test_ctrl_c_lets_running_updates_finish(workshop):
    fleet = workshop.simulate("--devices", "4", "--speed", "60000")
    push = workshop.start("--parallel", "2", "--state", "state", "127.1.0.0/29")
    push.wait_for(r"^127\.1\.0\.1: downloading")
    push.kill(signal.SIGINT)
    assert push.wait() == NOT_ALL, push.err()
    assert len(push.log().split(": switched, build 1 to build 2")) == 3, push.log()
    assert "stopped before all were begun" in push.log()
    again = workshop.start("--resume", "--state", "state", "127.1.0.1", "127.1.0.2", "127.1.0.3",
                           "127.1.0.4")
    assert again.wait() == OK, again.log()
    ran = builds_that_ran(fleet.log())
    assert ran.count((2, 2)) == 4 and len(ran) == 8


def test_a_second_ctrl_c_ends_at_once(workshop):
    workshop.simulate("--devices", "2", "--speed", "2000")
    push = workshop.start("127.1.0.1")
    push.wait_for(r"^127\.1\.0\.1: downloading")
    push.kill(signal.SIGINT)
    time.sleep(0.3)
    began = time.monotonic()
    push.kill(signal.SIGINT)
    assert push.wait() == NOT_ALL
    assert time.monotonic() - began < 10


def test_a_killed_run_is_resumed(workshop):
    fleet = workshop.simulate("--devices", "8", "--speed", "100000")
    names = [f"127.1.0.{i}" for i in range(1, 9)]
    push = workshop.start("--parallel", "2", "--state", "state", *names)
    push.wait_for(r": switched")
    push.process.kill()
    push.process.wait(timeout=15)
    written = [json.loads(line) for line in (workshop.cwd / "state").read_text().splitlines()]
    done = {r["address"] for r in written if r.get("state") == "switched"}
    assert done
    time.sleep(1)
    again = workshop.start("--json", "--retry", "3", "--resume", "--state", "state", *names)
    assert again.wait() == OK, again.err()
    states = {d["name"]: d for d in json.loads(again.log())["devices"]}
    assert all(states[name]["reason"] == "updated by an earlier run" for name in done)
    ran = builds_that_ran(fleet.log())
    assert ran.count((2, 2)) == 8 and (2, 1) not in ran, ran


def test_the_example_of_the_help(workshop, tool):
    (workshop.cwd / "workshop.txt").write_text("127.2.0.9\n")
    example = tool.ok("push", "--help").out.split("\nExample:\n")[1].splitlines()[0]
    result = tool(*shlex.split(example)[1:], "--port", str(workshop.server))
    assert result.status == NONE_REACHED and result.out.endswith("1 device: 1 unreachable\n"), result


# ---- what is refused ----

@pytest.mark.parametrize("args, words", [
    (("127.0.0.1",), ("give devices",)),
    (("app1.elf",), ("give devices",)),
    (("--resume", "127.0.0.1", "app1.elf"), ("--state",)),
    (("--batch", "0", "127.0.0.1", "app1.elf"), ("--batch", "devices")),
    (("--stop-after", "101%", "127.0.0.1", "app1.elf"), ("--stop-after",)),
    (("--via", "smoke", "127.0.0.1", "app1.elf"), ("--via", "tcp")),
    (("--via", "http://example.org/", "127.0.0.1", "app1.elf"), ("--via", "{device}")),
    (("--via", "tcp:0", "127.0.0.1", "app1.elf"), ("--via", "tcp:PORT")),
    (("--via", "exec:", "127.0.0.1", "app1.elf"), ("--via", "exec:COMMAND")),
    (("--tag", "x" * 28, "127.0.0.1", "app1.elf"), ("--tag", "27")),
    (("--page", "http://example.org/", "127.0.0.1", "app1.elf"), ("--page", "{device}")),
    (("--expect", "(", "127.0.0.1", "app1.elf"), ("regular expression",)),
    (("10.0.0.0/8", "app1.elf"), ("10.0.0.0/8",)),
    (("a b", "app1.elf"), ("not a device",)),
])
def test_usage(workshop, tool, args, words):
    assert_refused(tool("push", *args), USAGE, *words)


def test_images_that_no_update_can_bring(workshop, tool, firmware):
    firmware.copy("1MB.app1", workshop.cwd / "other.elf")
    result = tool(*workshop.arguments("127.2.0.1", elves=("app1.elf", "other.elf")))
    assert result.status not in (OK, NONE_REACHED) and len(result.errors) == 1, result
    assert_refused(tool(*workshop.arguments("127.2.0.1", elves=("app1.elf", "old2.elf"))), 65,
                   "build 2", "build 1")
    assert_refused(tool(*workshop.arguments("127.2.0.1", elves=("missing.elf",))), 66,
                   "missing.elf")
