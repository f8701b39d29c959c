# SPDX-License-Identifier: MIT
"""Files that people have beside their images, and images changed on the way: each rebuilt from its
description, under the name by which the program knows it."""

import base64
import gzip
import io
import struct
import zipfile
import zlib

from image import build, build_v1, device_crc, xor

DATA = (0x3FFE8000, bytes(range(1, 65)) * 2)
RODATA = (0x3FFE8080, b"two lines\n of text\n and\n more" * 4)
TEXT = (0x40100000, bytes(range(7, 135)))
RAM = [DATA, RODATA, TEXT]
IROM = bytes(range(256)) * 8


def good(app=1, **kwargs):
    return build(IROM, RAM, app=app, **kwargs)


def with_crc(body):
    return bytes(body) + struct.pack("<I", device_crc(bytes(body)))


def changed(data, at, new):
    return data[:at] + new + data[at + len(new):]


def negative_crc(crc):
    """An image whose CRC-32 has its top bit set, with another CRC: crc(zlib's)."""
    for i in range(64):
        body = build(bytes([i]) * 512, RAM, crc=False)
        if zlib.crc32(body) & 0x80000000:
            return body + struct.pack("<I", crc(zlib.crc32(body)) & 0xFFFFFFFF)
    raise AssertionError("no such image")


def boot_v1(text, size=2048):
    """A bootloader with this text in it."""
    data = text + bytes(-len(text) % 4) + bytes(size)
    return build_v1([(0x3FFE8000, data), (0x40100000, bytes(range(200)))])


def bootloader(version="1.6"):
    return boot_v1(b"\n2nd boot version : " + version.encode() + b"\n")


def rboot():
    return boot_v1(b"\r\nrBoot v1.4.2 - richardaburton@gmail.com\r\n")


def rtos3_bootloader():
    return boot_v1(b"\x1b[0;32mI (%d) %s: ESP-IDF v3.4 2nd stage bootloader\x1b[0m\n", 9000)


def eboot():
    return build_v1([(0x4010F000, bytes(range(256)) * 4)], entry=0x4010F000)


def arduino():
    head = eboot()
    return head + b"\xFF" * (0x1000 - len(head)) + build_v1(
        [(0x40201010, IROM * 8), TEXT, DATA], entry=0x40100000)


def rtos3(count=3):
    """Flash segments first and part of the checksum; SHA-256 behind it."""
    segments = [(0x40210010, IROM), (0x40220000, IROM), TEXT][-count:]
    return build_v1(segments, entry=0x40210100) + bytes(32)


def esp32(count=5):
    return struct.pack("<4BI", 0xE9, count, 2, 0x20, 0x40081234) + bytes(16) + \
        struct.pack("<II", 0x3F400020, 4096) + bytes(4096)


def irom_linked_at(base, size=0x6000):
    """Code for flash: among its words are addresses of itself."""
    words = [(base + 4 * i) if i % 37 == 0 else (i * 2654435761) & 0x3FFFFFF
             for i in range(size // 4)]
    return struct.pack(f"<{len(words)}I", *words)


def both_parts(base, **kwargs):
    head = build_v1(RAM, **kwargs)
    return head + b"\xFF" * (0x10000 - len(head)) + irom_linked_at(base)


def init_data():
    return b"\x05\x08" + bytes(range(126))


def partition_table():
    def entry(kind, sub, offset, size, name):
        return struct.pack("<HBBII16sI", 0x50AA, kind, sub, offset, size, name, 0)
    table = entry(1, 2, 0x9000, 0x6000, b"nvs") + entry(0, 0, 0x10000, 0xF0000, b"factory")
    return (table + b"\xEB\xEB" + b"\xFF" * 14 + bytes(16)).ljust(0xC00, b"\xFF")


def ehug():
    one, two = good(1), good(2)
    return b"EHUG" + b"httpd".ljust(28, b"\0") + struct.pack("<ii", len(one), len(two)) + one + two


def sming_bundle():
    rom = build(IROM, RAM, crc=False)
    return struct.pack("<IQB3x", 0xF01AF020, 3900000000000, 1) + \
        struct.pack("<II", 0x2000, len(rom)) + rom + bytes(16)


def intel_hex(data):
    lines = []
    for at in range(0, len(data), 16):
        row = bytes([len(data[at:at + 16]), at >> 8 & 255, at & 255, 0]) + data[at:at + 16]
        lines.append(":" + row.hex().upper() + f"{-sum(row) & 255:02X}")
    return ("\r\n".join(lines + [":00000001FF"]) + "\r\n").encode()


def zipped(data):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("user1.bin", data)
    return out.getvalue()


def elf(sections, entry=0x40100000):
    """A program of these (name, address, bytes)."""
    names = b"\0" + b"".join(name.encode() + b"\0" for name, _, _ in sections) + b".shstrtab\0"
    headers, contents, at, name_at = [bytes(40)], b"", 52, 1
    for name, address, data in sections:
        headers.append(struct.pack("<10I", name_at, 1, 6, address, at, len(data), 0, 0, 4, 0))
        contents, at, name_at = contents + data, at + len(data), name_at + len(name) + 1
    headers.append(struct.pack("<10I", name_at, 3, 0, 0, at, len(names), 0, 0, 1, 0))
    contents += names
    return struct.pack("<16sHHIIIIIHHHHHH", b"\x7fELF\1\1\1", 2, 94, 1, entry, 0,
                       52 + len(contents), 0, 52, 0, 0, 40, len(headers), len(headers) - 1) + \
        contents + b"".join(headers)


ARDUINO_ELF = elf([(".data", *DATA), (".text", *TEXT), (".text1", 0x40100100, b"text"),
                   (".irom0.text", 0x40201010, IROM)])
RTOS3_ELF = elf([(".iram0.vectors", *TEXT), (".dram0.data", *DATA),
                 (".flash.text", 0x40210010, IROM), (".flash.rodata", 0x40220000, IROM)],
                entry=0x40210100)
ESP32_ELF = elf([(".iram0.vectors", 0x40080000, TEXT[1]), (".flash.text", 0x400D0020, IROM)])


def flash(parts=(), size=0x100000, fill=b"\xFF"):
    """A flash with these (address, bytes)."""
    out = bytearray(fill * size)
    for address, data in parts:
        out[address:address + len(data)] = data
    return bytes(out)


def boot_of_map(code, boot=None):
    """The bootloader with that map in its header."""
    return changed(boot or bootloader(), 2, bytes([0, code << 4]))


def odd_files():
    """{(mistake, case): (bytes, words of the text)}"""
    image = good()
    loads = changed(image, 0, b"\xE9")
    settings = {"b2": 2, "mode": 2, "app": 0x20, "size_freq": 0x20}
    page = b"<!DOCTYPE html>\n<html><title>404</title></html>"
    return {
        ("empty", ""): (b"", ["empty"]),
        ("elf", ""): (b"\x7fELF\1\1\1" + bytes(60), ["ELF", "convert"]),
        ("html", ""): (page, ["web page"]),
        ("http", "error"): (b"HTTP/1.1 404 Not Found\r\n\r\n" + page, ["HTTP", "body"]),
        ("http", "image"): (b"HTTP/1.0 200 OK\r\nA: b\r\n\r\n" + image, ["offset 25"]),
        ("gzip", ""): (gzip.compress(image), ["gzip", "decompress"]),
        ("zip", ""): (zipped(image), ["zip", "unpack"]),
        ("lfs-pointer", ""): (b"version https://git-lfs.github.com/spec/v1\noid sha256:" +
                              b"0" * 64 + b"\nsize 396900\n", ["Git LFS", "git lfs pull"]),
        ("intel-hex", ""): (intel_hex(image), ["Intel HEX", "objcopy"]),
        ("base64", "lines"): (base64.encodebytes(image), ["base64 -d"]),
        ("base64", "v1"): (base64.b64encode(build_v1(RAM)), ["base64 -d"]),
        ("blank", ""): (b"\xFF" * 4096, ["erased flash"]),
        ("flash", ""): (flash([(0, boot_of_map(2)), (0x1000, image)]), ["flash dump"]),
        ("bootloader", "1.6"): (bootloader(), ["Espressif's bootloader 1.6", "address 0"]),
        ("bootloader", "1.7"): (bootloader("1.7(5d6f877)"), ["bootloader 1.7:"]),
        ("bootloader", "sector"): (bootloader("1.2").ljust(4096, b"\xFF"), ["bootloader 1.2:"]),
        ("rboot-bootloader", ""): (rboot(), ["rBoot 1.4.2", "address 0"]),
        ("rtos3-bootloader", ""): (rtos3_bootloader(), ["RTOS SDK 3", "does not start user1"]),
        ("arduino", ""): (arduino(), ["Arduino", "eboot and a sketch", "ArduinoOTA"]),
        ("arduino", "eboot"): (eboot(), ["without a sketch"]),
        ("rtos3", ""): (rtos3(), ["RTOS SDK 3", "esp_https_ota"]),
        ("rtos3", "four segments"): (build_v1(
            [(0x40210010, IROM), (0x40220000, IROM), DATA, TEXT], entry=0x40210100) + bytes(32),
                                     ["RTOS SDK 3"]),
        ("esp32", ""): (esp32(), ["ESP32", "cannot run"]),
        ("esp32", "four segments"): (esp32(4), ["ESP32"]),
        ("old-format", "words"): (both_parts(0x40211000), ["old layout", "1.4 to 1.7"]),
        ("old-format", "user2"): (both_parts(0x40291000, mode=2), ["old layout"]),
        ("old-format", "gen_appbin"): (both_parts(0x40210000, size_freq=2), ["old layout"]),
        ("one-file", ""): (both_parts(0x40210000), ["no bootloader", "address 0"]),
        ("v1", ""): (build_v1(RAM), ["no bootloader", "v1 image"]),
        ("v1", "cut"): (build_v1(RAM)[:100], ["v1 image, truncated"]),
        ("irom", ""): (irom_linked_at(0x40210000), ["without a header", "linked for"]),
        ("init-data", ""): (init_data(), ["init data", "4 sectors before the end"]),
        ("init-data", "sector"): (init_data().ljust(4096, b"\xFF"), ["init data"]),
        ("partition-table", ""): (partition_table(), ["partition table", "0x8000"]),
        ("ehug", ""): (ehug(), ["EHUG 'httpd'", f"user1, {len(image)} bytes at offset 40"]),
        ("sming-bundle", ""): (sming_bundle(), ["Sming"]),
        ("sming-bundle", "signed"): (changed(sming_bundle(), 0, b"\x2A"), ["Sming"]),
        ("offset", "mark"): (b"\xEF\xBB\xBF" + image, ["offset 3", "byte order mark of UTF-8"]),
        ("offset", "line feed"): (b"\r\n" + image, ["offset 2", "a line feed"]),
        ("offset", "text"): (b"hello" + image, ["offset 5", "behind text"]),
        ("offset", "header"): (b"Content-Type: x\r\n\r\n" + image, ["an HTTP or MIME header"]),
        ("offset", "multipart"): (b'--x\r\nContent-Disposition: form-data; name="f"\r\n\r\n' +
                                  image + b"\r\n--x--\r\n", ["an HTTP or MIME header"]),
        ("offset", "blank"): (b"\xFF" * 4096 + image, ["offset 4096", "erased flash"]),
        ("offset", "zeros"): (bytes(16) + image, ["offset 16", "zeros"]),
        ("offset", "v1"): (b"\xEF\xBB\xBF" + build_v1(RAM), ["offset 3"]),
        ("two-images", "joined"): (image + good(2), [f"offset {len(image)}"]),
        ("two-images", "padded"): (image.ljust(8192, b"\xFF") + good(2), ["offset 8192"]),
        ("text-mode", ""): (image.replace(b"\n", b"\r\n"), ["0D 0A", "binary mode"]),
        ("text-mode", "v1"): (build_v1(RAM).replace(b"\n", b"\r\n"), ["0D 0A"]),
        ("utf8", ""): (image.decode("latin-1").encode(), ["UTF-8", "binary mode"]),
        ("replaced", "question marks"): (image.decode("ascii", "replace")
                                         .replace("\ufffd", "?").encode(), ["binary mode"]),
        ("replaced", "U+FFFD"): (image.decode("utf-8", "replace").encode(), ["EF BF BD"]),
        ("replaced", "seven bits"): (bytes(b & 0x7F for b in image), ["binary mode"]),
        ("truncated", "irom"): (image[:500], ["end is missing"]),
        ("truncated", "RAM"): (image[:-100], ["end is missing"]),
        ("truncated", "CRC"): (image[:-4], ["CRC is missing"]),
        ("truncated", "half a CRC"): (image[:-2], ["CRC is not complete"]),
        ("trailing", ""): (image + bytes(16), ["16 bytes follow the CRC", "cut"]),
        ("trailing", "FF"): (image + b"\xFF" * 100, ["100 bytes follow the CRC"]),
        ("trailing", "no CRC"): (image[:-4] + b"more and more", ["follow the checksum"]),
        ("readback", ""): (image[:-4] + b"\xFF" * 500, ["no CRC", "erased flash"]),
        ("edited", "1 to 2"): (changed(image, 3, b"\2"), ["00 02", "made with 00 01"]),
        ("edited", "esptool"): (changed(good(**settings), 2, b"\0\1"), ["made with 02 20"]),
        ("esptool", ""): (good(**settings), ["esptool", "profile sdk"]),
        ("rtos1", ""): (build(IROM, [TEXT, DATA, RODATA], **settings), ["RTOS SDK 1.x"]),
        ("esptool2", ""): (good(**settings, crc=False), ["esptool2", "without a CRC"]),
        ("app-0", ""): (good(0), ["Espruino", "esp-link", "profile sdk"]),
        ("no-crc", ""): (good(0, crc=False), ["early gen_appbin", "CRC"]),
        ("gen_appbin-py3", ""): (negative_crc(lambda crc: crc + 1), ["Python 3"]),
        ("plain-crc", ""): (negative_crc(lambda crc: crc), ["ordinary CRC-32"]),
        ("second-byte", ""): (with_crc(changed(image, 1, b"\3")[:-4]), ["ESPImageTool"]),
        ("e9-header", ""): (with_crc(loads[:-4]), ["EA belongs", "crash"]),
        ("unknown", "text"): (b"hello\n", ["neither"]),
        ("unknown", "short"): (b"\x05", ["neither"]),
        ("unknown", "random"): (bytes(xor(bytes([i & 255]), i >> 8 & 127) for i in range(9999)),
                                ["neither"]),
    }


# ---- what the SDK keeps at the end of the flash ----

SSID, PASSWORD, OTHER = b"HomeNetwork", b"correct horse", (b"Office", b"battery staple")
KEY = bytes((i * 73 + 41) & 255 for i in range(32))


def record(head, ssid=SSID, password=PASSWORD):
    """One copy of the record, 1188 bytes of SDK 3.0 in a sector."""
    out = bytearray(head + b"\xFF" * 6 + bytes(1180) + b"\xFF" * (0x1000 - 1188))
    struct.pack_into("<I32s", out, 0x0C, len(ssid), ssid)
    struct.pack_into("<64s", out, 0x37, password)
    out[0x78:0x98] = KEY
    out[0x13C:0x13E] = b"\2\0"
    for i, (name, secret) in enumerate([(ssid, password), OTHER]):
        struct.pack_into("<I32s64s", out, 0x140 + 100 * i, len(name), name, secret)
    return bytes(out)


def selector(copy_a, copy_b, first, saves):
    return bytes([first]) + b"\xFF" * 3 + struct.pack(
        "<7I", 0x55AA55AA, saves, 0x20, 0x20, xor(copy_a[:32]), xor(copy_b[:32]), 0xAA55AA55)


def parameters(end, copy_a, copy_b, first=1, saves=2):
    return [(end - 0x3000, copy_a), (end - 0x2000, copy_b),
            (end - 0x1000, selector(copy_a, copy_b, first, saves))]


def device(head=b"\xFD\xE6", code=2, size=0x100000, user1=None, user2=None, boot=None):
    """A flash of the 512+512 map whose copy B says `head`."""
    return flash([(0, boot_of_map(code, boot)), (0x1000, user1 or good(1)),
                  (0x81000, user2 or good(2)), (size - 0x4000, init_data())] +
                 parameters(size, record(b"\xFC\xE6"), record(head)), size)
