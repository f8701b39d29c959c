# SPDX-License-Identifier: MIT
"""Images and flashes made by what espimage-format(5) says, without the program."""

import struct
import zlib


def bootloader():
    """What goes for a bootloader: a v1 header and some bytes."""
    return bytes([0xE9, 1, 0, 0]) + b"2nd boot version : 1.7\n".ljust(1020, b"\0")


def flash_dump(image):
    flash = bytearray(b"\xff" * 0x100000)
    flash[:4] = [0xE9, 1, 0, 0x20]
    flash[0x1000:0x1000 + len(image)] = image
    return bytes(flash)


def device_crc(crc):
    """The CRC of an image from zlib's, as espimage-format(5) says it first."""
    c = crc - (1 << 32) if crc & 0x80000000 else crc
    return c + 1 if c >= 0 else abs(c) - 1


def device_crc_other(data):
    """And as it says it second: no final inversion, then the absolute value."""
    register = zlib.crc32(data) ^ 0xFFFFFFFF
    return abs(register - (1 << 32) if register & 0x80000000 else register)


def with_crc(body):
    return bytes(body) + struct.pack("<I", device_crc(zlib.crc32(bytes(body))))
