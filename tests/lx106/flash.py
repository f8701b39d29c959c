# SPDX-License-Identifier: MIT
"""Flash dumps: what a test puts where."""

import struct

from image import MAPS

SECTOR = 0x1000

BUILD = 7  # the number that the firmware of these tests says


def header(map_name, magic=0xE9):
    """The first bytes of a bootloader, for the flash map only."""
    return struct.pack("<4BI", magic, 0, 0, MAPS[map_name][0] << 4, 0)


def head(first, version=6):
    """The first bytes of a record: byte 0, and whose it is."""
    return bytes([first, 0xE0 | version]) + b"\xff" * 6


USER1, USER2 = 0xFC, 0xFD  # byte 0 of a record, normal state
USER1_FAILED, USER2_FAILED = 0xF8, 0xF9


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

    def parameters(self, selector, copy_a=b"", copy_b=b""):
        """The last three sectors: which copy counts, and what begins each."""
        end = len(self.bytes)
        self.put(end - 3 * SECTOR, copy_a).put(end - 2 * SECTOR, copy_b)
        return self.put(end - SECTOR, bytes([selector]))

    def choose(self, slot, version=6):
        """As a device has it whose user1 or user2 was chosen."""
        return self.parameters(0, head(USER1 if slot == 1 else USER2, version))

    def write(self, path):
        path.write_bytes(self.bytes)
        return path
