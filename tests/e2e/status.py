# SPDX-License-Identifier: MIT
"""A server's status, and its events as they come."""

import http.client
import json
import threading
import time


class Page:
    """One answer of the status side: it has no length, so it is read as HTTP/1.1 is."""

    def __init__(self, server, target, method="GET", host=None):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        connection.request(method, target, headers={"Host": host} if host else {})
        answer = connection.getresponse()
        self.status = answer.status
        self.fields = {name.lower(): value for name, value in answer.getheaders()}
        self.body = answer.read()
        self.text = self.body.decode("utf-8")
        connection.close()


def status(server):
    return json.loads(Page(server, "/status.json").text)


class Events:
    """A listener in a thread of its own; `list` holds (name, data, when), comments as None."""

    def __init__(self, server):
        self.list = []
        self.changed = threading.Condition()
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        self.connection.request("GET", "/events", headers={"Accept": "text/event-stream"})
        self.answer = self.connection.getresponse()
        self.ended = False
        self.thread = threading.Thread(target=self._read)
        self.thread.start()

    def _read(self):
        name = None
        while True:
            line = self.answer.readline().decode("utf-8").rstrip("\n")
            if line.startswith("event: "):
                name = line[7:]
            elif line.startswith("data: "):
                self._add(name, json.loads(line[6:]))
            elif line.startswith(":"):
                self._add(None, line)
            elif not line and self.answer.isclosed():
                break
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def _add(self, name, data):
        with self.changed:
            self.list.append((name, data, time.monotonic()))
            self.changed.notify_all()

    def wait_for(self, name, wanted=lambda data: True, seconds=20):
        def found():
            return [d for n, d, _ in self.list if n == name and wanted(d)]
        with self.changed:
            assert self.changed.wait_for(found, seconds), f"no such {name}: {self.list[-10:]}"
            return found()[0]

    def close(self):
        """Waits for the end of the stream."""
        self.thread.join(20)
        assert not self.thread.is_alive()
        self.connection.close()
