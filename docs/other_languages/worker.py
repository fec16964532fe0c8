"""A worker that knows Furrow's HTTP protocol, and neither Django, Celery nor Furrow's code: the standard library is enough.

FURROW_URL=https://example.com/api FURROW_TOKEN=fw_… python worker.py
"""

import json
import os
import signal
import socket
import sys
import threading
import time
import traceback
import urllib.error
import urllib.request

URL, TOKEN = os.environ["FURROW_URL"].rstrip("/"), os.environ["FURROW_TOKEN"]
SLOTS, WAIT = int(os.environ.get("FURROW_SLOTS", "4")), 5
NAME = f"{os.environ.get('FURROW_NAME', 'python')}@{socket.gethostname()}"


class Stopped(Exception):
    """The run shall end: its text is the outcome to tell, or "lost"."""


class Stale(Exception):
    """409: the run is over, whatever this worker did. Never send it again."""


def post(path: str, body: dict) -> dict:
    """Ask until there is an answer; only a refusal is no reason to ask again."""
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    while True:
        request = urllib.request.Request(f"{URL}/work/{path}", json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            text = error.read().decode(errors="replace")
            if error.code == 409:
                raise Stale(text) from None
            if error.code not in (429, 500, 502, 503, 504):
                print(f"{path} is refused: {text}", flush=True)
                os._exit(1)
            pause = float(error.headers.get("Retry-After") or 1)
        except OSError:
            pause = 1.0
            if stopping.is_set():
                os._exit(1)
        time.sleep(pause)


class Run:
    """One attempt of one job, as its handler sees it."""

    def __init__(self, job: dict) -> None:
        self.job, self.arguments, self.stop = job, job["arguments"], ""
        self.key = job["id"], job["attempt"]
        self.name = {"id": job["id"], "attempt": job["attempt"]}
        self.until = time.monotonic() + (job["timeout"] or 10**9)

    def check(self) -> None:
        """Call it often: stops the handler when the run is cancelled, lost, timed out, or the worker shuts down."""
        if time.monotonic() > self.until:
            self.stop = self.stop or "timed out"
        if self.stop:
            raise Stopped(self.stop)

    def log(self, message: str, level: str = "info") -> None:
        post("log", {"lines": [self.name | {"message": message, "level": level}]})

    def progress(self, fraction: float, note: str = "") -> None:
        post("progress", {"runs": [self.name | {"fraction": fraction, "note": note}]})


def count_words(run: Run) -> dict:
    words = run.arguments["text"].split()
    run.log(f"Counting in Python, for {run.arguments['seconds']:g} s")
    end = time.monotonic() + run.arguments["seconds"]
    while time.monotonic() < end:
        run.check()
        time.sleep(0.05)
    if not words:
        raise ValueError("there are no words")
    run.progress(1, "counted")
    return {"words": len(words)}


HANDLERS = {"words.count": count_words}
running: dict[tuple[str, int], Run] = {}
worker: str | None = None
stopping, changed = threading.Event(), threading.Condition()


def perform(run: Run) -> None:
    try:
        end = {"outcome": "succeeded", "result": HANDLERS[run.job["kind"]](run)}
    except (Stopped, Stale) as stop:
        end = {"outcome": str(stop) if isinstance(stop, Stopped) else "lost"}
    except Exception as error:
        end = {
            "outcome": "failed",
            "error": str(error),
            "error_type": type(error).__name__,
            "traceback": traceback.format_exc(),
        }
    try:
        if end["outcome"] != "lost":
            post("finish", {"runs": [{**run.name, **end}]})
    except Stale as refused:
        print(f"refused: {refused}", flush=True)
    with changed:  # only now: heartbeats name a run until its end was answered
        del running[run.key]
        changed.notify()


def beat(lease: float) -> None:
    while True:
        time.sleep(lease / 3)
        runs = list(running.values())
        pulse = post("heartbeat", {"worker": worker, "runs": [run.name for run in runs]})
        for run in runs:
            if run.name in pulse["lost"] or not pulse["lives"]:
                run.stop = "lost"
            elif run.name in pulse["cancelled"]:
                run.stop = "cancelled"
        if pulse["stop"]:
            shut_down()


def shut_down(*signal: object) -> None:
    stopping.set()  # the claim that waits is answered soon
    late = threading.Timer(25, os._exit, [1])  # or never: then the lease ends by itself
    late.daemon = True
    late.start()
    for run in list(running.values()):
        run.stop = run.stop or "interrupted"


def main() -> None:
    global worker
    signal.signal(signal.SIGTERM, shut_down)
    about = {
        "name": NAME,
        "kinds": list(HANDLERS),
        "processes": SLOTS,
        "pid": os.getpid(),
        "version": f"Python {sys.version[:6]}",
    }
    beating = False
    while not stopping.is_set():
        answer = post("claim", {**about, "worker": worker, "limit": SLOTS - len(running), "wait": WAIT})
        worker = answer["worker"]
        for job in answer["jobs"]:
            run = Run(job)
            running[run.key] = run
            threading.Thread(target=perform, args=[run], daemon=True).start()
        if not beating:
            threading.Thread(target=beat, args=[answer["lease"]], daemon=True).start()
            beating = True
        with changed:
            while len(running) >= SLOTS and not stopping.is_set():
                changed.wait(1)
    shut_down()  # also what came with the last claim
    with changed:
        changed.wait_for(lambda: not running, timeout=20)
    post("leave", {"worker": worker})


if __name__ == "__main__":
    main()
