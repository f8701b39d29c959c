# SPDX-License-Identifier: MIT
"""serve when what it stands on gives way: files, disk, memory, descriptors, clock, interface. It goes on,
says what it sees, and is what it was before when that is back. What has no test here has its reason in
docs/serving.md, "What goes wrong around it"."""

import itertools
import json
import os
import pathlib
import re
import resource
import secrets
import shutil
import socket
import subprocess
import threading
import time

import pytest

import server as server_module
from server import Answer, nothing_more, read_to_end
from status import status
from test_capture import Namespace
from test_ota import rename_over
from test_serve import GET, converted, rebuilt
from test_serve_log import Server as JsonServer
from tool import IO, OK, PROGRAM

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
        assert answer.field("X-Espimage-Reason") == \
            "the file for this slot is missing or cannot be opened"
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


# ---- the disk ----

def seconds_of_processor(process):
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def assert_at_rest(process):
    """It does not try again and again."""
    before = seconds_of_processor(process)
    time.sleep(0.5)
    assert seconds_of_processor(process) - before < 0.2


def ask_often(server, count):
    for i in range(count):
        assert server.get(f"/{'x' * 200}{i}").status == 404


class OnSmallDisk(server_module.Server):
    """Its log is on a disk of 64 KB that only it has."""

    def __init__(self, *args, cwd, also=""):
        self.disk = pathlib.Path(cwd) / "disk"
        self.disk.mkdir()
        self.file = None
        script = f'mount -t tmpfs -o size=64k none "{self.disk}" && exec "$0" "$@" >>"{self.disk}/log" {also}'
        super().__init__(*args, cwd=cwd, wrapper=("unshare", "-rm", "sh", "-c", script))

    def on_disk(self, name):
        return pathlib.Path(f"/proc/{self.process.pid}/root{self.disk}/{name}")

    def log(self):
        """Also when the process is gone, and with it its disk."""
        if self.file is None:
            try:
                self.file = open(self.on_disk("log"), "rb", buffering=0)  # pylint: disable=R1732
            except FileNotFoundError:
                return ""
        self.file.seek(0)
        return self.file.read().decode()

    def fill(self):
        with open(self.on_disk("filler"), "wb", buffering=0) as filler:
            with pytest.raises(OSError, match="No space"):
                while True:
                    filler.write(b"x" * 1024)

    def free(self):
        self.on_disk("filler").unlink()


class OnSmallDiskForPrograms(OnSmallDisk, JsonServer):
    pass


@pytest.fixture
def small_disk(tmp_path):
    if subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "none", tmp_path], capture_output=True,
                      check=False).returncode != 0:
        pytest.skip("no mount namespaces here")
    running = []

    def start(*args, kind=OnSmallDisk, **kwargs):
        running.append(kind(*args, cwd=tmp_path, **kwargs))
        return running[-1]

    yield start
    for one in running:
        one.end()
        one.file.close()
    assert not [one.err() for one in running if "Sanitizer" in one.err()]


NO_SPACE = "No space left on device"


def lost_lines(err):
    return sum(map(int, re.findall(rf"warning: (\d+) lines? of the log w\w+ lost: {NO_SPACE}$", err, re.M)))


def test_the_disk_of_the_log_is_full(small_disk, firmware):
    """Devices do not notice. Lines are whole or lost, and it is said how many."""
    server = small_disk(firmware.path("1MB.app1"))
    announced = len(server.log().splitlines())
    ask_often(server, 3)
    server.wait_for("x2 404")
    server.fill()
    ask_often(server, 60)
    assert server.get("/user1.bin").status == 200
    until(lambda: lost_lines(server.err()))
    assert_at_rest(server.process)
    server.free()
    ask_often(server, 5)
    server.wait_for(r"x4 404(?s:.*)x4 404")
    assert server.stop() == IO
    assert server.err().endswith(f"espimagetool: cannot write to standard output: {NO_SPACE}\n")
    assert len(server.err().splitlines()) <= 3, "not one for each line"
    lines = server.log().splitlines()[announced:]
    wanted = r"127\.0\.0\.1 GET (/x+\d+ 404 \S+ s: .* /user2\.bin|/user1\.bin .* s)"
    whole = [x for x in lines if re.fullmatch(wanted, x)]
    assert len(lines) - len(whole) <= 1, "the one at which the disk was full"
    assert len(whole) + lost_lines(server.err()) == 69


def test_the_disk_of_a_log_for_programs_is_full(small_disk, firmware):
    """Standard error is on the same disk: it is said when there is room again."""
    server = small_disk("--log", "json", firmware.path("1MB.app1"), kind=OnSmallDiskForPrograms, also="2>&1")
    server.fill()
    ask_often(server, 60)
    assert_at_rest(server.process)
    server.free()
    assert server.get("/user1.bin").status == 200
    server.wait_for('"complete":true')
    assert server.stop() == IO
    lines = server.log().splitlines()
    events = [json.loads(x) for x in lines if x.startswith("{") and x.endswith("}")]
    others = [x for x in lines if not (x.startswith("{") and x.endswith("}"))]
    stopped = events[-1]
    assert (stopped["event"], stopped["requests"]) == ("stopped", 61)
    requests = [e for e in events if e["event"] == "request"]
    assert len(requests) + stopped["lost"] == 61
    assert lost_lines("\n".join(others)) == stopped["lost"] > 20
    assert len(others) <= 3, "a line that broke off, the warning, and why the status is 74"


def test_nothing_can_be_written_at_all(firmware, tmp_path):
    """Neither the log nor what is wrong with it."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    with open("/dev/full", "wb") as full, \
            subprocess.Popen([PROGRAM, "serve", "--bind", "127.0.0.1", "--port", str(port),
                              firmware.path("1MB.app1")], cwd=tmp_path, stdout=full, stderr=full) as process:
        def answer():
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=SOON) as connection:
                    connection.sendall(GET % 1)
                    return Answer(read_to_end(connection))
            except ConnectionRefusedError:
                return None
        try:
            assert until(answer).status == 200
            assert_at_rest(process)
            assert answer().status == 200
            process.terminate()
            assert process.wait(SOON) == IO
        finally:
            process.kill()


def limit(server, name, soft):
    """As `prlimit` does it to a process that runs; returns what it was."""
    before = resource.prlimit(server.process.pid, name)
    resource.prlimit(server.process.pid, name, (soft, before[1]))
    return before[0]


def test_the_log_may_not_grow(serve, firmware):
    """`ulimit -f`: the signal for it must not end the server."""
    server = serve(firmware.path("1MB.app1"))
    before = limit(server, resource.RLIMIT_FSIZE, len(server.log()))
    ask_often(server, 3)
    until(lambda: "lost: File too large" in server.err())
    limit(server, resource.RLIMIT_FSIZE, before)
    assert server.get("/user1.bin").status == 200
    server.wait_for("^127.0.0.1 GET /user1.bin user1 200 ")
    assert server.stop() == IO


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


# ---- descriptors ----

def descriptors(server):
    return {int(p.name) for p in pathlib.Path(f"/proc/{server.process.pid}/fd").iterdir()}


def leave_descriptors(server, count):
    """So many more, and no others; returns what the limit was."""
    used = descriptors(server)
    unused = [number for number in range(len(used) + count + 1) if number not in used]
    return limit(server, resource.RLIMIT_NOFILE, unused[count])


def test_no_descriptor_left(serve, tool, firmware):
    """New connections wait, which is told once; downloads that run go on; nobody is turned away."""
    server = serve("-fs", "2MB-c1", firmware.path("2MB-c1.large"))
    image = converted(tool, firmware.path("2MB-c1.large"), 1, "-fs", "2MB-c1")
    running = Download(server)
    time.sleep(0.3)  # the image is settled then, and no request takes a descriptor to read the ELF
    before = leave_descriptors(server, 0)
    with server.connect(timeout=SOON) as waiting:
        waiting.sendall(GET % 1)
        server.wait_for("^new connections wait: Too many open files$")
        assert_at_rest(server.process)
        assert nothing_more(waiting)
        running.got += running.socket.recv(4096)
        limit(server, resource.RLIMIT_NOFILE, before)
        assert Answer(read_to_end(waiting)).body == image
    assert running.finish().body == image
    assert server.stop() == OK
    assert server.log().count("new connections wait") == 1
    assert "turned away" not in server.log() and server.err() == ""


def test_no_descriptor_left_for_a_conversion(serve, tool, firmware):
    elf = firmware.copy("1MB.app1", tool.cwd / "app1.elf")
    server = serve(elf, firmware.path("1MB.app2"))
    idle = descriptors(server)
    other = server.get("/user2.bin").body
    until(lambda: descriptors(server) == idle)
    before = leave_descriptors(server, 1)
    rename_over(elf, rebuilt(firmware, "1MB.app1", "new"))
    for method in ("HEAD", "GET"):
        answer = server.get("/user1.bin", method=method)
        assert (answer.status, answer.length) == (503, 0)
        server.wait_for(f"{method} /user1.bin user1 503 .*app1.elf: .*Too many open files")
    assert server.get("/user2.bin").body == other
    limit(server, resource.RLIMIT_NOFILE, before)
    answer = server.get("/user1.bin")
    assert (answer.status, answer.body) == (200, converted(tool, elf, 1))
    assert server.stop() == OK


# ---- the clock ----

YEAR = 365 * 86400


class Clock:
    """What the time of day is for a server; the clock that does not jump is left alone. Both clocks of the
    kernel cannot be had apart without setting that of the machine."""

    def __init__(self, folder):
        found = sorted(pathlib.Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
        if not found:
            pytest.skip("libfaketime not found (on Debian: apt-get install libfaketime)")
        if "san" in PROGRAM:
            pytest.skip("sanitizers want to be the first library")
        self.file = folder / "clock"  # beside the ELF, for nothing else may be read
        self.jump(0)
        self.environment = {"LD_PRELOAD": str(found[0]), "FAKETIME_TIMESTAMP_FILE": str(self.file),
                            "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1"}

    def jump(self, seconds):
        rename_over(self.file, b"%+d\n" % seconds)


def partial(server, source):
    """A connection whose request is not whole."""
    s = server.connect(timeout=SOON, source=source)
    s.sendall(b"GET /user1.bin HT")
    return s


def whole(s):
    with s:
        s.sendall(b"TP/1.0\r\n\r\n")
        return Answer(read_to_end(s, SOON))


def test_the_clock_jumps(firmware, tool):
    """A year ahead, and two back: nothing expires or stalls, a changed ELF is taken, though its time lies in
    the past or in the future, and the server ends as it should. The log has the time of day."""
    clock = Clock(tool.cwd)
    elf = firmware.copy("2MB-c1.large", tool.cwd / "app1.elf")
    server = JsonServer("-fs", "2MB-c1", elf, cwd=tool.cwd, env=clock.environment,
                        command=("serve", "--port", "0", "--log", "json", "--promise", "120"))
    try:
        running = Download(server)
        images = [converted(tool, elf, 1, "-fs", "2MB-c1")]
        for number, seconds in ((2, YEAR), (3, -YEAR), (4, 0)):
            assert server.get("/user1.bin", method="HEAD", source="127.0.0.2").length == len(images[-1])
            visitor = partial(server, "127.0.0.3")
            clock.jump(seconds)
            rename_over(elf, rebuilt(firmware, "2MB-c1.large", f"build{number}"))
            images.append(converted(tool, elf, 1, "-fs", "2MB-c1"))
            assert server.get("/user1.bin").body == images[-1]
            assert whole(visitor).body == images[-1]
            assert server.get("/user1.bin", source="127.0.0.2").body == images[-2], "as promised"
            assert abs(status(server)["now"] - time.time() - seconds) < 60
            running.got += running.socket.recv(4096)
        assert len(set(images)) == 4
        server.wait_for(r'(?s)(?:"event":"request".*?){12}')  # all but the one that runs
        server.process.terminate()
        server.wait_for("1 request is still being answered")
        assert running.finish().body == images[0]
        assert server.wait() == OK
    finally:
        server.end()
    assert server.err() == ""
    requests = [e for e in server.events("request") if e["target"] == "/user1.bin"]
    assert [(e["status"], e["reason"]) for e in requests] == [(200, None)] * 13
    assert len([e for e in requests if e["promised"]]) == 3
    now = time.time()
    years = [round((e["time"] - now) / YEAR) for e in server.events()]
    assert [year for year, _ in itertools.groupby(years)] == [0, 1, -1, 0], "the log follows"


# ---- the interface ----

SERVER, CLIENT = "10.213.48.1", "10.213.48.2"


class Cable:
    """Between two network namespaces; the server's end can go and come back."""

    def __init__(self):
        number = secrets.token_hex(3)
        self.server, self.client = Namespace(f"espt{number}s"), Namespace(f"espt{number}c")
        self.ends = (self.server, SERVER), (self.client, CLIENT)
        try:
            for end, _ in self.ends:
                self.ip("netns", "add", end.name)
                end.run("ip", "link", "set", "lo", "up")
            self.plug_in()
        except BaseException:
            self.remove()
            raise

    @staticmethod
    def ip(*command):
        subprocess.run(["ip", *command], check=True, capture_output=True, timeout=SOON)

    def plug_in(self):
        self.ip("link", "add", self.server.link, "netns", self.server.name, "type", "veth", "peer", "name",
                self.client.link, "netns", self.client.name)
        for end, address in self.ends:
            end.run("ip", "address", "add", f"{address}/24", "dev", end.link)
            end.run("ip", "link", "set", end.link, "up")

    def delete(self):
        self.server.run("ip", "link", "delete", self.server.link)

    def switch(self, end, state):
        end.run("ip", "link", "set", end.link, state)

    def remove(self):
        for end, _ in self.ends:
            subprocess.run(["ip", "netns", "del", end.name], check=False, capture_output=True, timeout=SOON)

    def connect(self, server):
        def connected():
            s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.settimeout(SOON)
            s.connect((SERVER, server.port))
            return s
        return self.client.inside(connected)

    def get(self, server):
        with self.connect(server) as s:
            s.sendall(GET % 1)
            return Answer(read_to_end(s)).body


@pytest.fixture
def cable():
    if not ROOT_USER or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and iproute2")
    try:
        one = Cable()
    except (OSError, subprocess.SubprocessError) as fault:
        pytest.skip(f"no network namespaces here: {fault} {getattr(fault, 'stderr', b'')}")
    yield one
    one.remove()


class DownloadThrough(Download):
    def __init__(self, cable, server):  # pylint: disable=super-init-not-called
        self.socket = cable.connect(server)
        self.socket.sendall(GET % 1)
        self.got = self.socket.recv(1000)


def serve_at(serve, cable, where, firmware, **kwargs):
    return cable.server.inside(lambda: serve("--bind", where, "--drain", "1", "-fs", "2MB-c1",
                                             firmware.path("2MB-c1.large"), **kwargs))


@pytest.mark.parametrize("bind", ["all", "address", "interface"])
def test_the_interface_goes_down(serve, cable, firmware, bind):
    """First the other end of the cable, then ours: downloads wait and go on."""
    where = {"all": "0.0.0.0", "address": SERVER, "interface": cable.server.link}[bind]
    server = serve_at(serve, cable, where, firmware)
    image = cable.get(server)
    running = [DownloadThrough(cable, server)]
    cable.switch(cable.client, "down")
    cable.switch(cable.client, "up")
    running.append(DownloadThrough(cable, server))
    cable.switch(cable.server, "down")
    if bind != "all":
        server.wait_for(f"^nobody reaches this server: {cable.server.link} is down$")
    cable.switch(cable.server, "up")
    assert cable.get(server) == image
    for download in running:
        assert download.finish().body == image
    if bind != "all":
        server.wait_for(f"^this server can be reached again at {SERVER}$")
    assert server.stop() == OK
    assert server.err() == ""


@pytest.mark.parametrize("bind", ["all", "address", "interface"])
def test_the_interface_is_another_one(serve, cable, firmware, bind):
    """Deleted, and made anew with the same name and address, as when a driver is loaded again."""
    where = {"all": "0.0.0.0", "address": SERVER, "interface": cable.server.link}[bind]
    server = serve_at(serve, cable, where, firmware)
    image = cable.get(server)
    running = DownloadThrough(cable, server)
    cable.delete()
    if bind == "address":
        server.wait_for(f"^nobody reaches this server: {SERVER} is no address of this computer any more$")
    elif bind == "interface":
        server.wait_for(f"^nobody reaches this server: {cable.server.link} is gone$")
    cable.plug_in()
    if bind != "all":
        server.wait_for(f"^this server can be reached again at {SERVER}$")
    assert cable.get(server) == image
    if bind == "interface":
        running.socket.close()  # the kernel has bound it to the interface that is gone: it stalls
    else:
        assert running.finish().body == image
    assert server.stop() == OK
    assert server.err() == ""


def test_the_interface_is_another_one_for_a_user(serve, cable, firmware):
    """The kernel lets nobody without CAP_NET_RAW bind a socket to another interface."""
    server = serve_at(serve, cable, cable.server.link, firmware,
                      wrapper=("setpriv", "--bounding-set=-net_raw"))
    local = serve_at(serve, cable, "127.0.0.5", firmware)
    assert cable.get(server)
    cable.delete()
    cable.plug_in()
    server.wait_for(f"^nobody reaches this server: {cable.server.link} is another interface now; start serve anew$")
    with pytest.raises(OSError):
        cable.connect(server)
    assert server.stop() == OK
    assert local.stop() == OK
    assert "nobody reaches" not in local.log(), "that address is on no interface"
