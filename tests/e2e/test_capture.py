# SPDX-License-Identifier: MIT
"""serve: the TCP segments that leave it, captured between two network namespaces.

Needs root. What a device sees is a stream cut every MSS bytes, counted from the first byte of the
header; the header was chosen for exactly that."""

import ctypes
import fcntl
import itertools
import os
import random
import secrets
import shutil
import socket
import struct
import subprocess
import threading
import time

import pytest

import server as server_module
from server import Answer, read_to_end

SAMPLE = b"GET /user1.bin HTTP/1.0\r\nConnection: close\r\n\r\n\r"
PORT = 8888
SERVER, CLIENT = "10.213.47.1", "10.213.47.2"
CLONE_NEWNET = 0x40000000
ETH_P_ALL = 3
PACKET_OUTGOING = 4
SO_RCVBUFFORCE = 33
TCP_WINDOW_CLAMP = 10
SIOCETHTOOL = 0x8946
ETHTOOL_OFFLOADS = {"tso": 0x1F, "gso": 0x24, "gro": 0x2C}  # ETHTOOL_STSO, _SGSO, _SGRO
SYN, RST = 2, 4


class Namespace:
    """A network namespace with one end of the link."""

    def __init__(self, name):
        self.name = name
        self.link = name  # as short as an interface must be

    def run(self, *command):
        subprocess.run(["ip", "netns", "exec", self.name, *command], check=True,
                       capture_output=True, timeout=20)

    def inside(self, work):
        """Does it in a thread that has entered the namespace; sockets and children stay there."""
        result = []

        def enter_and_work():
            try:
                with open(f"/run/netns/{self.name}", "rb") as handle:
                    libc = ctypes.CDLL(None, use_errno=True)
                    if libc.setns(handle.fileno(), CLONE_NEWNET) != 0:
                        raise OSError(ctypes.get_errno(), "setns")
                result.append(work())
            except BaseException as fault:  # pylint: disable=broad-except
                result.append(fault)

        thread = threading.Thread(target=enter_and_work)
        thread.start()
        thread.join()
        if isinstance(result[0], BaseException):
            raise result[0]
        return result[0]


def switch_off(name, link):
    """One offload of an interface, as `ethtool -K` does it."""
    value = ctypes.create_string_buffer(struct.pack("II", ETHTOOL_OFFLOADS[name], 0))
    request = struct.pack("16sP", link.encode(), ctypes.addressof(value))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        fcntl.ioctl(s, SIOCETHTOOL, request.ljust(40, b"\0"))


class Wire:
    """Two namespaces and the cable between them."""

    def __init__(self, mtu):
        number = secrets.token_hex(3)
        self.server, self.client = Namespace(f"espt{number}s"), Namespace(f"espt{number}c")
        self.mss = mtu - 40
        try:
            self.make(mtu)
        except BaseException:
            self.remove()
            raise

    def make(self, mtu):
        ends = (self.server, SERVER), (self.client, CLIENT)
        for end, _ in ends:
            subprocess.run(["ip", "netns", "add", end.name], check=True, capture_output=True,
                           timeout=20)
        subprocess.run(["ip", "link", "add", self.server.link, "netns", self.server.name, "type",
                        "veth", "peer", "name", self.client.link, "netns", self.client.name],
                       check=True, capture_output=True, timeout=20)
        for end, address in ends:
            end.run("ip", "link", "set", "lo", "up")
            end.run("ip", "link", "set", end.link, "mtu", str(mtu))
            end.run("ip", "address", "add", f"{address}/24", "dev", end.link)
            end.run("ip", "link", "set", end.link, "up")
            for name in ETHTOOL_OFFLOADS:
                end.inside(lambda name=name, link=end.link: switch_off(name, link))
        self.client.inside(as_a_device)

    def remove(self):
        for end in (self.server, self.client):
            subprocess.run(["ip", "netns", "del", end.name], check=False, capture_output=True,
                           timeout=20)


def as_a_device():
    """Its TCP knows no options but the MSS."""
    for name in ("tcp_timestamps", "tcp_window_scaling", "tcp_sack"):
        with open(f"/proc/sys/net/ipv4/{name}", "w", encoding="ascii") as file:
            file.write("0")


@pytest.fixture(scope="module", params=[1500, 576], ids=["mss1460", "mss536"])
def wire(request):
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and iproute2")
    try:
        one = Wire(request.param)
    except (OSError, subprocess.SubprocessError) as fault:
        said = getattr(fault, "stderr", b"") or b""
        pytest.skip(f"no network namespaces here: {fault} {said.decode(errors='replace')}")
    yield one
    one.remove()


@pytest.fixture(scope="module")
def server(wire, firmware, tmp_path_factory):
    one = wire.server.inside(lambda: server_module.Server(
        firmware.path("2MB-c1.large"), cwd=tmp_path_factory.mktemp("capture"),
        command=("serve", "--port", str(PORT))))
    yield one
    assert one.stop() == 0
    assert one.err() == ""


class Capture:
    """Every frame that arrives in the client's namespace, as it was on the wire."""

    def __init__(self, wire):
        def opened():
            s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
            s.bind((wire.client.link, ETH_P_ALL))
            s.settimeout(0.1)
            return s

        self.socket = wire.client.inside(opened)
        self.frames = []
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.read)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        time.sleep(0.1)
        self.stop.set()
        self.thread.join()
        lost = struct.unpack("II", self.socket.getsockopt(263, 6, 8))[1]  # PACKET_STATISTICS
        self.socket.close()
        assert lost == 0, "the capture is not whole"

    def read(self):
        while True:
            try:
                frame, address = self.socket.recvfrom(1 << 17)
            except socket.timeout:
                if self.stop.is_set():
                    return
                continue
            if address[2] != PACKET_OUTGOING:
                self.frames.append(frame)

    def segments(self, client_port):
        """(offset in the stream, data) of each segment with data, as they came; the first byte
        of the header is at 0."""
        start, found = None, []
        for frame in self.frames:
            if frame[12:14] != b"\x08\x00" or frame[23] != socket.IPPROTO_TCP:
                continue
            size = struct.unpack_from(">H", frame, 16)[0]
            packet = frame[14:14 + size]
            tcp = packet[(packet[0] & 15) * 4:]
            source, target, number = struct.unpack_from(">HHI", tcp)
            if (source, target) != (PORT, client_port):
                continue
            if tcp[13] & SYN:
                start = number + 1
                continue
            assert not tcp[13] & RST, "reset"
            data = tcp[(tcp[12] >> 4) * 4:]
            if data:
                found.append(((number - start) & 0xFFFFFFFF, data))
        assert start is not None, "no beginning in the capture"
        return found


def stream(segments):
    """Put together by offset; what was lost and sent again counts once, however it was cut."""
    seen, kept = 0, []
    for offset, data in sorted(set(segments)):
        assert offset <= seen, f"nothing captured at {seen}"
        if offset + len(data) > seen:
            kept.append((offset, data))
            seen = offset + len(data)
    return kept


def short(sizes):
    """Lengths in a form to compare: 287 x 1460 + 1 x 8."""
    return " + ".join(f"{len(list(group))} x {size}" for size, group in itertools.groupby(sizes))


def fast(s):
    return read_to_end(s)


def paused(s):
    """Stops twice, long enough for the window to close, and reads in small bites."""
    got = b""
    for pause in (1.5, 0.7):
        time.sleep(pause)
        for _ in range(40):
            got += s.recv(700)
            time.sleep(0.002)
    return got + read_to_end(s)


def uneven(s):
    """Bites of any size with breaks of any length: the server's queue runs dry and full."""
    chance = random.Random(1)
    got = b""
    limit = time.monotonic() + 2
    while time.monotonic() < limit:
        part = s.recv(chance.choice((1, 100, 536, 1460, 5840)))
        if not part:
            return got
        got += part
        time.sleep(chance.choice((0, 0, 0.001, 0.01)))
    return got + read_to_end(s)


def computed_and_captured(wire, read, **options):
    """The lengths of the segments of one download; their contents are looked at here."""
    s = wire.client.inside(lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM))
    with s, Capture(wire) as capture:
        s.settimeout(20)
        if "window" in options:
            # With a size of one's own the kernel leaves the window alone.
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
            s.setsockopt(socket.IPPROTO_TCP, TCP_WINDOW_CLAMP, options["window"])
        if "buffer" in options:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, options["buffer"])
        s.connect((SERVER, PORT))
        port = s.getsockname()[1]
        s.sendall(SAMPLE)
        raw = read(s)
    answer = Answer(raw)
    assert answer.status == 200
    assert len(answer.header) % 4 == 0
    segments = stream(capture.segments(port))
    for offset, data in segments:
        assert data == raw[offset:offset + len(data)], "the capture is what was read"
    assert segments[-1][0] + len(segments[-1][1]) == len(raw)
    # What was computed: header and image as one stream, cut every MSS bytes.
    total = len(answer.header) + answer.length
    computed = [min(wire.mss, total - at) for at in range(0, total, wire.mss)]
    captured = [len(data) for _, data in segments]
    for offset, _ in segments:
        assert offset % wire.mss == 0, \
            f"\ncomputed {short(computed)}\ncaptured {short(captured)}\ncut at {offset}"
    return computed, captured


@pytest.mark.parametrize("read", [fast, paused, uneven])
@pytest.mark.parametrize("options", [{"segments": 2}, {"segments": 4}, {"buffer": 4096}],
                         ids=["window-2", "window-4", "tiny-buffer"])
def test_segments_are_those_that_were_computed(wire, server, read, options):
    """Readers with a device's window of a few segments, or with a tiny buffer."""
    if "segments" in options:
        options = {"window": options["segments"] * wire.mss}
    computed, captured = computed_and_captured(wire, read, **options)
    assert captured == computed, f"\ncomputed {short(computed)}\ncaptured {short(captured)}"
    assert captured[-1] >= 4


@pytest.mark.parametrize("read", [fast, paused, uneven])
def test_the_window_of_devices(wire, server, read):
    """5840, whatever the MSS of the way."""
    computed, captured = computed_and_captured(wire, read, window=5840)
    assert captured == computed, f"\ncomputed {short(computed)}\ncaptured {short(captured)}"
