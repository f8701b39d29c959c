# SPDX-License-Identifier: MIT
"""serve on a terminal: a line for each download, below the log."""

import os
import re
import signal
import socket
import subprocess
import time

import pytest

from terminal import Screen, Terminal
from tool import OK, PROGRAM

GET = b"GET /user1.bin HTTP/1.0\r\n\r\n"
LINE = r"([\d.]+) +user1 \[(#*)(\.*)\] +(\d+) % +(.*)"


@pytest.fixture
def terminal(tmp_path, firmware):
    """Starts `serve` on a terminal; `port` is where."""
    running = []

    def start(*args, **kwargs):
        one = Terminal("serve", "--port", "0", "--bind", "127.0.0.1", "-fs", "2MB-c1",
                       firmware.path("2MB-c1.large"), *args, cwd=tmp_path, **kwargs)
        running.append(one)
        if "stdout" not in kwargs:
            one.port = int(one.wait_for(r"^Serving on port (\d+)")[1])
            one.wait_for(r"/user2\.bin$")
        return one

    yield start
    for one in running:
        one.end()


class Client:
    """A device that has read the beginning and waits."""

    def __init__(self, port, number=1):
        self.address = f"127.0.1.{number}"
        self.socket = socket.socket()
        self.socket.settimeout(20)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        self.socket.bind((self.address, 0))
        self.socket.connect(("127.0.0.1", port))
        self.socket.sendall(GET)
        self.got = len(self.socket.recv(1000))

    def read(self, count):
        while count > 0:
            part = self.socket.recv(min(count, 65536))
            assert part, "an early end"
            count -= len(part)
            self.got += len(part)

    def finish(self):
        while part := self.socket.recv(65536):
            self.got += len(part)
        self.socket.close()
        assert self.got > 590000

    def give_up(self):
        self.socket.close()


def assert_whole(terminal, downloads):
    """Nothing but whole lines of the log is left, one for each download."""
    lines = terminal.log()
    requests = [line for line in lines if " GET " in line]
    assert len(requests) == downloads
    for line in requests:
        assert re.fullmatch(r"[\d.]+ GET /user1\.bin user1 200 build 1, \d+ of \d+ bytes "
                            r"\d+\.\d\d s(: .*)?", line), line
    rest = [line for line in lines if line not in requests]
    assert [line for line in rest if not re.match(r"APP[12]: |Serving on|Limits: |Protection: |ending: |  (Status: )?http:|[\d.]+ has not", line)] == [""]


def test_one_device(terminal):
    t = terminal()
    client = Client(t.port)
    (line,) = t.wait(t.live)
    address, full, rest, percent, _ = re.fullmatch(LINE, line).groups()
    assert address == client.address and int(percent) < 20
    assert len(full) + len(rest) == 30 and len(full) == int(percent) * 30 // 100
    client.read(400000)
    t.wait(lambda: int(re.fullmatch(LINE, t.live()[0])[4]) >= 60)
    assert re.fullmatch(LINE, t.live()[0])[5].endswith(" left")
    client.finish()
    t.wait_for(r"^127\.0\.1\.1 GET /user1\.bin user1 200 build 1, (\d+) of \1 bytes")
    t.wait(lambda: not t.live())
    assert t.stop() == OK
    assert_whole(t, 1)


def test_silence_is_told(terminal):
    t = terminal()
    client = Client(t.port)
    t.wait(lambda: any("silent for 3 s" in line for line in t.live()))
    assert " left" not in t.live()[0]
    client.give_up()
    t.wait_for("the client went away")
    t.wait(lambda: not t.live())
    assert t.stop() == OK
    assert_whole(t, 1)


def test_three_devices(terminal):
    t = terminal()
    clients = []
    for number in (1, 20, 3):
        clients.append(Client(t.port, number))
        t.wait(lambda: len(t.live()) == len(clients))
    assert [line.split()[0] for line in t.live()] == [c.address for c in clients]
    assert len({line.index("user1") for line in t.live()}) == 1, "in columns"
    clients[1].finish()
    t.wait(lambda: [line.split()[0] for line in t.live()] == ["127.0.1.1", "127.0.1.3"])
    assert any("127.0.1.20 GET" in line for line in t.history())
    clients[0].finish()
    clients[2].finish()
    t.wait(lambda: not t.live())
    assert t.stop() == OK
    assert_whole(t, 3)


def test_sixty_devices(terminal):
    t = terminal()
    clients = [Client(t.port, number) for number in range(1, 61)]
    t.wait(lambda: t.live()[-1:] == ["and 52 more"])
    assert len(t.live()) == 9 and len(t.visible()) == 10
    for client in clients[:30]:
        client.finish()
    t.wait(lambda: t.live()[-1:] == ["and 22 more"])
    for client in clients[30:56]:
        client.finish()
    t.wait(lambda: len(t.live()) == 4 and "more" not in t.live()[-1])
    for client in clients[56:]:
        client.finish()
    t.wait(lambda: not t.live())
    assert t.stop() == OK
    assert_whole(t, 60)


def test_the_block_is_cleared_at_the_end(terminal):
    for number in (signal.SIGINT, signal.SIGTERM):
        t = terminal("--drain", "0")
        clients = [Client(t.port, i) for i in range(1, 4)]
        t.wait(lambda: len(t.live()) == 3)
        assert t.stop(number) == OK
        assert t.live() == [] and t.history()[-1] == ""
        assert_whole(t, 3)
        for client in clients:
            client.give_up()


def test_once(terminal):
    t = terminal("--once")
    Client(t.port).finish()
    assert t.ended() == OK
    assert_whole(t, 1)


def test_redrawn_ten_times_a_second(terminal):
    t = terminal()
    clients = [Client(t.port, i) for i in range(1, 5)]
    t.wait(lambda: len(t.live()) == 4)
    end = time.monotonic() + 2
    while time.monotonic() < end:
        for client in clients:
            client.read(1460)
        time.sleep(0.02)  # as slow as a device
    for client in clients:
        client.finish()
    t.wait(lambda: not t.live())
    assert t.stop() == OK
    gaps = [b - a for a, b in zip(t.draws, t.draws[1:])]
    assert len(t.draws) >= 5
    assert len(t.draws) <= 12 * (t.draws[-1] - t.draws[0] + 1), gaps


@pytest.mark.parametrize("columns", [1, 2, 20, 46, 60, 300])
def test_lines_are_cut_to_the_width(terminal, columns):
    t = terminal()
    clients = [Client(t.port, i) for i in (1, 2)]
    t.wait(lambda: len(t.live()) == 2)
    t.resize(columns, 10)
    t.screen.lines = [""]  # what such a terminal makes of the old lines is its own affair
    t.screen.row = t.screen.column = 0
    clients[0].read(200000)
    t.wait(lambda: any(line.startswith("127"[:columns - 1]) and line for line in t.visible())
           or columns == 1)
    assert max(map(len, t.visible())) < max(columns, 2)
    for client in clients:
        client.give_up()
    assert t.stop() == OK


@pytest.mark.parametrize("rows,wanted", [(1, 1), (2, 1), (3, 2), (5, 3)])
def test_small_terminals(terminal, rows, wanted):
    t = terminal(rows=rows)
    clients = [Client(t.port, i) for i in (1, 2, 3)]
    t.wait(lambda: len(t.live()) == wanted and
           ("3 downloads" in t.live() or "and 2 more" in t.live() or wanted == 3))
    for client in clients:
        client.finish()
    t.wait(lambda: not t.live())
    assert t.stop() == OK
    assert_whole(t, 3)


def test_colours(terminal):
    for environment, coloured in (({}, True), ({"NO_COLOR": ""}, True), ({"NO_COLOR": "1"}, False)):
        t = terminal(**environment)
        client = Client(t.port)
        client.read(200000)
        t.wait(lambda: any("##" in line for line in t.live()))
        assert (t.screen.colours > 0) == coloured, environment
        client.give_up()
        assert t.stop() == OK


@pytest.mark.parametrize("term", ["dumb", ""])
def test_terminals_without_a_cursor(terminal, term):
    t = terminal(TERM=term)
    client = Client(t.port)
    client.finish()
    t.wait_for("GET")
    assert t.stop() == OK
    assert "\x1b" not in t.raw and "[#" not in t.raw
    assert_whole(t, 1)


def test_log_in_a_file_block_on_the_terminal(terminal, tmp_path):
    with open(tmp_path / "log", "wb") as log:
        t = terminal(stdout=log)
        port = None
        t.wait(lambda: re.search(r"user2\.bin$", (tmp_path / "log").read_text(), re.M))
        port = int(re.search(r"port (\d+)", (tmp_path / "log").read_text())[1])
        client = Client(port)
        client.read(300000)
        t.wait(t.live)
        client.finish()
        t.wait(lambda: not t.live())
        assert t.stop() == OK
    text = (tmp_path / "log").read_text()
    assert "\x1b" not in text and "[#" not in text and text.count(" GET ") == 1
    assert t.history() == [""]


def test_json_on_a_terminal(terminal, tmp_path):
    with open(tmp_path / "log", "wb") as log:
        t = terminal("--log", "json", stdout=log)
        t.wait(lambda: (tmp_path / "log").read_text().endswith("\n"))
        port = int(re.search(r'"port":(\d+)', (tmp_path / "log").read_text())[1])
        client = Client(port)
        t.wait(t.live)
        client.finish()
        assert t.stop() == OK
    assert t.history() == [""]


def test_hostile_targets_do_not_reach_the_terminal(terminal):
    t = terminal()
    client = Client(t.port)
    t.wait(t.live)
    for target in (b"/\x1b[31m\x07x", b"/\x1b[2J\x1b[H", b"/\r\nhello", b"/\xc2\x9b31m", b"/\x7f\b\b"):
        with socket.create_connection(("127.0.0.1", t.port), timeout=20) as s:
            s.sendall(b"GET " + target + b" HTTP/1.0\r\n\r\n")
            while s.recv(4096):
                pass
    client.give_up()
    t.wait_for("client went away")
    assert t.stop() == OK, "an unknown sequence would have been an error"
    assert "\x07" not in t.raw and "[31m" not in t.raw.replace("?[31m", "")


# ---- nobody reads ----

def ask_often(port, count):
    for _ in range(count):
        with socket.create_connection(("127.0.0.1", port), timeout=20) as s:
            s.sendall(b"GET /" + b"x" * 200 + b" HTTP/1.0\r\n\r\n")
            assert s.recv(4096).startswith(b"HTTP/1.1 404")
            while s.recv(4096):
                pass


@pytest.fixture
def piped(tmp_path, firmware):
    """(process, port) of a server with its output in pipes."""
    with subprocess.Popen([PROGRAM, "serve", "--port", "0", "--bind", "127.0.0.1",
                           firmware.path("1MB.app1")], cwd=tmp_path, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as process:
        for line in process.stdout:
            found = re.search(rb"http://127\.0\.0\.1:(\d+)/user1\.bin", line)
            if found:
                break
        yield process, int(found[1])
        process.kill()


def test_updates_do_not_wait_for_the_reader_of_the_log(piped):
    """More than a pipe holds; all of it is there when somebody reads at last."""
    process, port = piped
    ask_often(port, 600)
    process.send_signal(signal.SIGTERM)
    assert process.stdout.read().count(b" GET ") == 600
    assert process.wait(timeout=20) == OK
    assert process.stderr.read() == b""


def test_ends_though_nobody_reads(piped):
    process, port = piped
    ask_often(port, 600)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == OK
    told = process.stdout.read().count(b" GET ")
    lost = re.search(rb"warning: (\d+) lines of the log were lost", process.stderr.read())
    assert 0 < told < 600 and told + int(lost[1]) == 600


def test_reader_that_goes_away(piped):
    process, port = piped
    process.stdout.close()
    ask_often(port, 5)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 74
    assert b"standard output" in process.stderr.read()


# ---- the terminal of these tests ----

def test_screen():
    screen = Screen(10, 3)
    screen.feed("one\r\ntwo\x1b[")
    screen.feed("Ka\r\nthree\r\nfour\r\x1b[1A\x1b[31mT\x1b[0m\x1b[K\r\n1234567890X")
    assert screen.lines == ["one", "twoa", "T", "1234567890", "X"]
    assert screen.visible() == ["T", "1234567890", "X"] and screen.colours == 2
    screen.feed("\r\x1b[2A\x1b[J")
    assert screen.lines == ["one", "twoa", ""]
    for wrong in ("\x1b[5A", "\x1b[2J", "\x1b[H", "\x07"):
        with pytest.raises(AssertionError):
            screen.feed(wrong)
