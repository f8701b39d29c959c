# SPDX-License-Identifier: MIT
"""serve and SDK 2.0.0, which sends HEAD with the length of GET's text: the last LF of
`Connection: close` never comes, and zero bytes follow `keep-alive`."""

import time

import pytest

import server as server_module
from server import Answer, nothing_more, read_to_end

UNFINISHED = b"HEAD /user%d.bin HTTP/1.0\r\nConnection: close\r\n\r"
AT_ONCE = 2.0  # seconds; a server that waits for the LF does so for 30


def as_sdk2_sends(get_text):
    """The HEAD of SDK 2.0.0 for the text of a GET."""
    head = get_text.replace(b"GET", b"HEAD").replace(b"keep-alive", b"close")
    return head[:len(get_text)].ljust(len(get_text), b"\0")


def ask(server, request, behind=b"", pause=0.0):
    """The answer to HEAD, which comes before what follows the request after a pause."""
    with server.connect() as s:
        began = time.monotonic()
        s.sendall(request)
        got = s.recv(4096)
        assert time.monotonic() - began < AT_ONCE
        if behind:
            time.sleep(pause)
            s.sendall(behind)
        return Answer(got + read_to_end(s), head=True)


@pytest.fixture(scope="module")
def server(firmware, tmp_path_factory):
    one = server_module.Server(firmware.path("1MB.app1"), cwd=tmp_path_factory.mktemp("sdk2"))
    yield one
    assert one.stop() == 0
    assert one.err() == ""


@pytest.fixture(scope="module")
def image(server):
    return server.get("/user1.bin").body


def test_the_requests():
    get = b"GET /user1.bin HTTP/1.0\r\nConnection: %s\r\n\r\n"
    assert as_sdk2_sends(get % b"close") == UNFINISHED % 1
    assert as_sdk2_sends(get % b"close" + b"\r") == UNFINISHED % 1 + b"\n"
    assert as_sdk2_sends(get % b"keep-alive") == UNFINISHED % 1 + b"\n" + bytes(4)


def test_answered_without_the_last_lf(server, image):
    answer = ask(server, UNFINISHED % 1)
    assert (answer.status, answer.length) == (200, len(image))
    assert server.ask(b"GET /user1.bin HTTP/1.0\r\nConnection: close\r\n\r\n").body == image


@pytest.mark.parametrize("behind", [b"\n", b"\n" + bytes(4), bytes(4)])
@pytest.mark.parametrize("pause", [0, 0.3])
def test_what_follows_is_drained(server, image, behind, pause):
    answer = ask(server, UNFINISHED % 1, behind, pause)
    assert (answer.status, answer.length) == (200, len(image))


def test_zero_bytes_in_the_segment_of_the_request(server, image):
    answer = ask(server, UNFINISHED % 1 + b"\n" + bytes(4))
    assert (answer.status, answer.length) == (200, len(image))


def test_get_with_a_late_lf(server, image):
    """What any client may do: the image is sent, and its LF is drained."""
    with server.connect() as s:
        s.sendall(b"GET /user1.bin HTTP/1.0\r\n\r")
        time.sleep(0.1)
        s.sendall(b"\n")
        assert Answer(read_to_end(s)).body == image


@pytest.mark.parametrize("target", [b"/user2.bin", b"/firmware.bin"])
def test_other_targets_end_at_once(server, target):
    """A device that asks for what is not there stops at once at a length of 0."""
    request = (UNFINISHED % 1).replace(b"/user1.bin", target)
    answer = ask(server, request)
    assert (answer.status, answer.length) == (404, 0)
    assert answer.field("X-Espimage-Reason")
    server.wait_for(rf"HEAD {target.decode()} .*404")


def test_the_page_with_a_late_lf(server):
    """For browsers, which send it."""
    with server.connect() as s:
        s.sendall(b"HEAD / HTTP/1.0\r\n\r")
        time.sleep(0.1)
        s.sendall(b"\n")
        assert read_to_end(s).startswith(b"HTTP/1.1 200 OK\r\n")


def test_path_token(serve, firmware):
    server = serve("--path-token", "0123456789abcdef", firmware.path("1MB.app1"))
    request = UNFINISHED % 1
    answer = ask(server, request)
    assert (answer.status, answer.length) == (404, 0)
    assert ask(server, request.replace(b"/user1", b"/0123456789abcdef/user1")).status == 200


def test_a_path_of_512_bytes(serve, firmware):
    server = serve(firmware.path("1MB.app1"))
    get = b"GET /%s/user1.bin HTTP/1.0\r\nConnection: close\r\n\r\n" % (b"p" * 450)
    assert len(get) < 512
    assert ask(server, as_sdk2_sends(get)).status == 200


# ---- an ELF that has changed ----

@pytest.fixture
def elf(tmp_path, firmware):
    path = tmp_path / "firmware.elf"
    path.write_bytes(firmware.path("1MB.app1").read_bytes())
    return path


def test_converted_first(serve, elf, firmware, image):
    server = serve(elf)
    elf.write_bytes(firmware.path("1MB.app1").read_bytes())
    answer = ask(server, UNFINISHED % 1)
    assert (answer.status, answer.length) == (200, len(image))


def test_half_written_elf_is_completed_in_time(serve, elf, firmware, image):
    server = serve(elf)
    whole = firmware.path("1MB.app1").read_bytes()
    elf.write_bytes(whole[:len(whole) // 2])
    with server.connect() as s:
        s.sendall(UNFINISHED % 1)
        time.sleep(0.5)
        assert nothing_more(s, 0), "it waits"
        with open(elf, "ab") as file:
            file.write(whole[len(whole) // 2:])
        answer = Answer(read_to_end(s), head=True)
    assert (answer.status, answer.length) == (200, len(image))


def test_half_written_elf(serve, elf, firmware):
    server = serve(elf)
    elf.write_bytes(firmware.path("1MB.app1").read_bytes()[:5000])
    with server.connect() as s:
        began = time.monotonic()
        s.sendall(UNFINISHED % 1)
        answer = Answer(read_to_end(s), head=True)
    assert time.monotonic() - began < 6
    assert (answer.status, answer.length) == (503, 0)
    assert answer.field("Retry-After") == "2"
    assert str(elf) not in answer.header.decode()
    assert server.stop() == 0


def test_stopped_while_it_waits(serve, elf, firmware):
    server = serve("--drain", "0", elf)
    elf.write_bytes(firmware.path("1MB.app1").read_bytes()[:5000])
    with server.connect() as s:
        s.sendall(UNFINISHED % 1)
        time.sleep(0.3)
        assert server.stop() == 0
