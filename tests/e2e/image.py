# SPDX-License-Identifier: MIT
"""The image format and the ELF format, written down a second time, independently of the C code."""

import collections
import struct
import zlib

IROM_START = 0x40200000

Section = collections.namedtuple("Section", "name address size data flags type")
Segment = collections.namedtuple("Segment", "address data")

# name: (code, flash KB, slot addresses, slot limit, link addresses)
MAPS = {
    "512KB": (0, 512, (0x1000, 0x41000), 0x3A000, (0x40201010, 0x40241010)),
    "1MB": (2, 1024, (0x1000, 0x81000), 0x7A000, (0x40201010, 0x40281010)),
    "2MB": (3, 2048, (0x1000, 0x81000), 0x7A000, (0x40201010, 0x40281010)),
    "4MB": (4, 4096, (0x1000, 0x81000), 0x7A000, (0x40201010, 0x40281010)),
    "2MB-c1": (5, 2048, (0x1000, 0x101000), 0xFA000, (0x40201010, 0x40201010)),
    "4MB-c1": (6, 4096, (0x1000, 0x101000), 0xFA000, (0x40201010, 0x40201010)),
    "8MB": (8, 8192, (0x1000, 0x101000), 0xFA000, (0x40201010, 0x40201010)),
    "16MB": (9, 16384, (0x1000, 0x101000), 0xFA000, (0x40201010, 0x40201010)),
}
LEGACY_NAMES = {"4m": "512KB", "2m": "256KB", "8m": "1MB", "16m": "2MB", "32m": "4MB",
                "16m-c1": "2MB-c1", "32m-c1": "4MB-c1"}
MODES = {"qio": 0, "qout": 1, "dio": 2, "dout": 3}
FREQS = {"40m": 0, "26m": 1, "20m": 2, "80m": 15}


def device_crc(data):
    """The CRC of the upgrade library: zlib's as a signed number c; c + 1 or |c| - 1."""
    crc = zlib.crc32(data)
    signed = crc - (1 << 32) if crc & 0x80000000 else crc
    return signed + 1 if signed >= 0 else -signed - 1


def xor(data, start=0xEF):
    for byte in data:
        start ^= byte
    return start


class Elf:
    """What a linked lx106 program holds, read from its section headers."""

    def __init__(self, data):
        assert data[:7] == b"\x7fELF\x01\x01\x01"
        (self.entry,) = struct.unpack_from("<I", data, 24)
        (table,) = struct.unpack_from("<I", data, 32)
        entry_size, count, names_index = struct.unpack_from("<HHH", data, 46)
        headers = [struct.unpack_from("<10I", data, table + i * entry_size) for i in range(count)]
        names = headers[names_index]
        self.sections = []
        for name, kind, flags, address, offset, size, *_ in headers:
            start = names[4] + name
            text = data[start:data.index(b"\0", start)].decode()
            content = b"" if kind == 8 else data[offset:offset + size]
            self.sections.append(Section(text, address, size, content, flags, kind))

    def loaded(self):
        return [s for s in self.sections if s.flags & 2 and s.type != 8 and s.size > 0]

    def ram(self):
        return [s for s in self.loaded() if s.address < IROM_START or s.address > 0x50000000]

    def irom_sections(self):
        return [s for s in self.loaded() if s not in self.ram()]

    def irom(self):
        """(address, bytes) of the flash part; gaps are zeros."""
        sections = self.irom_sections()
        first = min(s.address for s in sections)
        flat = bytearray(max(s.address + s.size for s in sections) - first)
        for s in sections:
            flat[s.address - first:s.address - first + s.size] = s.data
        return first, bytes(flat)


class Image:
    """A v2 image, taken apart; every claim of the format is checked on the way."""

    def __init__(self, data, crc=True):
        self.data = data
        self.magic, self.second, self.b2, self.b3, self.entry = struct.unpack_from("<4BI", data)
        self.irom_address, self.irom_size = struct.unpack_from("<II", data, 8)
        assert self.magic == 0xEA
        assert self.irom_address == 0
        assert self.irom_size % 16 == 0
        self.irom = data[16:16 + self.irom_size]
        at = self._ram_part(16 + self.irom_size)
        if crc:
            (self.crc,) = struct.unpack_from("<I", data, at)
            assert self.crc == device_crc(data[:-4])
            at += 4
        assert at == len(data)

    def _ram_part(self, at):
        magic, count, self.mode, self.size_freq, self.inner_entry = \
            struct.unpack_from("<4BI", self.data, at)
        assert magic == 0xE9
        at += 8
        self.segments = []
        for _ in range(count):
            address, size = struct.unpack_from("<II", self.data, at)
            assert size % 4 == 0 and address % 4 == 0
            self.segments.append(Segment(address, self.data[at + 8:at + 8 + size]))
            at += 8 + size
        end = at + 16 - at % 16
        assert not any(self.data[at:end - 1]), "padding is zero"
        self.checksum = self.data[end - 1]
        return end

    def ram_checksum(self):
        return xor(b"".join(s.data for s in self.segments))


class V1Image(Image):
    """An image for no bootloader: header, segments, checksum."""

    def __init__(self, data):  # pylint: disable=super-init-not-called
        self.data = data
        assert data[0] == 0xE9
        assert self._ram_part(0) == len(data)


def padded(data, to):
    return data + bytes(-len(data) % to)


def build(irom, segments, entry=0x40100000, app=1, b2=0, second=4, mode=0, size_freq=0x20,
          crc=True):
    """An image from its parts; `crc` may be False, or a function of the bytes before it."""
    irom = padded(irom, 16)
    out = bytearray(struct.pack("<4BIII", 0xEA, second, b2, app, entry, 0, len(irom)) + irom)
    out += struct.pack("<4BI", 0xE9, len(segments), mode, size_freq, entry)
    sum_ = 0xEF
    for address, data in segments:
        data = padded(data, 4)
        out += struct.pack("<II", address, len(data)) + data
        sum_ = xor(data, sum_)
    out += bytes(15 - len(out) % 16) + bytes([sum_])
    if crc:
        value = device_crc(bytes(out)) if crc is True else crc(bytes(out))
        out += struct.pack("<I", value & 0xFFFFFFFF)
    return bytes(out)


def build_v1(segments, entry=0x40100000, mode=0, size_freq=0x20):
    out = bytearray(struct.pack("<4BI", 0xE9, len(segments), mode, size_freq, entry))
    sum_ = 0xEF
    for address, data in segments:
        data = padded(data, 4)
        out += struct.pack("<II", address, len(data)) + data
        sum_ = xor(data, sum_)
    return bytes(out) + bytes(15 - len(out) % 16) + bytes([sum_])


def assert_image_of(data, elf, app, size_freq=0x20, mode=0):
    """`data` is the sdk image of the ELF for that slot, every byte of it."""
    image = Image(data)
    assert (image.second, image.b2, image.b3) == (4, 0, app)
    assert image.entry == image.inner_entry == elf.entry
    assert (image.mode, image.size_freq) == (mode, size_freq)
    assert image.irom == padded(elf.irom()[1], 16)
    assert image.segments == [Segment(s.address, padded(s.data, 4)) for s in elf.ram()]
    assert image.checksum == image.ram_checksum()
    return image
