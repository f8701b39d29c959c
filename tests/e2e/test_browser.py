# SPDX-License-Identifier: MIT
"""The page in a real browser. With ESPIMAGE_SHOTS=FOLDER it leaves screenshots there."""

import os
import pathlib
import socket

import pytest

import browser as browser_module
from server import read_to_end

pytestmark = pytest.mark.skipif(browser_module.PROGRAM is None,
                                reason="chromium not found (on Debian: apt-get install chromium; scripts/test --browser does)")

EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture
def browser(tmp_path):
    one = browser_module.Browser(tmp_path)
    yield one
    one.end()


def shot(browser, name):
    folder = os.environ.get("ESPIMAGE_SHOTS")
    if folder:
        browser.shot(pathlib.Path(folder) / f"{name}.png")


def device(server, address, request, receive_buffer=None):
    """A request from an address of its own."""
    s = socket.socket()
    s.settimeout(10)
    if receive_buffer:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    s.bind((address, 0))
    s.connect(("127.0.0.1", server.port))
    s.sendall(request + b" HTTP/1.0\r\n\r\n")
    return s


def whole(server, address, request):
    with device(server, address, request) as s:
        read_to_end(s)


def row(address):
    return f"document.querySelector('tr[data-key=\"{address}\"]')"


def test_page_lives(serve, firmware, tmp_path, browser):
    evil = firmware.copy("1MB.app1", tmp_path / f"{EVIL}.elf")
    app2 = firmware.copy("1MB.app2", tmp_path / "app2.elf")
    server = serve(evil, app2, "--bind", "127.0.0.1")
    browser.size(1200, 1000)
    browser.open(f"http://127.0.0.1:{server.port}/")
    browser.wait_for("document.getElementById('live').textContent === 'live'")
    assert browser.run("document.getElementById('slot-1').innerText").count(EVIL) == 1
    assert browser.run("getComputedStyle(document.querySelector('table')).display") == "none"

    # An update, a refusal, one that breaks off, one that goes on.
    whole(server, "127.0.0.2", b"GET /user2.bin")
    whole(server, "127.0.0.2", b"HEAD /user1.bin")
    browser.wait_for(f"{row('127.0.0.2')}?.innerText.includes('slot 2, build 1')")
    whole(server, "127.0.0.3", f"GET /{EVIL.replace(' ', '%20')}".encode())
    whole(server, "127.0.0.3", b"GET /<script>alert(2)</script>")
    browser.wait_for("document.getElementById('results').innerText.includes('<script>alert(2)')")
    with device(server, "127.0.0.4", b"GET /user1.bin", 2048) as s:
        s.recv(3000)
        browser.wait_for(f"{row('127.0.0.4')}?.querySelector('progress')?.value > 0")
    browser.wait_for(f"{row('127.0.0.4')}.innerText.includes('the client went away')")
    slow = device(server, "127.0.0.5", b"GET /user2.bin", 2048)
    got = len(slow.recv(3000))
    browser.wait_for(f"{row('127.0.0.5')}?.querySelector('progress')?.value > 0")
    while got < 20000:
        got += len(slow.recv(2048))
    browser.wait_for(f"{row('127.0.0.5')}.querySelector('progress').value > 15000")
    shot(browser, "desktop")
    browser.size(1200, 1000, dark=True)
    shot(browser, "desktop-dark")
    browser.size(390, 844, phone=True)
    assert browser.run("document.documentElement.scrollWidth") <= 390, "nothing to scroll sideways"
    shot(browser, "phone")
    browser.size(320, 600, dark=True, phone=True)
    assert browser.run("document.documentElement.scrollWidth") <= 320
    shot(browser, "phone-dark")
    browser.size(1200, 1000)
    read_to_end(slow)
    slow.close()
    browser.wait_for(f"{row('127.0.0.5')}.innerText.includes('delivered')")
    assert browser.run(f"{row('127.0.0.5')}.querySelector('progress')") is None

    # A rebuild shows by itself, and so does an ELF that is broken.
    width = "document.getElementById('image-2').getAttribute('width')"
    before = browser.run(width)
    app2.write_bytes(b"no ELF")
    browser.wait_for("document.getElementById('slot-2').innerText.includes('Refused')")
    shot(browser, "refused")
    assert browser.run(width) == before

    assert browser.run("document.querySelectorAll('img').length") == 0
    assert browser.run("document.querySelectorAll('script').length") == 1
    assert browser.said == [], "no error, no dialog, nothing that the policy refused"

    # What comes from the server with a fresh load is what the script has made.
    browser.open(f"http://127.0.0.1:{server.port}/?")
    assert "404" in browser.said[0]["params"]["entry"]["text"], "a query is none of the page's"


def texts(browser):
    return browser.run("['#devices', '#results'].map((id) => [...document.querySelectorAll("
                       "id + ' td')].map((e) => e.querySelector('time') ? '' : e.textContent))")


def test_script_and_server_say_the_same(serve, firmware, browser):
    server = serve(firmware.path("1MB.app1"), firmware.path("1MB.app2"), "--bind", "127.0.0.1")
    url = f"http://127.0.0.1:{server.port}/"
    browser.open(url)
    for request in (b"HEAD /user2.bin", b"GET /user2.bin", b"HEAD /user1.bin", b"GET /nothing",
                    b"GET /user1.bin", b"HEAD /user1.bin"):
        whole(server, "127.0.0.2", request)
    with device(server, "127.0.0.3", b"GET /user1.bin", 2048) as s:
        s.recv(3000)
        browser.wait_for(f"{row('127.0.0.3')}?.querySelector('progress')?.value > 0")
    server.wait_for("went away")
    browser.wait_for(f"{row('127.0.0.3')}.innerText.includes('went away')")
    live = texts(browser)
    parts = "['.slots', '#totals'].map((s) => [...document.querySelectorAll(s + ', ' + s + ' *')]" \
            ".filter((e) => !e.children.length && e.tagName != 'TIME').map((e) => e.textContent))"
    browser.wait_for("document.getElementById('totals').textContent.includes('broken off: 1')")
    seen = browser.run(parts)
    assert len(live[0]) == 12 and len(live[1]) >= 16
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    browser.open(url)
    browser.wait_for("document.getElementById('live').textContent.startsWith('as of')")
    still = texts(browser)
    assert sorted(still[0]) == sorted(live[0])
    assert still[1] == live[1]
    assert browser.run(parts) == seen and "Updated: 1, not taken: 1." in seen[1][0]


def test_server_comes_back(serve, firmware, browser):
    server = serve(firmware.path("1MB.app1"), "--bind", "127.0.0.1")
    browser.open(f"http://127.0.0.1:{server.port}/")
    live = "document.getElementById('live')?.textContent"
    browser.wait_for(f"{live} === 'live'")
    server.stop()
    browser.wait_for(f"{live} === 'not connected; trying again'")
    again = serve(firmware.path("1MB.app2"), "--bind", "127.0.0.1", "--port", str(server.port))
    assert again.port == server.port
    browser.wait_for("document.getElementById('slot-2')?.innerText.includes('1MB.app2.elf')", 30)
    browser.wait_for(f"{live} === 'live'")
