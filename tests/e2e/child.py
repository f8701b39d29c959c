# SPDX-License-Identifier: MIT
"""The program as a child that runs on: its output goes to files, so that no pipe can fill."""

import os
import pathlib
import re
import signal
import subprocess
import time

from tool import PROGRAM


class Child:
    """NAME0.log and NAME0.err are the first one's, NAME1.log the next one's, ..."""

    WAIT_SECONDS = 60
    LOG_SECONDS = 20
    ERRORS = "strict"  # what of the output is not UTF-8

    def __init__(self, name, args, cwd, stderr=None, wrapper=(), **options):
        number = 0
        while (pathlib.Path(cwd) / f"{name}{number}.log").exists():
            number += 1
        self.log_path = pathlib.Path(cwd) / f"{name}{number}.log"
        self.err_path = pathlib.Path(cwd) / f"{name}{number}.err"
        with open(self.log_path, "wb") as log, open(self.err_path, "wb") as err:
            self.process = subprocess.Popen(
                [*wrapper, PROGRAM, *map(os.fspath, args)], cwd=cwd, stdin=subprocess.DEVNULL,
                stdout=log, stderr=err if stderr is None else stderr, **options)

    def log(self):
        return self.log_path.read_text("utf-8", self.ERRORS)

    def err(self):
        return self.err_path.read_text("utf-8", self.ERRORS)

    def wait_for(self, pattern, seconds=None):
        """Waits until the log matches."""
        limit = time.monotonic() + (self.LOG_SECONDS if seconds is None else seconds)
        while True:
            ended = self.process.poll() is not None
            found = re.search(pattern, self.log(), re.MULTILINE)
            if found:
                return found
            assert not ended and time.monotonic() < limit, \
                f"no {pattern!r} in the log\n{self.log()}\n{self.err()}"
            time.sleep(0.01)

    def kill(self, number):
        self.process.send_signal(number)

    def wait(self, seconds=None):
        """The exit status."""
        return self.process.wait(timeout=self.WAIT_SECONDS if seconds is None else seconds)

    def stop(self, number=signal.SIGTERM):
        self.kill(number)
        return self.wait()
