"""The campaign's receiver of webhooks, which knows nothing of Furrow: ``python -m furrow.prove.sink PORT SEED``.

Of some deliveries it answers the first request badly: with 500, slowly, or not at all; any other well. It writes each request
down before it answers.
"""

import base64
import hashlib
import hmac
import json
import os
import random
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from furrow.prove.records import Record

#: Names the secret that requests are signed with, in the environment.
SECRET = "FURROW_PROVE_WEBHOOK_SECRET"  # noqa: S105 - the name of it
#: How often of a hundred times the first request is answered so; and for how many seconds it waits with that.
FAILS, SLOW, SILENT = 10, 4, 1
WAITS = {"slow": 3.0, "silent": 12.0}

journal = Record("posted")


class Sink(ThreadingHTTPServer):
    """See the module."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, port: int, seed: str, secret: str) -> None:
        super().__init__(("127.0.0.1", port), Receiver)
        self.key = base64.b64decode(secret.removeprefix("whsec_"))
        self._seed = seed
        self._known: set[str] = set()
        self._lock = threading.Lock()

    def note(self, id: str, event: int, good: bool) -> str:
        """Write a request down, and say how it is answered: ``well``, ``badly``, ``slow``, ``silent``."""
        roll = random.Random(f"{self._seed}:{id}").randrange(100)  # noqa: S311 - no secret
        with self._lock:
            first = id not in self._known
            self._known.add(id)
            answer = "well"
            if first and roll < FAILS + SLOW + SILENT:
                answer = "badly" if roll < FAILS else "slow" if roll < FAILS + SLOW else "silent"
            journal.write(did="posted", id=id, event=event, good=good, answer=answer)
        return answer


class Receiver(BaseHTTPRequestHandler):
    """One request."""

    server: Sink

    def do_POST(self) -> None:
        """Take a delivery."""
        body = self.rfile.read(int(self.headers["content-length"]))
        id, at, said = (self.headers[f"webhook-{name}"] or "" for name in ("id", "timestamp", "signature"))
        signed = hmac.new(self.server.key, f"{id}.{at}.".encode() + body, hashlib.sha256).digest()
        good = hmac.compare_digest(said, "v1," + base64.b64encode(signed).decode())
        answer = self.server.note(id, int(json.loads(body)["id"]), good)
        time.sleep(WAITS.get(answer, 0.0))
        if answer != "silent":
            self.send_response(500 if answer == "badly" else 204)
            self.end_headers()

    def log_message(self, *args: object) -> None:
        """The record has it."""


if __name__ == "__main__":
    Sink(int(sys.argv[1]), sys.argv[2], os.environ[SECRET]).serve_forever()
