#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs a flash dump on an emulated lx106 and shows what the processor prints.

The boot ROM and the second-stage bootloader are stand-ins, built from the sources beside this file.
"""

import argparse
import collections
import errno
import os
import pathlib
import selectors
import shutil
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "e2e"))

from image import MAPS  # pylint: disable=wrong-import-position

PROGRAM = "qemu-system-xtensa"
COMPILER = "xtensa-lx106-elf-gcc"
PACKAGES = {PROGRAM: "qemu-system-misc", COMPILER: "gcc-xtensa-lx106", "make": "make"}

# Agreed with rom.h.
FLASH_ADDRESS = 0x51000000
SETTINGS_ADDRESS = 0x50FF0000
MAP_FROM_HEADER = 0xFFFFFFFF
BOOT_FAILED, FAULT, NO_FUNCTION, BAD_FLASH, RETURNED = range(101, 106)

SAVE_SIZE = 1024
RETRIES_ADDRESS = 0x600011DC  # where boot 1.7 counts, in memory that a reset does not clear
BOOT_VERSIONS = {f"1.{minor}": minor for minor in range(1, 8)}

LARGEST_FLASH = 0x1000000
MOST_OUTPUT = 1 << 20
TIMED_OUT = 124

# status: None when it was ended from here; why: None, "timeout", "until" or "output".
Run = collections.namedtuple("Run", "out err status why")


def missing(*programs):
    """What to install, or None."""
    for program in programs:
        if shutil.which(program) is None:
            return f"{program} not found (on Debian: apt-get install {PACKAGES[program]})"
    return None


def build_rom(folder, *targets):
    """The stand-in, in that folder; quick when nothing has changed."""
    subprocess.run(["make", "-s", "-C", str(HERE), f"OUT={folder}", "all", *targets], check=True,
                   timeout=120)
    return pathlib.Path(folder) / "rom.elf"


def command(rom, flash, map_name=None, own_loader=False, boot_version=None, save=None, retries=0):
    size = os.path.getsize(flash)
    code = MAP_FROM_HEADER if map_name is None else MAPS[map_name][0]
    words = [size, code, int(own_loader), BOOT_VERSIONS.get(boot_version, 0)]
    path = os.fsencode(os.path.abspath(save)) if save else b""
    if len(path) >= SAVE_SIZE:
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), save)
    words += [int.from_bytes(path[i:i + 4], "little") for i in range(0, len(path), 4)]
    line = [PROGRAM, "-M", "sim", "-cpu", "lx106", "-semihosting", "-display", "none",
            "-serial", "none", "-monitor", "none", "-kernel", str(rom),
            "-device", f"loader,file={str(flash).replace(',', ',,')},addr={FLASH_ADDRESS:#x},"
                       "force-raw=on"]
    for i, word in enumerate(words):
        line += ["-device", f"loader,addr={SETTINGS_ADDRESS + 4 * i:#x},data={word:#x},data-len=4"]
    if retries:
        line += ["-device", f"loader,addr={RETRIES_ADDRESS:#x},data={retries:#x},data-len=4"]
    return line


def run(rom, flash, map_name=None, own_loader=False, timeout=30, until=None, show=None, **settings):
    """One power-on. Ends when the program does, at the text `until`, or after that many seconds.

    `show` is called with the bytes that the processor writes, as they come. `settings`: boot_version,
    of the stand-in; save, the path of a file that becomes the flash as the processor writes it;
    retries, what boot 1.7 finds in its counter.
    """
    if settings.get("save"):
        shutil.copyfile(flash, settings["save"])
    line = command(rom, flash, map_name, own_loader, **settings)
    with subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as process:
        try:
            out, err, why = _listen(process, time.monotonic() + timeout, until, show)
        finally:
            if process.poll() is None:
                process.kill()
        status = process.wait()
    return Run(out.decode("utf-8", "replace"), err.decode("utf-8", "replace"),
               None if why else status, why)


def _listen(process, limit, until, show):
    got = {process.stdout: b"", process.stderr: b""}
    with selectors.DefaultSelector() as selector:
        for stream in got:
            selector.register(stream, selectors.EVENT_READ)
        while True:
            left = limit - time.monotonic()
            if left <= 0:
                return got[process.stdout], got[process.stderr], "timeout"
            for key, _ in selector.select(left):
                part = os.read(key.fd, 65536)
                if not part:
                    selector.unregister(key.fileobj)
                got[key.fileobj] += part
                if show and key.fileobj is process.stdout:
                    show(part)
            out, err = got.values()
            if until and until.encode() in out:
                return out, err, "until"
            if len(out) > MOST_OUTPUT:
                return out, err, "output"
            if not selector.get_map():
                process.wait(max(left, 1))
                return out, err, None


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0],
                                     epilog="FLASH.bin is never changed. Exit status: the "
                                     f"firmware's; {BOOT_FAILED} no slot boots; {FAULT} exception; "
                                     f"{NO_FUNCTION} a ROM function that is not there; {BAD_FLASH} "
                                     f"unknown flash map; {RETURNED} the program returned; "
                                     f"{TIMED_OUT} still running after the timeout.")
    parser.add_argument("flash", metavar="FLASH.bin", help="the whole flash, from address 0")
    parser.add_argument("--flash-size", choices=list(MAPS), metavar="SIZE",
                        help=f"flash map: {' '.join(MAPS)} (default: by the header at address 0)")
    parser.add_argument("--own-loader", action="store_true",
                        help="run the program at flash address 0 (a bootloader, or a firmware for "
                        "none) as the ROM does, instead of the second stage's stand-in")
    parser.add_argument("--boot-version", choices=list(BOOT_VERSIONS), metavar="VERSION",
                        help="of the second stage's stand-in: 1.1 to 1.7 (default: that of the "
                        "bootloader in the flash, or 1.6)")
    parser.add_argument("--save", metavar="OUT.bin",
                        help="write the flash, as the processor leaves it, to this file")
    parser.add_argument("--timeout", type=float, default=10, metavar="SECONDS",
                        help="end the emulator after that time (default 10)")
    parser.add_argument("--until", metavar="TEXT", help="end when the processor has printed this")
    parser.add_argument("--rom", metavar="ROM.elf", help="the stand-in (default: build it)")
    return parser.parse_args(arguments)


def main(arguments):
    options = parse(arguments)
    lacking = missing(PROGRAM) or (None if options.rom else missing(COMPILER, "make"))
    if lacking:
        return f"qemu.py: {lacking}"
    try:
        size = os.path.getsize(options.flash)
        if not 0 < size <= LARGEST_FLASH:
            return f"qemu.py: {options.flash}: {size} bytes; wanted a whole flash, up to 16 MB"
        rom = options.rom or build_rom(HERE.parents[1] / "build/lx106")
        done = run(rom, options.flash, options.flash_size, options.own_loader, options.timeout,
                   options.until, lambda part: os.write(1, part),
                   boot_version=options.boot_version, save=options.save)
    except (OSError, subprocess.SubprocessError) as error:
        return f"qemu.py: {error}"
    except KeyboardInterrupt:
        return 130
    sys.stderr.write(done.err)
    if done.why in ("timeout", "output"):
        reason = {"timeout": f"still running after {options.timeout:g} s",
                  "output": "prints without end"}[done.why]
        print(f"qemu.py: {reason}; ended", file=sys.stderr)
        return TIMED_OUT
    return done.status or 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
