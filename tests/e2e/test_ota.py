# SPDX-License-Identifier: MIT
"""serve as devices use it: their requests, and rebuilds that get in between."""

import os
import random
import socket
import struct
import subprocess
import threading
import time

import pytest

import image as image_module
import server as server_module
import tool as tool_module
from conftest import ROOT
from server import Answer, nothing_more, read_answer, read_to_end

# The text of the vendor's sample, and the stray CR behind it.
SAMPLE = b"%s /user%d.bin HTTP/1.0\r\nConnection: close\r\n\r\n\r"
AT_STYLE = (b"%s /v1/device/rom/?action=download_rom&version=v1.2&filename=user1.bin HTTP/1.0\r\n"
            b"Host: 192.168.4.2:8888\r\nConnection: close\r\nCache-Control: no-cache\r\n"
            b"User-Agent: Mozilla/5.0 (Windows NT 5.1) AppleWebKit/537.36 (KHTML, like Gecko) "
            b"Chrome/30.0.1599.101 Safari/537.36 \r\nAccept: */*\r\n"
            b"Authorization: token e474bba4b8e11b97b91019e61b7a018cdbaa3246\r\n"
            b"Accept-Encoding: gzip,deflate,sdch\r\nAccept-Language: zh-CN,zh;q=0.8\r\n\r\n")
TRAP = b"200 OK\r\n"
LONGEST_HEADER = 508
# struct linger: on, 0 seconds. The close is a reset then.
RESET = struct.pack("ii", 1, 0)


def connect(server, source=None, **options):
    """A connection from an address of its own."""
    return server.connect(source=source, timeout=20, **options)


def ask(server, method, source=None, app=1, mss=None):
    """The sample's request, the answer up to the end of the connection."""
    with connect(server, source, mss=mss) as s:
        s.sendall(SAMPLE % (method, app))
        return Answer(read_to_end(s), head=method == b"HEAD")


def segment_size(s, mss):
    """What of a segment is left for data on this connection: timestamps take 12 bytes."""
    options = s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)[5]
    return mss - 12 if options & 1 else mss


def converted(path, *options):
    """What `convert` makes of an ELF for slot 1."""
    return subprocess.run([tool_module.PROGRAM, "convert", "--app", "1", *options, "-o", "-", path],
                          stdout=subprocess.PIPE, check=True, timeout=30).stdout


class Build:
    def __init__(self, path):
        self.path = path
        self.elf = path.read_bytes()
        self.image = converted(path)


@pytest.fixture(scope="session")
def builds(firmware, tmp_path_factory):
    """The same firmware three times, as it changes between builds."""
    made = [Build(firmware.path("1MB.app1"))]
    for number, pad in ((2, 80), (3, 48)):
        folder = tmp_path_factory.mktemp(f"build{number}")
        path = folder / "1MB.app1.elf"
        subprocess.run(["make", "-s", "-C", ROOT / "examples/firmware", f"OUT={folder}",
                        f"BUILD={number}", f"PAD_KB={pad}", path], check=True, timeout=60)
        made.append(Build(path))
    assert len({len(b.image) for b in made}) == 3
    return made


def rewrite_in_place(path, data):
    path.write_bytes(data)


def rename_over(path, data):
    fresh = path.with_suffix(".new")
    fresh.write_bytes(data)
    os.replace(fresh, path)


REPLACE = pytest.mark.parametrize("replace", [rewrite_in_place, rename_over])


@pytest.fixture
def elf(tmp_path, builds):
    """An ELF to work with: the first build."""
    path = tmp_path / "firmware.elf"
    path.write_bytes(builds[0].elf)
    return path


@pytest.fixture(scope="module")
def large(firmware, tmp_path_factory):
    one = server_module.Server(firmware.path("2MB-c1.large"),
                               cwd=tmp_path_factory.mktemp("large"))
    one.image = converted(firmware.path("2MB-c1.large"))
    yield one
    assert one.stop() == 0
    assert one.err() == ""


def assert_large(large, raw, head=False):
    answer = Answer(raw, head=head)
    assert (answer.status, answer.length) == (200, len(large.image))
    assert answer.body == (b"" if head else large.image)
    return answer


def read_slowly(s, seconds):
    """Small bites for so long; what came."""
    limit = time.monotonic() + seconds
    got = b""
    while time.monotonic() < limit:
        part = s.recv(512)
        if not part:
            break
        got += part
        time.sleep(0.02)
    return got


# ---- requests as firmware sends them ----

@pytest.mark.parametrize("later", [None, 0.3, 2.5])
@pytest.mark.parametrize("method", [b"HEAD", b"GET"])
def test_stray_cr_and_a_slow_reader(large, method, later):
    """A reset would throw away what is still on its way."""
    request = SAMPLE % (method, 1)
    with connect(large, receive_buffer=4096) as s:
        if later is None:
            s.sendall(request)
            got = read_slowly(s, 0.3)
        else:
            s.sendall(request[:-1])
            got = read_slowly(s, later) if method == b"GET" else b""
            if method == b"HEAD":
                time.sleep(later)
            s.sendall(request[-1:])
            got += read_slowly(s, 0.3)
        got += read_to_end(s)
    assert_large(large, got, method == b"HEAD")


@pytest.mark.parametrize("method", [b"HEAD", b"GET"])
def test_at_style(large, method):
    with connect(large) as s:
        s.sendall(AT_STYLE % method)
        assert_large(large, read_to_end(s), method == b"HEAD")


@pytest.mark.parametrize("method", [b"HEAD", b"GET"])
def test_request_in_two_segments(large, method):
    request = SAMPLE % (method, 1)
    for cut in (1, 3, 10, request.index(b"\r\n") + 1, len(request) - 4, len(request) - 2):
        with connect(large) as s:
            s.sendall(request[:cut])
            time.sleep(0.05)
            s.sendall(request[cut:])
            assert_large(large, read_to_end(s), method == b"HEAD")


@pytest.mark.parametrize("method", [b"HEAD", b"GET"])
def test_request_in_single_bytes(large, method):
    with connect(large) as s:
        for byte in SAMPLE % (method, 1):
            s.sendall(bytes([byte]))
            time.sleep(0.002)
        assert_large(large, read_to_end(s), method == b"HEAD")


@pytest.mark.parametrize("method", [b"HEAD", b"GET"])
@pytest.mark.parametrize("fields", [[b"X-Filler: " + b"x" * 8192],
                                    [b"X-Filler-%d: %s" % (i, b"x" * 60) for i in range(110)]],
                         ids=["one", "many"])
def test_request_with_8_kb_of_headers(large, method, fields):
    with connect(large) as s:
        s.sendall(b"\r\n".join([method + b" /user1.bin HTTP/1.0", *fields, b"", b""]))
        assert_large(large, read_to_end(s), method == b"HEAD")


def test_pipelined(large):
    """HEAD and GET in one segment: the first is answered, as its header says."""
    with connect(large) as s:
        s.sendall(b"HEAD /user1.bin HTTP/1.1\r\nHost: x\r\n\r\n"
                  b"GET /user1.bin HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = assert_large(large, read_to_end(s), head=True)
    assert answer.field("Connection") == "close"


# ---- the header ----

@pytest.mark.parametrize("mss", [None, 536, 1440, 1460])
def test_header(large, mss):
    head = ask(large, b"HEAD", mss=mss)
    get = ask(large, b"GET", mss=mss)
    assert head.header == get.header
    assert len(get.header) % 4 == 0 and len(get.header) < 512
    assert b"\r\nContent-Length: %d\r\n" % len(large.image) in get.header


@pytest.mark.parametrize("mss", [536, 1460])
def test_header_comes_with_the_first_bytes_of_the_image(large, mss):
    """The device looks at both in the first segment."""
    for _ in range(10):
        with connect(large, mss=mss) as s:
            size = segment_size(s, mss)
            s.sendall(SAMPLE % (b"GET", 1))
            first = s.recv(size)
            header, separator, body = first.partition(b"\r\n\r\n")
            assert separator and b"\r\nContent-Length: " in header
            assert len(first) == size, "a full segment"
            assert body[:4] == b"\xEA\x04\x00\x01"
            assert_large(large, first + read_to_end(s))


# ---- promises ----

@REPLACE
def test_the_promise_outlives_a_rebuild(serve, elf, builds, replace):
    old, new, third = builds
    server = serve(elf)
    assert ask(server, b"HEAD").length == len(old.image)
    replace(elf, new.elf)
    assert ask(server, b"GET").body == old.image
    server.wait_for(rf"GET /user1\.bin user1 200 build 1 as promised, (\d+) of \1 bytes")
    assert ask(server, b"GET").body == new.image
    server.wait_for(r"GET /user1\.bin user1 200 build 2, ")
    assert ask(server, b"HEAD").length == len(new.image)
    replace(elf, third.elf)
    assert ask(server, b"HEAD").length == len(third.image), "a new HEAD makes a new promise"
    replace(elf, old.elf)
    assert ask(server, b"GET").body == third.image
    server.wait_for(r"build 3 as promised, ")


@REPLACE
def test_the_next_promise_right_after_a_download(serve, elf, builds, replace):
    """The end of one upgrade is no end of the promise that the next one begins with."""
    server = serve(elf)
    for i in range(12):
        old, new = builds[i % 3], builds[(i + 1) % 3]
        assert ask(server, b"GET").body == old.image
        assert ask(server, b"HEAD").length == len(old.image)
        replace(elf, new.elf)
        time.sleep(0.08 if i % 2 else 0)
        assert ask(server, b"GET").body == old.image
        time.sleep(0.1)


def test_promises_expire(serve, elf, builds):
    server = serve("--promise", "1", elf)
    assert ask(server, b"HEAD").length == len(builds[0].image)
    rename_over(elf, builds[1].elf)
    time.sleep(1.1)
    assert ask(server, b"GET").body == builds[1].image
    assert "as promised" not in server.log()


def test_a_promise_binds_its_own_address_only(serve, elf, builds):
    server = serve(elf)
    assert ask(server, b"HEAD", "127.0.0.1").length == len(builds[0].image)
    rename_over(elf, builds[1].elf)
    assert ask(server, b"GET", "127.0.0.2").body == builds[1].image
    assert ask(server, b"GET", "127.0.0.1").body == builds[0].image
    log = server.wait_for(r"^127\.0\.0\.1 GET .*$").group(0)
    assert " build 1 as promised, " in log
    assert " as promised" not in server.wait_for(r"^127\.0\.0\.2 GET .*$").group(0)


def abort_get(server, reset):
    """A GET of which only the length is read."""
    with connect(server, receive_buffer=4096) as s:
        s.sendall(SAMPLE % (b"GET", 1))
        first = s.recv(1460)
        if reset:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    return Answer(first, whole=False).length


@pytest.mark.parametrize("pause", [0, 0.2])
@pytest.mark.parametrize("reset", [False, True])
def test_an_aborted_get_is_a_promise(serve, elf, builds, reset, pause):
    """The client that knows no HEAD: GET for the length, away, rebuild, GET."""
    server = serve(elf)
    assert abort_get(server, reset) == len(builds[0].image)
    rename_over(elf, builds[1].elf)
    time.sleep(pause)
    assert ask(server, b"GET").body == builds[0].image
    server.wait_for(r"build 1 as promised, (\d+) of \1 bytes")
    assert ask(server, b"GET").body == builds[1].image


def test_an_aborted_get_keeps_the_promise(serve, elf, builds):
    server = serve(elf)
    assert ask(server, b"HEAD").length == len(builds[0].image)
    rename_over(elf, builds[1].elf)
    for _ in range(3):
        assert abort_get(server, True) == len(builds[0].image)
        time.sleep(0.1)
    assert ask(server, b"GET").body == builds[0].image


def test_a_new_head_replaces_what_an_aborted_get_leaves(serve, elf, builds):
    """The abort is noticed after the HEAD has been answered."""
    server = serve(elf)
    for i in range(6):
        old, new = builds[i % 3], builds[(i + 1) % 3]
        with connect(server, receive_buffer=4096) as s:
            s.sendall(SAMPLE % (b"GET", 1))
            assert Answer(s.recv(1460), whole=False).length == len(old.image)
            rename_over(elf, new.elf)
            assert ask(server, b"HEAD").length == len(new.image)
        time.sleep(0.15)
        assert ask(server, b"GET").body == new.image
        time.sleep(0.1)


# ---- an ELF that is being written ----

@pytest.mark.parametrize("method", [b"HEAD", b"GET"])
def test_half_written_elf(serve, elf, builds, method):
    server = serve(elf)
    elf.write_bytes(builds[1].elf[:len(builds[1].elf) // 2])
    began = time.monotonic()
    answer = ask(server, method)
    assert time.monotonic() - began < 6
    assert (answer.status, answer.length, answer.body) == (503, 0, b"")
    assert answer.field("X-Espimage-Reason")
    elf.write_bytes(builds[1].elf)
    assert ask(server, method).length == len(builds[1].image)


def test_half_written_elf_is_completed_in_time(serve, elf, builds):
    server = serve(elf)
    half = len(builds[1].elf) // 2
    for source, method in (("127.0.0.2", b"HEAD"), ("127.0.0.3", b"GET")):
        elf.write_bytes(builds[1].elf[:half])
        with connect(server, source) as s:
            s.sendall(SAMPLE % (method, 1))
            time.sleep(0.5)
            assert nothing_more(s, 0), "it waits"
            with open(elf, "ab") as file:
                file.write(builds[1].elf[half:])
            answer = Answer(read_to_end(s), head=method == b"HEAD")
        assert (answer.status, answer.length) == (200, len(builds[1].image))
        assert answer.body == (b"" if method == b"HEAD" else builds[1].image)


class Storm:
    """A build loop and many devices at once."""

    CLIENTS = 20
    ROUNDS = 3
    SECONDS = 4.0
    PERIOD = 0.02

    def __init__(self, server, path, builds, replace):
        self.server, self.path, self.builds, self.replace = server, path, builds, replace
        self.known = {len(b.image): b.image for b in builds}
        self.began = time.monotonic()
        self.stop = threading.Event()
        self.lock = threading.Lock()
        self.faults = []
        self.rounds = self.refused = self.given_up = self.writes = 0

    def write(self):
        due = time.monotonic()
        while not self.stop.is_set():
            self.writes += 1
            self.replace(self.path, self.builds[self.writes % len(self.builds)].elf)
            due = max(due + self.PERIOD, time.monotonic())
            time.sleep(max(0.001, due - time.monotonic()))

    def tried(self, method, source):
        """The answer, after two retries at most."""
        for _ in range(3):
            answer = ask(self.server, method, source)
            if answer.status == 200:
                return answer
            with self.lock:
                self.refused += 1
                if (answer.status, answer.length) != (503, 0):
                    self.faults.append(f"{source}: {method} {answer.header}")
        with self.lock:
            self.given_up += 1
        return None

    def client(self, number):
        source = f"127.0.1.{number + 1}"
        chance = random.Random(number)
        done = 0
        while done < self.ROUNDS or time.monotonic() < self.began + self.SECONDS:
            done += 1
            try:
                head = self.tried(b"HEAD", source)
                time.sleep(chance.choice((0, chance.uniform(0, 0.3))))
                get = self.tried(b"GET", source)
            except (OSError, AssertionError, ValueError) as fault:
                with self.lock:
                    self.faults.append(f"{source} round {done}: {fault!r}"[:300])
                continue
            with self.lock:
                self.rounds += 1
                if head and get and get.length != head.length:
                    self.faults.append(f"{source} round {done}: HEAD told {head.length}, "
                                       f"GET {get.length}")
                if get and get.body != self.known.get(get.length):
                    self.faults.append(f"{source} round {done}: an image of {get.length} bytes "
                                       "that no build is")

    def run(self):
        writer = threading.Thread(target=self.write)
        clients = [threading.Thread(target=self.client, args=(i,)) for i in range(self.CLIENTS)]
        for thread in [writer, *clients]:
            thread.start()
        for thread in clients:
            thread.join()
        self.seconds = time.monotonic() - self.began
        self.stop.set()
        writer.join()


@REPLACE
def test_rebuild_storm(serve, elf, builds, replace):
    server = serve(elf)
    storm = Storm(server, elf, builds, replace)
    storm.run()
    told = (f"{storm.rounds} rounds, {storm.writes} writes in {storm.seconds:.1f} s, "
            f"{storm.refused} times 503, {storm.given_up} given up")
    print(told)
    assert storm.faults == [], f"{len(storm.faults)} faults; {told}"
    # The thread sanitizer makes a conversion slower than the pauses between two writes.
    slow = "tsan" in tool_module.PROGRAM
    assert slow or storm.given_up == 0, told
    assert storm.rounds >= Storm.CLIENTS * Storm.ROUNDS
    assert storm.writes >= 20 * storm.seconds, "not much of a storm"
    assert server.err() == ""


# ---- images of every size ----

def make_elf(irom, text):
    """A linked program with one section in IRAM and one in flash."""
    names = b"\0.text\0.irom0.text\0.shstrtab\0"
    at_text = 52 + 2 * 32
    at_irom = at_text + len(text)
    at_names = at_irom + len(irom)
    table = at_names + len(names) + -(at_names + len(names)) % 4
    out = struct.pack("<16sHHIIIIIHHHHHH", b"\x7fELF\1\1\1", 2, 94, 1, 0x40100000, 52, table,
                      0x300, 52, 32, 2, 40, 4, 3)
    for offset, address, data in ((at_text, 0x40100000, text), (at_irom, 0x40201010, irom)):
        out += struct.pack("<8I", 1, offset, address, address, len(data), len(data), 5, 4)
    out += text + irom + names
    out += bytes(table - len(out)) + bytes(40)
    out += struct.pack("<10I", 1, 1, 6, 0x40100000, at_text, len(text), 0, 0, 4, 0)
    out += struct.pack("<10I", 7, 1, 6, 0x40201010, at_irom, len(irom), 0, 0, 16, 0)
    out += struct.pack("<10I", 19, 3, 0, 0, at_names, len(names), 0, 0, 1, 0)
    return out


def image_of(irom, text):
    return image_module.build(irom, [(0x40100000, text)])


def filled(seed, size):
    """Bytes with zeros among them, and never the text that devices search for."""
    return random.Random(seed).randbytes(size).replace(TRAP[:3], b"\0\0\0")


def test_made_elfs_are_right(tmp_path):
    path = tmp_path / "made.elf"
    irom, text = filled(1, 4000), filled(2, 900)
    path.write_bytes(make_elf(irom, text))
    assert converted(path, "--flash-size", "1MB") == image_of(irom, text)


class Laid:
    """A whole image, and the header in front of it that may be as long as it must be."""

    def __init__(self, raw):
        end = raw.index(b"\r\n\r\n") + 4
        self.header, self.body = raw[:end], raw[end:]
        assert self.header.startswith(b"HTTP/1.1 200 OK\r\n"), self.header
        assert b"\r\nContent-Length: %d\r\n" % len(self.body) in self.header
        assert len(self.header) % 4 == 0 and len(self.header) <= LONGEST_HEADER


def get_at(server, mss):
    """GET on a connection of that segment size: the answer, and what a segment holds."""
    with connect(server, mss=mss) as s:
        size = segment_size(s, mss)
        s.sendall(SAMPLE % (b"GET", 1))
        return Laid(read_to_end(s)), size


@pytest.mark.parametrize("step", [4, 16])
def test_growing_images(serve, tmp_path, step):
    """Images are padded to 16: of ELFs that are 4 bytes longer, every fourth makes a longer one."""
    path = tmp_path / "growing.elf"
    irom, text = filled(3, 8192), filled(4, 4096)
    sizes = set()
    server = None
    for i in range(200):
        if step == 4:  # in turn the flash part and the RAM part is what has grown
            grown = (irom[:4096 + i // 2 * 4], text[:1024 + (i + 1) // 2 * 4])
        else:
            grown = (irom[:4096 + i * 16], text[:1024 + i % 4])
        (rename_over if i % 2 else rewrite_in_place)(path, make_elf(*grown))
        server = server or serve("--flash-size", "1MB", path)
        wanted = image_of(*grown)
        sizes.add(len(wanted))
        for mss in (536, 1440, 1460):
            answer, size = get_at(server, mss)
            assert answer.body == wanted, f"image {i}, the first after a change is the new one"
            assert len(answer.header) % 4 == 0
            last = (len(answer.header) + len(answer.body)) % size
            assert last == 0 or last >= 4, f"image {i}, {len(wanted)} bytes, MSS {mss}: {last}"
    assert len(sizes) >= 200 * step // 16
    assert server.err() == ""


# ---- images that hold the text that devices search for ----

def runs_of(body):
    """(first, last): a segment that begins there is taken for a header and dropped."""
    found = []
    at = body.find(TRAP)
    while at >= 0:
        found.append((max(body.rfind(b"\0", 0, at) + 1, found[-1][1] + 1 if found else 0), at))
        at = body.find(TRAP, at + 1)
    return found


def dropped(runs, header_size, body_size, mss):
    """Where in the body the segments begin that a device would drop."""
    starts = range(mss - header_size, body_size, mss)
    return [at for at in starts if any(first <= at <= last for first, last in runs)]


def planted(size, runs, seed=5):
    """Flash content in which each run of that many zero-free bytes ends in the text."""
    irom = bytearray(filled(seed, size))
    for first, length in runs:
        irom[first:first + length] = b"\0" + b"h" * (length - len(TRAP) - 1) + TRAP
    return bytes(irom)


@pytest.mark.parametrize("mss,length", [(536, 160), (1440, 600), (1460, 600)])
def test_no_segment_begins_in_a_planted_run(serve, tmp_path, mss, length):
    path = tmp_path / "planted.elf"
    text = filled(6, 1024)
    path.write_bytes(make_elf(filled(5, 40000), text))
    server = serve("--flash-size", "1MB", path)
    natural, size = get_at(server, mss)
    avoided = 0
    # Several boundaries, with the run around each of them, and off it.
    for boundary in (1, 2, 7, 20):
        for before in (4, 40, 100, 140, length - 1, length + 40):
            first = boundary * size - len(natural.header) - 16 - before
            if first < 20:
                continue
            irom = planted(40000, [(first, length)])
            path.write_bytes(make_elf(irom, text))
            answer, size = get_at(server, mss)
            assert answer.body == image_of(irom, text)
            runs = [r for r in runs_of(answer.body) if r[1] - r[0] > length - 20]
            assert len(runs) == 1
            possible = [h for h in range(len(natural.header), LONGEST_HEADER + 1, 4)
                        if not dropped(runs_of(answer.body), h, len(answer.body), size)]
            hit = dropped(runs_of(answer.body), len(answer.header), len(answer.body), size)
            assert (hit == []) == (possible != []), \
                f"boundary {boundary}, run {before} before it: header {len(answer.header)}"
            avoided += not hit and len(answer.header) != len(natural.header)
    assert avoided >= 4


@pytest.mark.parametrize("mss", [536, 1440, 1460])
def test_several_planted_runs(serve, tmp_path, mss):
    """At places by chance: where a header length is clean for all of them, one is chosen."""
    path = tmp_path / "planted.elf"
    text = filled(6, 1024)
    path.write_bytes(make_elf(filled(5, 40000), text))
    server = serve("--flash-size", "1MB", path)
    shortest = len(get_at(server, mss)[0].header)
    chance = random.Random(mss)
    clean = 0
    for _ in range(20):
        places = chance.sample(range(1, 39), 3)
        runs = [(p * 1000 + chance.randrange(300), chance.randrange(20, 120 if mss < 1000 else 600))
                for p in places]
        irom = planted(40000, runs)
        path.write_bytes(make_elf(irom, text))
        answer, size = get_at(server, mss)
        assert answer.body == image_of(irom, text)
        found = runs_of(answer.body)
        assert len(found) == 3
        possible = [h for h in range(shortest, LONGEST_HEADER + 1, 4)
                    if not dropped(found, h, len(answer.body), size)]
        hit = dropped(found, len(answer.header), len(answer.body), size)
        assert hit == [] or possible == [], f"{runs}: header {len(answer.header)}"
        clean += not hit
    assert clean >= 8


def test_a_run_that_nothing_avoids_is_told(serve, tmp_path):
    """Longer than a segment: some segment begins in it, whatever the header."""
    path = tmp_path / "planted.elf"
    irom, text = planted(40000, [(20000, 700)]), filled(6, 1024)
    path.write_bytes(make_elf(irom, text))
    server = serve("--flash-size", "1MB", path)
    answer, size = get_at(server, 536)
    assert answer.body == image_of(irom, text)
    assert dropped(runs_of(answer.body), len(answer.header), len(answer.body), size)
    server.wait_for(r"GET /user1\.bin ")
    told = server.err() + server.log()
    assert "no header length avoids it" in told and f"MSS {size}" in told
    answer, size = get_at(server, 1460)
    assert not dropped(runs_of(answer.body), len(answer.header), len(answer.body), size)


# ---- slow and hostile clients ----

def test_a_reader_that_stops_for_seconds(large):
    with connect(large, "127.0.0.9", receive_buffer=4096) as s:
        s.sendall(SAMPLE % (b"GET", 1))
        got = b""
        while len(got) < len(large.image) // 2:
            part = s.recv(4096)
            assert part
            got += part
        time.sleep(5)
        got += read_to_end(s)
    assert_large(large, got)
    size = len(large.image)
    large.wait_for(rf"^127\.0\.0\.9 GET /user1\.bin .*, {size} of {size} bytes ")


def test_hostile_clients_do_not_disturb(large):
    """Silent ones, half a request, rubbish, those who leave at once or never read."""
    chance = random.Random(7)
    openers = [b"", b"GET /user1.b", b"GET /user1.bin HTTP/1.0\r\nX: y", b"\r\n",
               chance.randbytes(2000), bytes(3000), SAMPLE % (b"GET", 1)]
    held = []
    try:
        for i in range(140):
            s = connect(large, "127.0.0.66", receive_buffer=4096)
            held.append(s)
            try:
                s.sendall(openers[i % len(openers)])
            except OSError:
                pass  # refused for what came before: that is its good right
            if i % 10 == 3:
                s.close()
            elif i % 10 == 6:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                s.close()
            if i % 20 == 0:
                assert ask(large, b"HEAD", "127.0.0.2").length == len(large.image)
                assert ask(large, b"GET", "127.0.0.2").body == large.image
        # And while all of them hang on.
        began = time.monotonic()
        assert ask(large, b"GET", "127.0.0.2").body == large.image
        assert time.monotonic() - began < 3
        with connect(large, "127.0.0.2") as s:
            s.sendall(b"HEAD /user1.bin HTTP/1.1\r\n\r\n")
            assert read_answer(s, head=True).length == len(large.image)
    finally:
        for s in held:
            s.close()
    assert ask(large, b"GET", "127.0.0.2").body == large.image
