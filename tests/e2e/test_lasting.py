# SPDX-License-Identifier: MIT
"""serve when what it stands on gives way: files, memory. It goes on, says what it sees, and is what
it was before when that is back. What has no test here has its reason in docs/serving.md, "What goes wrong around it"."""

import os
import resource
import threading
import time

import pytest

from server import Answer, read_to_end
from test_ota import rename_over
from test_serve import GET, converted, rebuilt
from tool import OK

ROOT_USER = os.geteuid() == 0
# Sanitizers and a busy machine take their time.
SOON = 20


def until(condition, seconds=SOON):
    """What the condition returns when it holds at last."""
    limit = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < limit, "still not so"
        time.sleep(0.02)
    return found


def in_parallel(*works):
    """Their results: requests for a file that is gone wait for it, and better at the same time."""
    results = [None] * len(works)

    def run(i):
        results[i] = works[i]()

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


class Download:
    """One that has begun and is far from its end."""

    def __init__(self, server, slot=1, source="127.0.0.9"):
        self.socket = server.connect(receive_buffer=4096, timeout=SOON, source=source)
        self.socket.sendall(GET % slot)
        self.got = self.socket.recv(1000)

    def finish(self):
        with self.socket:
            return Answer(self.got + read_to_end(self.socket, SOON))


# ---- the ELF ----

def vanish(elf):
    elf.unlink()


def directory(elf):
    elf.unlink()
    elf.mkdir()


def fifo(elf):
    elf.unlink()
    os.mkfifo(elf)


def mode(elf):
    elf.chmod(0)


def owner(elf):
    elf.chmod(0o600)
    os.chown(elf, 65534, 65534)


def dangling(elf):
    elf.unlink()
    elf.symlink_to("nowhere.elf")


def looping(elf):
    elf.unlink()
    elf.symlink_to(elf.name)


def put_back(elf, data):
    """As another build; whatever is there now."""
    if elf.is_dir():
        elf.rmdir()
    rename_over(elf, data)


@pytest.mark.parametrize("happens,reason", [
    (vanish, "No such file"), (directory, "is a directory"), (fifo, "is a pipe"),
    (mode, "Permission denied"), (owner, "Permission denied"), (dangling, "No such file"),
    (looping, "Too many levels of symbolic links")])
def test_elf_is_no_longer_what_it_was(serve, tool, firmware, happens, reason):
    """503 as long as it lasts, at both methods; all else goes on; the next build is served when it comes."""
    if happens is owner and not ROOT_USER:
        pytest.skip("only root gives files away")
    # Mode bits do not bind root, but they do bind root without its capabilities.
    wrapper = ("setpriv", "--bounding-set=-all") if ROOT_USER and happens in (mode, owner) else ()
    elf = firmware.copy("2MB-c1.large", tool.cwd / "app1.elf")
    old = converted(tool, elf, 1, "-fs", "2MB-c1")
    server = serve("-fs", "2MB-c1", elf, firmware.path("2MB-c1"), wrapper=wrapper)
    other = server.get("/user2.bin").body
    running = Download(server)
    happens(elf)
    head, get, second = in_parallel(lambda: server.get("/user1.bin", method="HEAD"),
                                    lambda: server.get("/user1.bin"),
                                    lambda: server.get("/user2.bin"))
    for answer in (head, get):
        assert (answer.status, answer.length, answer.body) == (503, 0, b"")
        assert "cannot be converted now" in answer.field("X-Espimage-Reason")
        assert answer.field("Retry-After")
    assert second.body == other
    for method in ("HEAD", "GET"):
        server.wait_for(rf"^127\.0\.0\.1 {method} /user1\.bin user1 503 .*app1\.elf: .*{reason}")
    assert "127.0.0.9 " not in server.log(), "it still runs"
    assert running.finish().body == old
    put_back(elf, rebuilt(firmware, "2MB-c1.large", "again"))
    answer = server.get("/user1.bin")
    assert (answer.status, answer.body) == (200, converted(tool, elf, 1, "-fs", "2MB-c1"))
    assert answer.body != old
    assert server.stop() == 0
    assert server.err() == ""


def test_a_promise_outlives_the_elf(serve, tool, firmware):
    """Who was told a length before the file vanished has erased flash for it."""
    elf = firmware.copy("1MB.app1", tool.cwd / "app1.elf")
    image = converted(tool, elf, 1)
    server = serve(elf)
    assert server.get("/user1.bin", method="HEAD").length == len(image)
    elf.unlink()
    assert server.get("/user1.bin").body == image
    server.wait_for("GET /user1.bin user1 200 build 1 as promised")


def limit(server, name, soft):
    """As `prlimit` does it to a process that runs; returns what it was."""
    before = resource.prlimit(server.process.pid, name)
    resource.prlimit(server.process.pid, name, (soft, before[1]))
    return before[0]


# ---- memory for images ----

def test_no_room_for_an_image(serve, tool, firmware):
    """A limit on files holds for those in memory too."""
    elf = firmware.copy("1MB.app1", tool.cwd / "app1.elf")
    server = serve(elf, firmware.path("1MB.app2"))
    other = server.get("/user2.bin").body
    running = Download(server, slot=2)
    before = limit(server, resource.RLIMIT_FSIZE, 32768)
    rename_over(elf, rebuilt(firmware, "1MB.app1", "new"))
    for method in ("HEAD", "GET"):
        answer = server.get("/user1.bin", method=method)
        assert (answer.status, answer.length) == (503, 0)
        server.wait_for(f"{method} /user1.bin user1 503 .*app1.elf: .*in memory: File too large")
    assert server.get("/user2.bin").body == other
    assert running.finish().body == other
    limit(server, resource.RLIMIT_FSIZE, before)
    answer = server.get("/user1.bin")
    assert (answer.status, answer.body) == (200, converted(tool, elf, 1))
    assert server.stop() == OK
    assert server.err() == ""
