# SPDX-License-Identifier: MIT
"""Running the program and looking at what it said."""

import json
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("ESPIMAGETOOL", str(ROOT / "build/dev/src/espimagetool"))
TIMEOUT = 30

OK, NOT_ALL, USAGE, BAD_INPUT, NO_INPUT, UNAVAILABLE, NO_CREATE, IO = 0, 1, 2, 65, 66, 69, 73, 74


class Result:
    def __init__(self, done):
        self.status = done.returncode
        self.raw = done.stdout
        self.out = done.stdout.decode("utf-8", "surrogateescape")
        self.err = done.stderr.decode("utf-8", "surrogateescape")
        self.errors = self.err.splitlines()

    def json(self):
        return json.loads(self.raw.decode("utf-8"))

    def __repr__(self):
        return f"status {self.status}\nstdout: {self.out[:2000]}\nstderr: {self.err[:2000]}"


class Tool:
    def __init__(self, cwd):
        self.cwd = pathlib.Path(cwd)

    def __call__(self, *args, cwd=None, env=None, timeout=TIMEOUT, stdout=subprocess.PIPE,
                 stdin=subprocess.DEVNULL):
        environment = dict(os.environ, **(env or {}))
        done = subprocess.run([PROGRAM, *args], cwd=cwd or self.cwd, env=environment, stdin=stdin,
                              stdout=stdout, stderr=subprocess.PIPE, timeout=timeout, check=False)
        if done.stdout is None:
            done.stdout = b""
        result = Result(done)
        assert result.status >= 0, f"ended by signal {-result.status}: {args}\n{result}"
        assert "Sanitizer" not in result.err and "runtime error" not in result.err, result.err
        return result

    def ok(self, *args, **kwargs):
        """Runs what must succeed without a word on stderr."""
        result = self(*args, **kwargs)
        assert result.status == OK and result.err == "", result
        return result

    def files(self):
        return sorted(str(p.relative_to(self.cwd)) for p in self.cwd.rglob("*") if not p.is_dir())


def assert_refused(result, status, *words):
    """One line on stderr, in the form `espimagetool: ...`, that holds these words."""
    assert result.status == status, result
    assert len(result.errors) == 1, result
    assert result.errors[0].startswith("espimagetool: "), result
    for word in words:
        assert word in result.errors[0], f"{word!r} is missing\n{result}"


class Hex:
    """A hex string of that many digits."""

    def __init__(self, digits):
        self.digits = digits


class Maybe:
    """Null, or as described."""

    def __init__(self, shape):
        self.shape = shape


def assert_shape(value, shape, where="$", optional=()):
    """A JSON value against its description: {} exact keys, [x] any number of x, types, values."""
    if isinstance(shape, Maybe):
        if value is not None:
            assert_shape(value, shape.shape, where, optional)
    elif isinstance(shape, dict):
        assert isinstance(value, dict), where
        assert set(value) - set(optional) == set(shape) - set(optional), where
        for key in value:
            assert_shape(value[key], shape[key], f"{where}.{key}", optional)
    elif isinstance(shape, list):
        assert isinstance(value, list), where
        for i, item in enumerate(value):
            assert_shape(item, shape[0], f"{where}[{i}]", optional)
    elif isinstance(shape, Hex):
        assert isinstance(value, str) and value.startswith("0x"), where
        assert len(value) >= 2 + shape.digits and int(value, 16) >= 0, where
    elif isinstance(shape, set):
        assert value in shape, f"{where}: {value!r}"
    elif isinstance(shape, type):
        assert type(value) is shape, f"{where}: {value!r}"  # bool is no int here
    else:
        assert value == shape, f"{where}: {value!r}"
