# SPDX-License-Identifier: MIT
"""Command lines run as a reader of a page would run them, on free ports."""

import http.client
import os
import re
import signal
import socket
import subprocess
import urllib.request

from pages import PROGRAM, TIMEOUT


def environment():
    path = f"{PROGRAM.resolve().parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path}


def plain_example(command, cwd):
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], cwd=cwd, text=True,
                          env=environment(), capture_output=True, timeout=TIMEOUT, check=False)
    return done.returncode, done.stderr, None


def serve_example(command, cwd):
    """As printed, but on a free port; fetched as a device does, ended by Ctrl-C or --once."""
    free = re.sub(r"(-p|--port|--OTA) \d+", r"\1 0", command)
    if free == command:
        free += " --port 0"
    with subprocess.Popen(["bash", "-c", f"exec {free}"], cwd=cwd, env=environment(), text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as server:
        try:
            image = None
            port = None
            for line in server.stdout:
                port = re.search(r"(?:^Serving on port |\"port\":)(\d+)", line) or port
                if "/user1.bin" in line:
                    break
            else:
                return server.wait(TIMEOUT), server.stderr.read(), None
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port[1]}/user1.bin",
                                            timeout=TIMEOUT) as answer:
                    image = answer.read()
            except (OSError, http.client.HTTPException) as error:
                return None, f"no image: {error}", None
            if "--once" not in command and "--OTA" not in command:
                server.send_signal(signal.SIGINT)
            return server.wait(TIMEOUT), server.stderr.read(), image
        finally:
            server.kill()


def probe_example(command, cwd):
    """As printed, against a server that the test starts."""
    with subprocess.Popen(["bash", "-c", "exec espimagetool serve --port 0 app1.elf app2.elf"],
                          cwd=cwd, env=environment(), text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL) as server:
        try:
            for line in server.stdout:
                port = re.search(r"^Serving on port (\d+)", line)
                if port:
                    break
            return plain_example(command.replace(":8888/", f":{port[1]}/"), cwd)
        finally:
            server.kill()


def simulate_example(command, cwd):
    """As printed, but on free ports; with a server, or ended by Ctrl-C when it has booted."""
    free = command + " --page-port 0 --trigger-port 0"
    if "--server" in command:
        status, stderr, _ = probe_example(free.replace(":8888", ":8888/"), cwd)
        return status, stderr, None
    with subprocess.Popen(["bash", "-c", f"exec {free}"], cwd=cwd, env=environment(), text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as device:
        try:
            booted = any("runs in slot user1" in line for line in device.stdout)
            device.send_signal(signal.SIGINT)
            return device.wait(TIMEOUT) if booted else None, device.stderr.read(), None
        finally:
            device.kill()


def push_example(command, cwd):
    """As printed, but to one simulated device in place of the list, and from a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    start = ("exec espimagetool simulate --load app1.elf --page-port 0 --trigger-port 0"
             f" --server http://127.0.0.1:{port}")
    with subprocess.Popen(["bash", "-c", start], cwd=cwd, env=environment(), text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as device:
        try:
            ports = {}
            for line in device.stdout:
                found = re.search(r"^(page on \S+:|trigger on port )(\d+)", line)
                if found:
                    ports[found[1].split()[0]] = found[2]
                if "runs in slot user1" in line:
                    break
            there = f"--via tcp:{ports['trigger']} --page http://{{device}}:{ports['page']}/ 127.0.0.1"
            return plain_example(re.sub(r"@\S+", there + f" --port {port}", command), cwd)
        finally:
            device.kill()


def serves(command):
    return command.startswith(("espimagetool serve ", "espimagetool --OTA "))


def runner(command):
    if serves(command):
        return serve_example
    if command.startswith("espimagetool simulate ") and "--resets" not in command:
        return simulate_example
    if command.startswith("espimagetool push "):
        return push_example
    return probe_example if command.startswith("espimagetool probe ") else plain_example
