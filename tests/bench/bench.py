# SPDX-License-Identifier: MIT
"""What bench/serve and bench/cost share: `serve` and nginx with one image, and what they use."""

import json
import os
import pathlib
import re
import resource
import signal
import socket
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build/release"


def run(*command, **more):
    return subprocess.run(list(map(str, command)), check=True, **more)


def prepare():
    run(ROOT / "scripts/deps", "build", "firmware", "bench")
    run("cmake", "--preset", "release", "-DBUILD_TESTING=ON", cwd=ROOT, stdout=subprocess.DEVNULL)
    run("cmake", "--build", "--preset", "release", "--target", "espimagetool", "espimage_server",
        "bench_readers", "--", "--quiet", cwd=ROOT)


def make_image(work, elf=None):
    """app1.elf for `serve` and www/user1.bin for nginx: the same image. Its size."""
    os.chmod(work, 0o755)
    if elf:
        (work / "app1.elf").write_bytes(pathlib.Path(elf).read_bytes())
    else:
        run("make", "-s", "-C", ROOT / "examples/firmware", f"OUT={work}/fw", "PAD_KB=408",
            work / "fw/1MB.app1.elf")
        (work / "fw/1MB.app1.elf").rename(work / "app1.elf")
    (work / "www").mkdir()
    run(BUILD / "src/espimagetool", "convert", "--flash-size", "1MB", "-o",
        work / "www/user1.bin", work / "app1.elf")
    return (work / "www/user1.bin").stat().st_size


class Server:
    """A server with its children: what it has used."""

    def __init__(self, name, command, port, cwd):
        self.name, self.port = name, port
        with open(cwd / f"{name}.log", "wb") as log:
            self.process = subprocess.Popen(command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=subprocess.STDOUT)

    def pids(self):
        out = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True,
                             check=False).stdout
        return [self.process.pid, *map(int, out.split())]

    def processor_seconds(self):
        """By the clocks that clock_getcpuclockid(3) names: they count nanoseconds, not ticks, and
        threads that ended, too."""
        return sum(time.clock_gettime(~pid << 3 | 2) for pid in self.pids())

    def memory(self):
        """Proportional set size, so that what workers share counts once; bytes."""
        total = 0
        for pid in self.pids():
            text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
            total += int(re.search(r"^Pss:\s+(\d+)", text, re.M).group(1)) * 1024
        return total

    def wait(self):
        """Until it answers; it has sent the image once then."""
        for _ in range(100):
            if subprocess.run(["curl", "-sfo", "/dev/null",
                               f"http://127.0.0.1:{self.port}/user1.bin"],
                              check=False).returncode == 0:
                return
            time.sleep(0.1)
        sys.exit(f"{self.name} does not answer")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


NGINX = """
daemon off; worker_processes {workers}; worker_rlimit_nofile {files}; pid {work}/nginx.pid;
error_log {work}/nginx-error.log;
events {{ worker_connections {connections}; multi_accept on; }}
http {{
  access_log {work}/nginx-access.log;
  client_body_temp_path {work}/t1; proxy_temp_path {work}/t2; fastcgi_temp_path {work}/t3;
  uwsgi_temp_path {work}/t4; scgi_temp_path {work}/t5;
  sendfile on; tcp_nopush on; keepalive_timeout {keepalive};
  open_file_cache max=10;
  server {{ listen 127.0.0.1:{port} backlog=4096; root {work}/www; }}
}}
"""


def start_nginx(work, keepalive=0, name="nginx"):
    port = free_port()
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    conf = work / f"{name}.conf"
    conf.write_text(NGINX.format(work=work, port=port, workers=os.cpu_count(), files=files,
                                 connections=min(files - 64, 16000), keepalive=keepalive))
    nginx = "/usr/sbin/nginx" if os.path.exists("/usr/sbin/nginx") else "nginx"
    return Server(name, [nginx, "-e", str(work / "nginx-error.log"), "-c", str(conf)], port, work)


def start_serve(work):
    port = free_port()
    return Server("serve", [str(BUILD / "src/espimagetool"), "serve", "--bind", "127.0.0.1",
                            "--port", str(port), "--flash-size", "1MB", "app1.elf"], port, work)


def kernel_memory():
    """What the kernel holds for all TCP sockets of this machine, both ends on loopback; bytes."""
    text = pathlib.Path("/proc/net/sockstat").read_text()
    return int(re.search(r"^TCP:.* mem (\d+)", text, re.M).group(1)) * resource.getpagesize()


def readers(server, work, count, **options):
    """Lets so many devices fetch the image; what bench_readers found, and what the server used."""
    command = [str(BUILD / "tests/bench/bench_readers"), "127.0.0.1", str(server.port), "/user1.bin",
               str(work / "www/user1.bin"), "--readers", str(count)]
    for key, value in options.items():
        command += [f"--{key}", str(value)]
    before = server.processor_seconds()
    kernel_before = kernel_memory()
    memory = kernel = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            memory = max(memory, server.memory())
            kernel = max(kernel, kernel_memory() - kernel_before)
            time.sleep(0.2)
        result = json.loads(process.stdout.read())
    result["memory"] = memory
    result["kernel"] = kernel
    result["processor"] = server.processor_seconds() - before
    return result
