# SPDX-License-Identifier: MIT
"""Chromium without a window, driven through its debugging pipe."""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import time

PROGRAM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
SECONDS = 60


def at_3_and_4(commands, answers):
    """Where the browser reads and writes; in the child."""
    above = [fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in (commands, answers)]
    os.dup2(above[0], 3)
    os.dup2(above[1], 4)


class Browser:
    """One page. What the page says on the console and every dialog it opens are in `said`."""

    def __init__(self, folder):
        commands, self.to = os.pipe()
        self.answers, from_ = os.pipe()
        self.buffer = b""
        self.last = 0
        self.said = []
        self.log = open(folder / "chromium.log", "wb")
        self.process = subprocess.Popen(
            [PROGRAM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             "--remote-debugging-pipe", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--proxy-server=direct://",
             f"--user-data-dir={folder}/profile", "about:blank"],
            pass_fds=(3, 4), preexec_fn=lambda: at_3_and_4(commands, from_),
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        os.close(commands)
        os.close(from_)
        target = self._call("Target.createTarget", {"url": "about:blank"})["targetId"]
        self.session = self._call("Target.attachToTarget",
                                  {"targetId": target, "flatten": True})["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def _receive(self, limit):
        while b"\0" not in self.buffer:
            assert select.select([self.answers], [], [], max(0, limit - time.monotonic()))[0], \
                "the browser does not answer"
            part = os.read(self.answers, 1 << 20)
            assert part, "the browser has ended"
            self.buffer += part
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def _call(self, method, params=None, session=None):
        self.last += 1
        command = {"id": self.last, "method": method, "params": params or {}}
        if session:
            command["sessionId"] = session
        os.write(self.to, json.dumps(command).encode() + b"\0")
        limit = time.monotonic() + SECONDS
        while True:
            message = self._receive(limit)
            if message.get("id") == self.last:
                assert "error" not in message, message
                return message["result"]
            if message.get("method") in ("Log.entryAdded", "Runtime.exceptionThrown",
                                         "Runtime.consoleAPICalled",
                                         "Page.javascriptDialogOpening"):
                self.said.append(message)

    def call(self, method, **params):
        return self._call(method, params, self.session)

    def open(self, url):
        self.call("Page.navigate", url=url)
        self.wait_for("document.readyState === 'complete' && location.href !== 'about:blank'")

    def size(self, width, height, dark=False, phone=False):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=1, mobile=phone)
        self.call("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def run(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def wait_for(self, expression, seconds=20):
        limit = time.monotonic() + seconds
        while not self.run(expression):
            assert time.monotonic() < limit, \
                f"never: {expression}\n{self.run('document.body.innerText')}\n{self.said}"
            time.sleep(0.05)

    def shot(self, path):
        image = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(image["data"]))

    def end(self):
        os.close(self.to)  # it ends when nobody drives it any more
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(timeout=10)
        os.close(self.answers)
        self.log.close()
