# SPDX-License-Identifier: MIT
"""completion: what bash, zsh and fish make of the scripts."""

import os
import pty
import re
import select
import shutil
import subprocess
import time

import pytest

from tool import PROGRAM

COMMANDS = ["serve", "push", "probe", "simulate", "convert", "info", "verify", "factory", "maps",
            "completion"]
SHELLS = {"bash": ["bash", "-n"], "zsh": ["zsh", "-n"], "fish": ["fish", "--no-execute"]}


def needs(shell):
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} not found (on Debian: apt-get install {shell})")


def option_help(tool, command):
    """{option: values or None} as the help has it."""
    options = {}
    for line in tool.ok(command, "--help").out.split("\nOptions:\n")[1].splitlines():
        found = re.match(r"  (?:-\w, )?--([a-z0-9-]+)", line)
        if found:
            last = found.group(1)
            options[last] = None
        elif re.match(r" {28}\S", line) and options:
            words = line.split()
            if all(re.fullmatch(r"[A-Za-z0-9_-]+", w) for w in words):
                options[last] = (options[last] or []) + words
    return options


@pytest.fixture
def script(tool):
    def write(shell, name=None):
        path = tool.cwd / (name or f"completion.{shell}")
        path.write_bytes(tool.ok("completion", shell).raw)
        return path
    return write


@pytest.mark.parametrize("shell", SHELLS)
def test_shell_can_parse_it(script, shell):
    needs(shell)
    done = subprocess.run([*SHELLS[shell], str(script(shell))], capture_output=True, text=True,
                          timeout=20, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_in_every_script(tool, script, command):
    options = option_help(tool, command)
    assert "help" in options
    bash = script("bash").read_text()
    (line,) = re.findall(rf"^ +{command}\) options='(.*)' ;;$", bash, re.MULTILINE)
    assert line.split() == [f"--{o}" for o in options]

    zsh = script("zsh").read_text()
    (part,) = re.findall(rf"^ {{8}}{command}\)\n(.*?);;$", zsh, re.MULTILINE | re.DOTALL)
    assert sorted(set(re.findall(r"--([a-z0-9-]+)[\[}]", part))) == sorted(options)

    fish = script("fish").read_text()
    assert re.findall(rf"__fish_seen_subcommand_from {command}' -l ([a-z0-9-]+)", fish) == \
        list(options)


# ---- bash ----

def bash_complete(script_path, cwd, *words):
    """What bash would offer for the last of the words."""
    program = ('source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
               '_espimagetool; printf "%s\\n" "${COMPREPLY[@]}"')
    done = subprocess.run(["bash", "--norc", "-c", program, "bash", str(script_path),
                           "espimagetool", *words], cwd=cwd, capture_output=True, text=True,
                          timeout=20, check=False)
    assert done.stderr == "" and done.returncode == 0, done.stderr
    return [line for line in done.stdout.splitlines() if line]


def test_bash(tool, script):
    needs("bash")
    path = script("bash")
    (tool.cwd / "folder").mkdir()
    (tool.cwd / "my app.elf").write_bytes(b"")
    (tool.cwd / "boot.bin").write_bytes(b"")

    def complete(*words):
        return bash_complete(path, tool.cwd, *words)

    assert complete("") == COMMANDS + ["--help", "--version"]
    assert complete("co") == ["convert", "completion"]
    assert complete("--v") == ["--version"]
    for command in COMMANDS:
        assert complete(command, "--") == [f"--{o}" for o in option_help(tool, command)]
    assert complete("convert", "--flash-s") == ["--flash-size"]
    assert complete("convert", "--profile", "e") == ["esptool", "espruino"]
    assert complete("verify", "x.bin", "--for", "ota") == ["ota2", "ota3"]
    assert complete("convert", "--out-dir", "") == ["folder"]
    assert complete("convert", "--boot", "bo") == ["boot.bin"]
    assert complete("convert", "-o", "bo") == ["boot.bin"]
    assert complete("serve", "--port", "") == []
    assert complete("serve", "--bind", "") == []
    assert "my app.elf" in complete("convert", "")
    assert complete("convert", "my") == ["my app.elf"]
    assert complete("info", "--json", "nothing") == []
    assert complete("push", "--canary", "2", "@bo") == ["@boot.bin"]
    assert complete("push", "bo") == ["boot.bin"]
    for command in COMMANDS:
        for option, values in option_help(tool, command).items():
            if values:
                assert complete(command, f"--{option}", "") == values, (command, option)


def test_bash_offers_the_shells(tool, script):
    needs("bash")
    assert bash_complete(script("bash"), tool.cwd, "completion", "") == ["bash", "zsh", "fish"]


# ---- fish ----

def fish_complete(script_path, cwd, line):
    env = dict(os.environ, HOME=str(cwd), XDG_CONFIG_HOME=str(cwd / "config"),
               XDG_DATA_HOME=str(cwd / "data"))
    done = subprocess.run(["fish", "--no-config", "-c", 'source $argv[1]; complete -C $argv[2]',
                           str(script_path), line], cwd=cwd, capture_output=True, text=True,
                          timeout=30, check=False, env=env)
    assert done.returncode == 0, done.stderr
    return [row.split("\t")[0] for row in done.stdout.splitlines()]


def test_fish(tool, script):
    needs("fish")
    path = script("fish")
    work = tool.cwd / "work"
    (work / "folder").mkdir(parents=True)
    (work / "app.elf").write_bytes(b"")

    def complete(line):
        return fish_complete(path, work, line)

    assert set(COMMANDS) <= set(complete("espimagetool "))
    assert complete("espimagetool conv") == ["convert"]
    for command in ("serve", "convert", "verify"):
        offered = {o for o in complete(f"espimagetool {command} --") if o.startswith("--")}
        assert offered == {f"--{o}" for o in option_help(tool, command)}, command
    assert complete("espimagetool convert --profile e") == ["espruino", "esptool"]
    assert "app.elf" in complete("espimagetool convert a")
    assert complete("espimagetool convert --out-dir f") == ["folder/"]


# ---- zsh ----

class Zsh:
    """An interactive zsh with its completion system, on a terminal of its own."""

    def __init__(self, folder, setup):
        (folder / ".zshrc").write_text(
            f"PROMPT='READY> '\nLISTMAX=1000\nfpath=({folder}/functions $fpath)\n"
            f"autoload -Uz compinit\ncompinit -u -d {folder}/dump\n{setup}\n")
        env = {"PATH": f"{os.path.dirname(PROGRAM)}:{os.environ['PATH']}", "TERM": "dumb",
               "HOME": str(folder), "ZDOTDIR": str(folder), "COLUMNS": "200", "LINES": "50"}
        pid, self.terminal = pty.fork()
        if pid == 0:
            os.chdir(folder)
            os.execvpe("zsh", ["zsh", "-d", "-i"], env)
        self.pid = pid
        self.read_until("READY> ")

    def read_until(self, text, seconds=20):
        limit = time.monotonic() + seconds
        got = ""
        while text not in got:
            left = limit - time.monotonic()
            assert left > 0, f"no {text!r} in {got!r}"
            if select.select([self.terminal], [], [], min(left, 0.2))[0]:
                got += os.read(self.terminal, 4096).decode("utf-8", "replace")
        return got

    def type(self, text):
        os.write(self.terminal, text.encode())

    def end(self):
        os.close(self.terminal)
        limit = time.monotonic() + 5
        while time.monotonic() < limit:
            if os.waitpid(self.pid, os.WNOHANG)[0]:
                return
            time.sleep(0.02)
        os.kill(self.pid, 9)
        os.waitpid(self.pid, 0)


@pytest.mark.parametrize("how", ["sourced", "autoloaded"])
def test_zsh(tool, script, how):
    """Both ways of installing it; the very first <TAB> must work."""
    needs("zsh")
    (tool.cwd / "functions").mkdir()
    name = "functions/_espimagetool" if how == "autoloaded" else "completion.zsh"
    path = script("zsh", name)
    zsh = Zsh(tool.cwd, f"source {path}" if how == "sourced" else "")
    try:
        zsh.type("espimagetool conve\t")
        zsh.read_until("espimagetool convert ", 5)
        zsh.type("--flash-s\t")
        zsh.read_until("--flash-size ", 5)
        zsh.type("2MB-\t")
        zsh.read_until("2MB-c1 ", 5)
        zsh.type("--irom\t")
        zsh.read_until("--irom-checksum ", 5)
    finally:
        zsh.end()
