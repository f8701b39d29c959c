# SPDX-License-Identifier: MIT
"""serve among clients that mean no good: whatever they do, a device gets its image, nothing else
leaves, and the log stays small. All of them come from 127.x.y.z."""

import contextlib
import os
import pathlib
import pty
import random
import re
import resource
import select
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

from server import Answer, nothing_more, read_to_end
from tool import OK, PROGRAM, UNAVAILABLE, USAGE, assert_refused

GET = b"GET /user1.bin HTTP/1.0\r\n\r\n"
# A device alone needs some milliseconds here; sanitizers and a busy machine take their time.
SOON = 10
# Lines about what went wrong, at once and then a second.
LOG_BURST = 1000
LOG_RATE = 5


def text(path):
    return pathlib.Path(path).read_text("utf-8")


def get_as_device(server, image, source="127.0.0.1"):
    """HEAD, GET, as an update does; seconds it took."""
    begin = time.monotonic()
    answer = server.get("/user1.bin", method="HEAD", source=source)
    assert (answer.status, answer.length) == (200, len(image))
    answer = server.get("/user1.bin", source=source)
    assert (answer.status, answer.body) == (200, image)
    took = time.monotonic() - begin
    assert took < SOON
    return took


class Crowd:
    """Connections that never block the test, from as many addresses as wanted."""

    def __init__(self, server):
        self.port = server.port
        self.sockets = []

    def add(self, count, source="127.0.1.%d", addresses=1, receive_buffer=None):
        for i in range(count):
            s = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            if receive_buffer:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            s.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
            s.bind((source % (1 + i % addresses), 0))
            with contextlib.suppress(BlockingIOError):
                s.connect(("127.0.0.1", self.port))
            self.sockets.append(s)
        return self

    def connected(self, seconds=30):
        """Waits until the kernel has taken them all."""
        poll = select.poll()
        left = {s.fileno() for s in self.sockets}
        for fd in left:
            poll.register(fd, select.POLLOUT)
        limit = time.monotonic() + seconds
        while left:
            assert time.monotonic() < limit
            for fd, _ in poll.poll(100):
                poll.unregister(fd)
                left.discard(fd)
        return self

    def send(self, data):
        """To all; returns how many took it."""
        count = 0
        for s in self.sockets:
            with contextlib.suppress(OSError):
                s.send(data)
                count += 1
        return count

    def close(self):
        for s in self.sockets:
            s.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


@pytest.fixture
def descriptors():
    """As many as the system lets this process have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def image(tool, firmware):
    return tool("convert", "--app", "1", "-o", "-", str(firmware.path("1MB.app1"))).raw


# ---- crowds ----

def troubles(log):
    return [x for x in log.splitlines() if re.search(r" 4\d\d | turned away", x)]


def test_slow_loris(serve, firmware, image):
    """Many that send a byte now and then, more than may wait, from several addresses."""
    server = serve("--max-connections", "400", "--request-timeout", "1", firmware.path("1MB.app1"))
    with Crowd(server) as crowd:
        for _ in range(8):
            crowd.add(100, addresses=7).connected()
            for byte in b"GET /":
                crowd.send(bytes([byte]))
                get_as_device(server, image)
        limit = time.monotonic() + SOON
        while " 408 " not in server.log():
            assert time.monotonic() < limit
            crowd.send(b"x")
            get_as_device(server, image)
    assert server.stop() == OK
    assert any("connection limit reached before" in x for x in troubles(server.log()))


def test_slow_loris_is_told_408_in_time(serve, firmware):
    server = serve("--request-timeout", "1", firmware.path("1MB.app1"))
    begin = time.monotonic()
    with server.connect() as s:
        s.sendall(b"GET /user1.bin HTTP/1.0\r\nX: ")
        with contextlib.suppress(OSError):
            while nothing_more(s, 0.2):
                s.sendall(b"x")
                assert time.monotonic() - begin < SOON
        answer = Answer(read_to_end(s))
    assert (answer.status, answer.length) == (408, 0)
    assert time.monotonic() - begin >= 1


def processor_seconds(server):
    fields = pathlib.Path(f"/proc/{server.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_half_a_request_costs_no_processor_time(serve, firmware):
    server = serve(firmware.path("1MB.app1"))
    with contextlib.ExitStack() as stack:
        for part in (b"G", b"GET /us", b"GET /user1.bin HTTP/1.0\r\nX: "):
            stack.enter_context(server.connect()).sendall(part)
        time.sleep(0.2)
        before = processor_seconds(server)
        time.sleep(1)
        assert processor_seconds(server) - before < 0.3


def test_silent_connections(serve, firmware, image, descriptors):
    """As many as this process can have, up to 20,000; the server has no more descriptors."""
    server = serve(firmware.path("1MB.app1"))
    count = min(20000, descriptors - 200)
    with Crowd(server) as crowd:
        while len(crowd.sockets) < count:
            crowd.add(min(1000, count - len(crowd.sockets)), "127.0.2.%d", 40)
            get_as_device(server, image)
        crowd.connected()
        for _ in range(5):
            get_as_device(server, image)
    assert server.stop() == OK
    assert len(troubles(server.log())) < LOG_BURST + LOG_RATE * 60


def test_silent_connections_of_the_own_address(serve, firmware, image):
    """A workshop behind one router is one address: its silent ones do not keep it out."""
    server = serve("--max-connections", "100", "--max-per-address", "20",
                   firmware.path("1MB.app1"))
    with Crowd(server).add(60, "127.0.0.%d").connected():
        for _ in range(5):
            get_as_device(server, image)
        # The kernel keeps them for a second, while they may still send a request.
        server.wait_for("127.0.0.1 turned away: connection limit reached before the request was complete")


def test_random_bytes(serve, firmware, image):
    server = serve(firmware.path("1MB.app1"))
    rng = random.Random(8266)
    for _ in range(10):
        with Crowd(server).add(50, addresses=5).connected() as crowd:
            for s in crowd.sockets:
                with contextlib.suppress(OSError):
                    s.send(rng.randbytes(rng.choice([1, 10, 100, 1000, 20000])))
            get_as_device(server, image)
    assert server.stop() == OK
    assert len(troubles(server.log())) > 10


def stuck_download(server, source):
    """Takes the first byte of an answer and no more; None when it is turned away."""
    s = server.connect(receive_buffer=2048, source=source)
    try:
        s.sendall(GET)
        return s if s.recv(1) == b"H" else s.close()
    except OSError:
        return s.close()


def test_clients_that_read_nothing(serve, tool, firmware):
    """Downloads that nobody reads stay for --idle-timeout, but take only their address' share."""
    path = firmware.path("2MB-c1.large")
    server = serve("--max-connections", "60", "--max-per-address", "20", "-fs", "2MB-c1", path)
    image = tool("convert", "--app", "1", "-fs", "2MB-c1", "-o", "-", str(path)).raw
    with contextlib.ExitStack() as stack:
        for source in ("127.0.3.1", "127.0.3.2"):
            for _ in range(20):
                stack.enter_context(stuck_download(server, source))
                get_as_device(server, image)
            assert not stuck_download(server, source)
            server.wait_for(f"{source} turned away: too many connections of this address")
        get_as_device(server, image)


def test_full_of_downloads_and_then_not(serve, firmware):
    server = serve("--max-connections", "10", "--max-per-address", "10",
                   firmware.path("2MB-c1.large"))
    with contextlib.ExitStack() as stack:
        for _ in range(10):
            stack.enter_context(stuck_download(server, "127.0.3.1"))
        assert not stuck_download(server, "127.0.0.1")
        server.wait_for("127.0.0.1 turned away: too many connections$")
    limit = time.monotonic() + SOON
    while True:  # those downloads are over when the server sees it
        with contextlib.suppress(OSError, ValueError):
            if server.get("/user1.bin").status == 200:
                break
        assert time.monotonic() < limit


def test_a_place_is_free_at_once(serve, firmware, image):
    """A device that asks again right away does not find its own last connection in its place."""
    server = serve("--max-connections", "4", "--max-per-address", "2", firmware.path("1MB.app1"))
    for _ in range(30):
        get_as_device(server, image)
    assert "turned away" not in server.log()


# ---- limits ----

def test_limits_are_told(serve, firmware, descriptors):
    server = serve("--max-connections", "30", "--max-per-address", "7", firmware.path("1MB.app1"))
    assert "Limits: 30 connections, 7 of one address\n" in server.log()
    server = serve("--max-connections", "31", firmware.path("1MB.app1"))
    assert "Limits: 31 connections, 15 of one address\n" in server.log()
    assert server.err() == ""
    if descriptors < 1000000:
        server = serve("--max-connections", "1048576", firmware.path("1MB.app1"))
        assert "--max-connections 1048576: descriptors suffice for" in server.err()


@pytest.mark.parametrize("option,value,words", [
    ("--idle-timeout", "119", ["'119'", "120"]), ("--max-connections", "0", ["'0'"]),
    ("--max-per-address", "x", ["'x'"]), ("--max-rate", "0", ["'0'"]),
    ("--request-timeout", "0", ["'0'"]), ("--drain", "-1", ["'-1'"]),
    ("--max-request", "100", ["'100'", "1024"]),
    ("--allow", "192.168.4.0/33", ["192.168.4.0/33", "192.168.4.0/24"]),
    ("--path-token", "short", ["5 characters", "8"]),
    ("--path-token", "abcGETxyz", ["contains GET", "HEAD"]),
    ("--path-token", "my-keep-alive", ["contains keep-alive", "HEAD"]),
    ("--path-token", "slash/slash", ["other characters", "letters"])])
def test_bad_values(tool, firmware, option, value, words):
    result = tool("serve", "--port", "0", option, value, str(firmware.path("1MB.app1")))
    assert_refused(result, USAGE, *words)


def test_rate(serve, tool, firmware, image):
    """429 erases nothing, says when to come again, and breaks no promise."""
    elf = firmware.copy("1MB.app1", tool.cwd / "app.elf")
    server = serve("--max-rate", "1", elf)
    assert server.get("/user1.bin", method="HEAD").status == 200
    shutil.copyfile(firmware.path("three-irom.app1"), tool.cwd / "new")
    (tool.cwd / "new").rename(elf)
    seen = []
    while 429 not in seen:
        answer = server.get("/favicon.ico")
        seen.append(answer.status)
        assert len(seen) < 100
    assert seen.count(404) >= 9
    assert (answer.length, answer.body) == (0, b"")
    assert answer.field("X-Espimage-Reason") == "too many requests of this address"
    assert server.get("/favicon.ico", source="127.0.0.2").status == 404
    assert 1 <= int(answer.field("Retry-After")) <= 2
    time.sleep(int(answer.field("Retry-After")) + 0.2)
    answer = server.get("/user1.bin")
    assert (answer.status, answer.body) == (200, image)
    server.wait_for("GET /user1.bin user1 200 build 1 as promised")
    assert re.search(r"^127\.0\.0\.1 GET /favicon\.ico 429 .*too many requests", server.log(), re.M)


def test_size_of_a_request(serve, firmware, image):
    server = serve("--max-request", "1024", firmware.path("1MB.app1"))
    for size, status in ((900, 200), (1024, 431)):
        with server.connect() as s:
            s.sendall(b"HEAD /user1.bin HTTP/1.0\r\nX: " + b"x" * size + b"\r\n\r\n")
            answer = Answer(read_to_end(s), head=True)
        assert (answer.status, answer.length) == (status, len(image) if status == 200 else 0)
    server.wait_for("HEAD /user1.bin user1 431 .*: the header fields are too long$")
    get_as_device(server, image)


def test_flood_of_refusals_in_the_log(serve, firmware):
    server = serve("--allow", "127.0.0.9", firmware.path("1MB.app1"))
    count = 2 * LOG_BURST
    for _ in range(count):
        with server.connect() as s, contextlib.suppress(OSError):
            s.sendall(b"x")  # until then the kernel has them
            assert s.recv(1) == b""
    assert server.stop() == OK
    written = server.log().count("turned away")
    left_out = sum(map(int, re.findall(r"^(\d+) lines like these left out$", server.log(), re.M)))
    assert LOG_BURST <= written < LOG_BURST + LOG_RATE * 60
    assert written + left_out == count


# ---- who is answered ----

def test_allow(serve, firmware, image):
    server = serve("--allow", "127.0.5.0/24", "--allow", "127.0.0.7", "--allow", "fd00::/8",
                   firmware.path("1MB.app1"))
    for source in ("127.0.5.1", "127.0.5.255", "127.0.0.7"):
        get_as_device(server, image, source)
    for source in ("127.0.0.1", "127.0.6.1", "127.0.0.8"):
        with server.connect(source=source) as s:
            try:
                s.sendall(GET)
                assert s.recv(1) == b""
            except (ConnectionResetError, BrokenPipeError):
                pass
        server.wait_for(rf"^{source} turned away: the address is not allowed$")


def test_bind_to_an_interface(serve, tool, firmware, image):
    server = serve("--bind", "lo", firmware.path("1MB.app1"))
    assert re.findall(r"http://\S+", server.log()) == [f"http://127.0.0.1:{server.port}/user1.bin",
                                                           f"http://127.0.0.1:{server.port}/"]
    get_as_device(server, image)
    result = tool("serve", "--bind", "no-such-if0", str(firmware.path("1MB.app1")))
    assert_refused(result, USAGE, "'no-such-if0'", "ip address")


TOKEN = "s3cret-of-the-workshop"


def test_path_token(serve, firmware, image):
    server = serve("--path-token", TOKEN, firmware.path("1MB.app1"))
    assert f"http://127.0.0.1:{server.port}/{TOKEN}/user1.bin\n" in server.log()
    answer = server.get(f"/{TOKEN}/user1.bin")
    assert (answer.status, answer.body) == (200, image)
    assert server.get(f"/{TOKEN}/x?filename=user1.bin").body == image
    assert server.get(f"/{TOKEN}/sub/user1.bin", method="HEAD").length == len(image)
    for target in ("/", "/user1.bin", "/status", f"/{TOKEN}", f"/{TOKEN[:-1]}/user1.bin",
                   f"/{TOKEN}x/user1.bin", f"//{TOKEN}/user1.bin", f"/x/{TOKEN}/user1.bin",
                   f"/?user1.bin={TOKEN}", f"/x?filename=user1.bin&{TOKEN}", f"/{TOKEN.upper()}/user1.bin",
                   f"http://h/{TOKEN}/user1.bin"):
        for method in ("GET", "HEAD"):
            answer = server.get(target, method=method)
            assert (answer.status, answer.length) == (404, 0), target
            assert TOKEN not in str(answer.fields)


def test_path_token_is_not_logged(serve, firmware):
    server = serve("--path-token", TOKEN, firmware.path("1MB.app1"))
    started = server.log()
    escaped = "".join(f"%{ord(c):02x}" for c in TOKEN)
    for target in (f"/{TOKEN}/user1.bin", f"/{TOKEN}", f"/x?a={TOKEN}", f"/a/b/{TOKEN}",
                   f"/{TOKEN}/none", f"/{escaped}/user1.bin"):
        server.get(target)
    server.ask(f"POST /{TOKEN}/user1.bin HTTP/1.0\r\n\r\n".encode())
    server.ask(f"GET /{TOKEN}/user1.bin HTTP/7.0\r\n\r\n".encode())
    server.wait_for(r"GET /\*\*\*/user1\.bin user1 505")
    assert server.stop() == OK
    log = server.log()[len(started):]
    assert log.count("***") >= 7
    assert TOKEN not in log and escaped not in log and TOKEN not in server.err()


HOSTILE = [
    "/../../../../etc/passwd", "/./../etc/passwd", "//etc/passwd", "/%2e%2e/%2e%2e/etc/passwd",
    "/..%2f..%2fetc%2fpasswd", "/user1.bin/../secret.bin", "/secret.bin", "/app.elf", "/./app.elf",
    "/user1.bin/../../etc/passwd", "/..\\..\\secret.bin", "/%00/user1.bin%00secret.bin",
    "/x?filename=../secret.bin", "/x?filename=/etc/passwd", "/x?filename=secret.bin",
    "http://127.0.0.1/secret.bin", "http://example.org/", "hTTp:/secret.bin", "/user3.bin",
    "/user11.bin", "/proc/self/environ", "/user1.elf", "/%", "/%zz", "/" + "../" * 60 + "etc/passwd",
    "/" + "a" * 8000, "/?" + "&".join(f"x{i}=secret.bin" for i in range(300)),
    "/user1.bin?file=/etc/passwd", "/user1.bin#/../secret.bin", "/user2.bin", "/~root/secret.bin",
    "/serve0.log", "/*", "/.", "/..", "/../app.elf", "/app.elf/user2.bin"]


def test_nothing_but_the_images_leaves(serve, tool, firmware, image):
    elf = firmware.copy("1MB.app1", tool.cwd / "app.elf")
    (tool.cwd / "secret.bin").write_bytes(b"the secret" * 1000)
    server = serve(elf)
    for target in HOSTILE:
        for method in ("GET", "HEAD"):
            answer = server.get(target, method=method)
            assert answer.length in (0, len(image)), target
            assert answer.body in (b"", image), target
            assert answer.length == 0 or re.search(r"user1\.bin", target), target
    get_as_device(server, image)


# ---- what the process may do ----

def has_landlock():
    """By asking the kernel: landlock_create_ruleset(NULL, 0, VERSION)."""
    import ctypes
    return ctypes.CDLL(None, use_errno=True).syscall(444, None, ctypes.c_size_t(0), 1) > 0


def rights(folder):
    """Of one thread, as the kernel has them: numbers by name."""
    found = dict(line.split(":\t") for line in text(folder / "status").splitlines())
    return {name: int(found[name], 16) for name in
            ("NoNewPrivs", "Seccomp", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}


def rights_of_threads(server):
    threads = [rights(task) for task in pathlib.Path(f"/proc/{server.process.pid}/task").iterdir()]
    assert len(threads) > 2
    return threads


def test_no_new_privileges(serve, firmware):
    server = serve(firmware.path("1MB.app1"))
    assert re.search(r"^Protection: no new privileges", server.log(), re.M)
    assert all(thread["NoNewPrivs"] == 1 for thread in rights_of_threads(server))


def test_system_calls(serve, firmware):
    """What is denied is tried in tests/unit/server/test_sandbox.c."""
    if "seccomp" not in os.listdir("/proc/sys/kernel"):
        pytest.skip("the kernel has no seccomp")
    server = serve(firmware.path("1MB.app1"))
    assert re.search(r"^Protection: .*, writes nothing, starts nothing, no new sockets$",
                     server.log(), re.M)
    assert all(thread["Seccomp"] == 2 for thread in rights_of_threads(server))


def test_all_rights_are_kept_when_asked_for(serve, firmware):
    server = serve("--no-sandbox", firmware.path("1MB.app1"))
    assert "Protection: none (--no-sandbox)\n" in server.log()
    assert all(thread == rights(pathlib.Path("/proc/self")) for thread in rights_of_threads(server))


# Capabilities, as bits.
OVERRIDE, READ_SEARCH, SETPCAP = 1 << 1, 1 << 2, 1 << 8


def test_capabilities(serve, firmware):
    """Whoever starts it: none is left but the one to read files of others."""
    own = rights(pathlib.Path("/proc/self"))["CapEff"]
    left = own & READ_SEARCH or own & OVERRIDE
    server = serve(firmware.path("1MB.app1"))
    for thread in rights_of_threads(server):
        assert (thread["CapEff"], thread["CapPrm"], thread["CapInh"], thread["CapAmb"]) == \
            (left, left, 0, 0)
        assert thread["CapBnd"] == 0 or not own & SETPCAP
    said = {READ_SEARCH: "no capability but CAP_DAC_READ_SEARCH",
            OVERRIDE: "no capability but CAP_DAC_OVERRIDE", 0: "no capabilities"}[left]
    assert f"Protection: no new privileges, {said}, " in server.log()


def test_rebuild_by_another_user(serve, tool, firmware, image):
    """Root reads what only others may read, before and after."""
    if not rights(pathlib.Path("/proc/self"))["CapEff"] & (READ_SEARCH | OVERRIDE):
        pytest.skip("not root, or without its rights")
    folder = tool.cwd / "build"
    folder.mkdir()

    def rebuild(name):
        new = folder / "new"
        shutil.copyfile(firmware.path(name), new)
        new.chmod(0o600)
        os.chown(new, 65534, 65534)
        return new.rename(folder / "app.elf")

    server = serve("-fs", "1MB", rebuild("1MB.app1"))
    folder.chmod(0o700)
    os.chown(folder, 65534, 65534)
    assert server.get("/user1.bin").body == image
    rebuild("three-irom.app1")
    assert server.get("/user1.bin").body == converted(tool, firmware, "three-irom.app1")


def test_warning_for_root_on_a_public_address(serve, firmware):
    """In a network of its own, where it is root and 8.8.8.8 leads nowhere."""
    script = ("ip link set lo up && ip address add 8.8.8.8/32 dev lo && exec \"$0\" \"$@\"")
    wrapper = ("unshare", "-rn", "sh", "-c", script)
    if subprocess.run(["unshare", "-rn", "sh", "-c", "ip link set lo up"], capture_output=True,
                      check=False).returncode != 0:
        pytest.skip("no network namespaces here")
    path = firmware.path("1MB.app1")
    for options, warned in (([], True), (["--bind", "8.8.8.8"], True), (["--bind", "lo"], False),
                            (["--allow", "10.0.0.0/8"], False)):
        server = serve(*options, path, wrapper=wrapper)
        assert ("this is root" in server.err()) == warned, options


def build(firmware, folder, name):
    folder.mkdir(parents=True)
    shutil.copyfile(firmware.path(name), folder / "app.elf")


def converted(tool, firmware, name):
    return tool("convert", "--app", "1", "-fs", "1MB", "-o", "-", str(firmware.path(name))).raw


@pytest.mark.parametrize("how", ["relative", "absolute", "symbolic link", "other file system"])
def test_clean_build(serve, tool, firmware, tmp_path_factory, image, how):
    """`rm -rf build`, and a new one: another folder of the same name."""
    work = tool.cwd / "work"
    work.mkdir()
    home = work
    if how == "symbolic link":
        home = tmp_path_factory.mktemp("real")
    elif how == "other file system":
        home = pathlib.Path(f"/dev/shm/espimagetool-test-{os.getpid()}")
        home.mkdir()
    try:
        build(firmware, home / "build", "1MB.app1")
        path = work / "build" / "app.elf"
        if home != work:
            path = work / "app.elf"
            path.symlink_to(home / "build" / "app.elf")
        server = serve("-fs", "1MB", "build/app.elf" if how == "relative" else path, cwd=work)
        assert server.get("/user1.bin").body == image
        shutil.rmtree(home / "build")
        assert server.get("/user1.bin").status == 503
        build(firmware, home / "build", "three-irom.app1")
        assert server.get("/user1.bin").body == converted(tool, firmware, "three-irom.app1")
    finally:
        if how == "other file system":
            shutil.rmtree(home)


@pytest.mark.skipif("coverage" in PROGRAM, reason="may read the build folder, and the tests are in it")
def test_no_other_file_can_be_read(serve, tool, firmware, tmp_path_factory, image):
    if not has_landlock():
        pytest.skip("the kernel has no Landlock")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    shutil.copyfile(firmware.path("three-irom.app1"), elsewhere / "app.elf")
    work = tool.cwd / "work"
    build(firmware, work / "build", "1MB.app1")
    path = work / "build" / "app.elf"
    servers = [serve("-fs", "1MB", path, *options) for options in ([], ["--no-sandbox"])]
    for server in servers:
        assert server.get("/user1.bin").body == image
    path.unlink()
    path.symlink_to(elsewhere / "app.elf")
    assert servers[0].get("/user1.bin").status == 503
    servers[0].wait_for("user1 503 .*app.elf: .*Permission denied")
    assert servers[1].get("/user1.bin").body == converted(tool, firmware, "three-irom.app1")


# ---- signals ----

class SlowReader(threading.Thread):
    """Reads an image over some seconds."""

    def __init__(self, server, seconds):
        super().__init__()
        self.socket = server.connect(receive_buffer=4096)
        self.socket.sendall(GET)
        self.got = self.socket.recv(1000)
        self.pause = seconds / 100
        self.start()

    def run(self):
        with self.socket, contextlib.suppress(OSError):
            while part := self.socket.recv(8192):
                self.got += part
                time.sleep(self.pause)

    def whole(self):
        self.join(30)
        answer = Answer(self.got, whole=False)
        return len(answer.body) == answer.length


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_running_downloads_finish(serve, firmware, number):
    server = serve(firmware.path("2MB-c1.large"))
    reader = SlowReader(server, 2)
    server.kill(number)
    server.wait_for("^ending: 1 request is still being answered, for up to 30 s; Ctrl-C ends now$")
    with pytest.raises(OSError):
        server.connect().close()
    assert server.wait(20) == OK
    assert reader.whole()
    server.wait_for(r"GET /user1\.bin user1 200 .* s$")


def test_drain_ends(serve, firmware):
    server = serve("--drain", "1", firmware.path("2MB-c1.large"))
    with server.connect(receive_buffer=2048) as s:
        s.sendall(GET)
        s.recv(100)
        begin = time.monotonic()
        assert server.stop() == OK
        assert 1 <= time.monotonic() - begin < 10
    server.wait_for("the client went away")


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
def test_second_interrupt_ends_at_once(serve, firmware, first):
    server = serve("--drain", "600", firmware.path("2MB-c1.large"))
    with server.connect(receive_buffer=2048) as s:
        s.sendall(GET)
        s.recv(100)
        server.kill(first)
        server.wait_for("^ending: ")
        begin = time.monotonic()
        assert server.stop(signal.SIGINT) == OK
        assert time.monotonic() - begin < 8


def test_hangup_looks_at_the_files(serve, tool, firmware):
    elf = firmware.copy("1MB.app1", tool.cwd / "app.elf")
    server = serve("-fs", "1MB", elf)
    server.kill(signal.SIGHUP)
    server.wait_for(r"^APP1: unchanged: \d+ bytes, sha256 [0-9a-f]{16}, build 1$")
    shutil.copyfile(firmware.path("three-irom.app1"), tool.cwd / "new")
    (tool.cwd / "new").rename(elf)
    server.kill(signal.SIGHUP)
    server.wait_for(r"^APP1: changed: \d+ bytes, sha256 [0-9a-f]{16}, build 2$")
    (tool.cwd / "new").write_bytes(b"")
    (tool.cwd / "new").rename(elf)
    server.kill(signal.SIGHUP)
    server.wait_for(r"^APP1: not converted: .*app.elf: .*empty")
    assert server.stop() == OK


def test_closing_the_terminal_ends_it(firmware):
    """SIGHUP asks for a look at the files only as long as there is a terminal, or none at all."""
    child, terminal = pty.fork()
    if child == 0:
        os.execv(PROGRAM, [PROGRAM, "serve", "--port", "0", str(firmware.path("1MB.app1"))])
    seen = b""
    limit = time.monotonic() + 20
    while b"/user1.bin" not in seen:
        assert time.monotonic() < limit
        seen += os.read(terminal, 4096)
    os.close(terminal)
    while os.waitpid(child, os.WNOHANG)[0] == 0:
        if time.monotonic() > limit:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            pytest.fail("still there")
        time.sleep(0.01)


# ---- systemd's socket ----

def activated(serve, listening, *args, count=1, pid="$$"):
    """As systemd starts it: the socket is descriptor 3."""
    fd = listening.fileno()
    script = f'LISTEN_PID={pid} LISTEN_FDS={count} exec "$0" "$@" 3<&{fd}'
    return serve(*args, command=("serve",), wrapper=("bash", "-c", script), pass_fds=(fd,))


@pytest.fixture
def listening():
    with socket.create_server(("127.0.0.1", 0)) as s:
        yield s


def test_socket_activation(serve, firmware, image, listening):
    port = listening.getsockname()[1]
    with socket.create_connection(("127.0.0.1", port), timeout=20) as early:
        early.sendall(GET)  # the connection that made systemd start it
        server = activated(serve, listening, firmware.path("1MB.app1"))
        assert server.port == port
        assert Answer(read_to_end(early)).body == image
    assert f"Serving on port {port} (passed by systemd)" in server.log()
    get_as_device(server, image)
    assert server.stop() == OK
    # It stays open at systemd, and the next one takes over.
    with socket.create_connection(("127.0.0.1", port), timeout=20) as waiting:
        waiting.sendall(GET)
        activated(serve, listening, firmware.path("1MB.app1"))
        assert Answer(read_to_end(waiting)).body == image


def test_socket_of_another_process(serve, firmware, listening):
    server = activated(serve, listening, "--port", "0", firmware.path("1MB.app1"), pid="1")
    assert server.port != listening.getsockname()[1]


@pytest.mark.parametrize("count,first", [(2, "listening"), (1, "file"), (1, "connected")])
def test_other_descriptors_are_refused(firmware, listening, count, first):
    with open("/dev/null", "rb") as file, \
            socket.create_connection(listening.getsockname()) as connected:
        fd = {"listening": listening, "file": file, "connected": connected}[first].fileno()
        done = subprocess.run(
            ["bash", "-c", f'LISTEN_PID=$$ LISTEN_FDS={count} exec "$0" "$@" 3<&{fd}', PROGRAM,
             "serve", str(firmware.path("1MB.app1"))], pass_fds=(fd,), capture_output=True,
            timeout=20, check=False)
    assert done.returncode == UNAVAILABLE
    assert b"LISTEN_FDS" in done.stderr and b"ListenStream=" in done.stderr
