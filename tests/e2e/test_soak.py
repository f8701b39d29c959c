# SPDX-License-Identifier: MIT
"""serve over a longer time: updates, rebuilds, downloads that break off and hostile clients. What it holds in
the end is what it held at the beginning.

SOAK_SECONDS (default 12) says how long; tests/bench/soak runs ten minutes of it."""

import os
import pathlib
import random
import socket
import threading
import time

from server import Answer, read_to_end
from test_ota import (RESET, SAMPLE, ask, builds, connect, elf, rename_over,  # noqa: F401
                      rewrite_in_place)
from tool import PROGRAM

SECONDS = float(os.environ.get("SOAK_SECONDS", "12"))
SANITIZED = any(name in PROGRAM for name in ("asan", "tsan"))
# Of the allocator, not of what is held: the first builds and clients have passed by then.
MOST_GROWTH = 1536 * 1024


class Held:
    """What the process holds."""

    def __init__(self, pid):
        folder = pathlib.Path(f"/proc/{pid}")
        names = [os.readlink(one) for one in (folder / "fd").iterdir()]
        # Which images are held depends on which of them clients were promised last.
        self.descriptors = len([name for name in names if not name.startswith("/memfd:image")])
        assert len(names) - self.descriptors <= 12
        self.threads = len(list((folder / "task").iterdir()))
        status = (folder / "status").read_text()
        self.memory = int(status.split("VmRSS:")[1].split()[0]) * 1024

    def __repr__(self):
        return f"{self.descriptors} descriptors, {self.threads} threads, {self.memory} bytes"


def settled(server, wanted=None):
    """After the last connection has lingered; at once when nothing is left over."""
    limit = time.monotonic() + 12
    while True:
        held = Held(server.process.pid)
        if time.monotonic() > limit or (wanted and held.descriptors <= wanted.descriptors):
            return held
        if not wanted:
            time.sleep(6)
            return Held(server.process.pid)
        time.sleep(0.2)


class Soak:
    def __init__(self, server, path, made):
        self.server, self.path, self.builds = server, path, made
        self.known = {len(b.image): b.image for b in made}
        self.lock = threading.Lock()
        self.faults = []
        self.counts = {"updates": 0, "rebuilds": 0, "aborts": 0, "hostile": 0, "refused": 0}

    def count(self, name):
        with self.lock:
            self.counts[name] += 1

    def fault(self, text):
        with self.lock:
            self.faults.append(text[:300])

    def update(self, number, chance):
        """HEAD, a while, GET: as promised and whole, whatever happens around it."""
        source = f"127.0.2.{number + 1}"
        head = ask(self.server, b"HEAD", source)
        if head.status != 200:
            self.count("refused")
            return
        time.sleep(chance.choice((0, 0.02)))
        get = ask(self.server, b"GET", source)
        if get.status != 200 or get.length != head.length or \
                get.body != self.known.get(get.length):
            self.fault(f"{source}: told {head.length}, got {get.status}, {get.length}")
        self.count("updates")

    def abort(self, number, chance):
        with connect(self.server, f"127.0.3.{number + 1}", receive_buffer=4096) as s:
            s.sendall(SAMPLE % (b"GET", 1))
            s.recv(chance.choice((1, 536, 4000)))
            if chance.random() < 0.5:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.count("aborts")

    def hostile(self, number, chance):
        what = chance.choice((b"", b"GET /user1.b", b"\0" * 3000, chance.randbytes(400) + b"\n",
                              b"POST /user1.bin HTTP/1.1\r\nContent-Length: 9\r\n\r\n", b"GET /events HTTP/1.0\r\n\r\n",
                              b"GET / HTTP/1.0\r\n\r\n", b"GET /metrics HTTP/1.0\r\n\r\n"))
        with connect(self.server, f"127.0.4.{number + 1}") as s:
            try:
                s.sendall(what)
                if chance.random() < 0.5:
                    s.settimeout(0.05)
                    s.recv(4096)
            except OSError:
                pass  # refused: that is its good right
        self.count("hostile")

    def rebuild(self, number, chance):
        replace = (rewrite_in_place, rename_over)[self.counts["rebuilds"] % 2]
        replace(self.path, chance.choice(self.builds).elf)
        self.count("rebuilds")
        time.sleep(0.25)

    def loop(self, work, number, end):
        chance = random.Random(f"{work.__name__} {number}")
        while time.monotonic() < end:
            try:
                work(number, chance)
            except (OSError, AssertionError, ValueError) as fault:
                self.fault(f"{work.__name__} {number}: {fault!r}")

    def run(self, seconds):
        end = time.monotonic() + seconds
        works = [(self.update, 6), (self.abort, 3), (self.hostile, 3), (self.rebuild, 1)]
        threads = [threading.Thread(target=self.loop, args=(work, i, end))
                   for work, count in works for i in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def test_soak(serve, elf, builds):  # noqa: F811
    server = serve(elf)
    soak = Soak(server, elf, builds)
    soak.run(min(3, SECONDS / 2))
    before = settled(server)
    soak.run(SECONDS)
    after = settled(server, before)
    print(f"\n{soak.counts}\nbefore: {before}\nafter:  {after}")
    assert soak.faults == [], f"{len(soak.faults)} faults; {soak.counts}"
    assert soak.counts["updates"] > SECONDS and soak.counts["rebuilds"] > SECONDS
    assert (after.descriptors, after.threads) == (before.descriptors, before.threads)
    assert SANITIZED or after.memory < before.memory + MOST_GROWTH, f"{before}; {after}"
    # And it answers as ever.
    with connect(server) as s:
        s.sendall(SAMPLE % (b"GET", 1))
        assert Answer(read_to_end(s)).body in soak.known.values()
