# SPDX-License-Identifier: MIT
"""Flash dumps: what a test puts where."""

import struct

from image import MAPS

SECTOR = 0x1000

BUILD = 7  # the number that the firmware of these tests says


def header(map_name, magic=0xE9):
    """The first bytes of a bootloader, for the flash map only."""
    return struct.pack("<4BI", magic, 0, 0, MAPS[map_name][0] << 4, 0)


def record(slot, version=6):
    """The first bytes of a record that chooses the slot: include/espimage/parameters.h."""
    return bytes([0xFB + slot, 0xE0 | version]) + b"\xff" * 6


class Flash:
    """A blank flash of a map. Slots are numbered 1 and 2."""

    def __init__(self, map_name, with_header=True):
        _, kilobytes, self.slots, _, _ = MAPS[map_name]
        self.bytes = bytearray(b"\xff" * (kilobytes * 1024))
        if with_header:
            self.put(0, header(map_name))

    def put(self, address, data):
        assert address >= 0 and address + len(data) <= len(self.bytes)
        self.bytes[address:address + len(data)] = data
        return self

    def slot(self, number, image):
        return self.put(self.slots[number - 1], image)

    def flip(self, address, bit=0):
        self.bytes[address] ^= 1 << bit
        return self

    def parameters(self, first, second=b"", selector=0):
        """The records of copy A and copy B, and which one counts: A for 0, otherwise B."""
        for i, data in enumerate((first, second, bytes([selector]))):
            self.put(len(self.bytes) - (3 - i) * SECTOR, data)
        return self

    def write(self, path):
        path.write_bytes(self.bytes)
        return path
