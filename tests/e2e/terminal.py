# SPDX-License-Identifier: MIT
"""A terminal, as far as `serve` uses one: what a user would see on it."""

import fcntl
import os
import re
import struct
import subprocess
import termios
import threading
import time

from tool import PROGRAM

SEQUENCE = re.compile(r"\x1b\[(\d*)([A-Za-z])")


class Screen:
    """Rows and a history; knows what is not to be known: other sequences are an error."""

    def __init__(self, columns, rows):
        self.columns, self.rows = columns, rows
        self.lines = [""]  # all that there ever was; the screen is the end of it
        self.row = self.column = 0
        self.colours = 0
        self.left = ""

    def feed(self, text):
        text = self.left + text
        at = 0
        while at < len(text):
            if text[at] == "\x1b":
                found = SEQUENCE.match(text, at)
                if not found:
                    assert len(text) - at < 8, f"unknown sequence {text[at:at + 20]!r}"
                    break
                self.control(int(found[1] or 1 if found[2] == "A" else found[1] or 0), found[2])
                at = found.end()
            else:
                self.put(text[at])
                at += 1
        self.left = text[at:]

    def control(self, number, letter):
        if letter == "A":
            assert self.row - number >= len(self.lines) - self.rows, "above the screen"
            self.row -= number
        elif letter in "JK":
            assert number == 0
            self.lines[self.row] = self.lines[self.row][:self.column]
            if letter == "J":
                del self.lines[self.row + 1:]
        elif letter == "m":
            self.colours += 1
        else:
            raise AssertionError(f"unknown sequence {number}{letter}")

    def put(self, c):
        if c == "\r":
            self.column = 0
        elif c == "\n":
            self.row += 1
            if self.row == len(self.lines):
                self.lines.append("")
        else:
            assert c.isprintable(), repr(c)
            if self.column == self.columns:
                self.put("\r")
                self.put("\n")
            line = self.lines[self.row].ljust(self.column)
            self.lines[self.row] = line[:self.column] + c + line[self.column + 1:]
            self.column += 1

    def visible(self):
        return self.lines[-self.rows:]


class Terminal:
    """The program with all three of its files on one terminal."""

    def __init__(self, *args, cwd, columns=80, rows=10, stdout=None, **environment):
        self.ours, theirs = os.openpty()
        self.screen = Screen(columns, rows)
        self.draws = []  # when the block was drawn
        self.raw = ""
        self.lock = threading.Lock()
        self.resize(columns, rows)
        env = {k: v for k, v in os.environ.items() if k != "NO_COLOR"}
        env = {**env, "TERM": "xterm-256color", **environment}
        self.process = subprocess.Popen([PROGRAM, *map(os.fspath, args)], cwd=cwd, env=env,
                                        stdin=theirs, stdout=stdout or theirs, stderr=theirs,
                                        start_new_session=True)
        os.close(theirs)
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.failure = None
        self.thread.start()

    def read(self):
        try:
            while part := os.read(self.ours, 65536):
                text = part.decode("ascii")
                with self.lock:
                    self.raw += text
                    self.draws += [time.monotonic()] * text.count("\x1b[J\r\x1b")
                    self.screen.feed(text)
        except OSError:
            pass  # the program has ended
        except AssertionError as failure:
            self.failure = failure

    def resize(self, columns, rows):
        with self.lock:
            self.screen.columns, self.screen.rows = columns, rows
            fcntl.ioctl(self.ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def visible(self):
        with self.lock:
            return self.screen.visible()

    def live(self):
        """The lines of the block."""
        return [line for line in self.visible()
                if re.match(r"[\d.]+ +user[12] .* % |and \d+ more|\d+ downloads", line)]

    def history(self):
        with self.lock:
            return list(self.screen.lines)

    def log(self):
        """The history with what was wrapped put together again."""
        lines = []
        joins = False
        for line in self.history():
            if joins:
                lines[-1] += line
            else:
                lines.append(line)
            joins = len(line) == self.screen.columns
        return lines

    def wait(self, condition, seconds=20):
        limit = time.monotonic() + seconds
        while True:
            if self.failure:
                raise self.failure
            value = condition()
            if value:
                return value
            assert time.monotonic() < limit, "\n".join(self.history())
            time.sleep(0.01)

    def wait_for(self, pattern):
        return self.wait(lambda: re.search(pattern, "\n".join(self.log()), re.M))

    def stop(self, number=15):
        self.process.send_signal(number)
        return self.ended()

    def ended(self):
        status = self.process.wait(timeout=20)
        self.thread.join(timeout=20)
        if self.failure:
            raise self.failure
        return status

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(timeout=20)
        self.thread.join(timeout=20)
        os.close(self.ours)
