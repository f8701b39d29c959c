# SPDX-License-Identifier: MIT
"""A running `simulate`, and its flash written down a second time, independently of the C code."""

import re
import signal
import socket
import subprocess

from child import Child
from image import MAPS

FREE_PORTS = ("--page-port", "0", "--trigger-port", "0")
SECTOR = 4096


def blank(name="1MB"):
    return bytearray(b"\xff" * (MAPS[name][1] * 1024))


def put(flash, name, slot, image):
    at = MAPS[name][2][slot - 1]
    flash[at:at + len(image)] = image


def slot_of(flash, name, slot, size):
    at = MAPS[name][2][slot - 1]
    return bytes(flash[at:at + size])


def record(slot, version=6, failed=False):
    """The first bytes of a record of the system parameters that chooses the slot."""
    return bytes([(0xF7 if failed else 0xFB) + slot, 0xE0 | version]) + b"\xff" * 6


def put_parameters(flash, first=b"", second=b"", selector=None):
    """The records of copy A and copy B, and the first byte of the selector."""
    for at, data in ((0x3000, first), (0x2000, second)):
        flash[len(flash) - at:len(flash) - at + len(data)] = data
    if selector is not None:
        flash[-0x1000] = selector


def recorded(flash):
    """The slot that the parameters name, as boot 1.6 takes them."""
    at = len(flash) - (0x3000 if flash[-0x1000] == 0 else 0x2000)
    flags = flash[at] & 7
    return 2 if flags in (0, 5) else 1


class Device(Child):
    """`simulate` as a child; `ports` are those it printed."""

    def __init__(self, *args, cwd, ports=FREE_PORTS):
        super().__init__("simulate", ("simulate", *ports, *args), cwd)

    def wait_for_boot(self, build, slot, times=1):
        line = rf"^firmware: build {build} runs in slot user{slot}\n"
        self.wait_for(rf"(?:{line}[^\0]*){{{times}}}")

    @property
    def page(self):
        return int(self.wait_for(r"^page on http://[\d.]+:(\d+)/$").group(1))

    @property
    def trigger(self):
        return int(self.wait_for(r"^trigger on port (\d+)$").group(1))

    def ask(self, port, request=b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", address="127.0.0.1"):
        """Everything up to the end of the connection."""
        got = b""
        with socket.create_connection((address, port), timeout=20) as s:
            if request:
                s.sendall(request)
            while part := s.recv(65536):
                got += part
        return got.decode()

    def pull_trigger(self):
        return self.ask(self.trigger)

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(timeout=15)


def builds_that_ran(log):
    """[(build, slot), ...] in their order."""
    return [(int(b), int(s)) for b, s in
            re.findall(r"^(?:[\d.]+ )?firmware: build (\d+) runs in slot user([12])$", log, re.M)]
