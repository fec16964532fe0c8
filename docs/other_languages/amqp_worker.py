"""A worker that asks over AMQP, and knows neither Django, Celery nor Furrow's code. It needs the package pika.

AMQP_URL=amqp://user:password@example.com python amqp_worker.py
"""

import json
import os
import queue
import signal
import socket
import sys
import threading
import time
import traceback
import uuid

import pika

SLOTS, WAIT = int(os.environ.get("FURROW_SLOTS", "4")), 5
#: Seconds until a request without an answer is sent again.
PATIENCE = 30
NAME = f"{os.environ.get('FURROW_NAME', 'python')}@{socket.gethostname()}"


class Stopped(Exception):
    """The run shall end: its text is the outcome to tell, or "lost"."""


class Refused(Exception):
    """The run is over, or the request makes no sense: never send it again."""


class Link(threading.Thread):
    """The connection to RabbitMQ, which one thread uses: others give it requests, and wait for the answers."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.requests: queue.Queue = queue.Queue()
        self.asked: dict[str, queue.Queue] = {}

    def ask(self, kind: str, body: dict) -> dict:
        """Ask until there is an answer."""
        while True:
            id, answers = str(uuid.uuid4()), queue.Queue()
            self.asked[id] = answers
            self.requests.put((id, kind, json.dumps(body).encode()))
            try:
                said, answer = answers.get(timeout=PATIENCE)
            except queue.Empty:
                continue
            finally:
                del self.asked[id]
            if said == "done":
                return json.loads(answer)
            if said == "again":
                time.sleep(2)
            elif said:
                raise Refused(json.loads(answer)["error"])

    def run(self) -> None:
        while True:
            try:
                with pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"])) as connection:
                    self.serve(connection)
            except (pika.exceptions.AMQPError, OSError) as error:
                print(f"RabbitMQ is away: {error!r}", flush=True)
            time.sleep(1)
            for answers in list(self.asked.values()):
                answers.put(("", b""))  # ask again

    def serve(self, connection: pika.BlockingConnection) -> None:
        channel = connection.channel()
        mine = channel.queue_declare("", exclusive=True).method.queue
        channel.basic_consume(mine, self.heard, auto_ack=True)
        while channel.is_open:  # RabbitMQ closes it while there is no exchange furrow.work
            connection.process_data_events(0.02)
            while not self.requests.empty():
                id, kind, body = self.requests.get()
                if id not in self.asked:
                    continue  # asked again since
                about = {"type": kind, "correlation_id": id, "reply_to": mine, "expiration": str(PATIENCE * 1000)}
                channel.basic_publish("furrow.work", "", body, pika.BasicProperties(**about))

    def heard(self, channel: object, method: object, properties: pika.BasicProperties, body: bytes) -> None:
        if answers := self.asked.get(properties.correlation_id):
            answers.put((properties.type, body))


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
        link.ask("log", {"lines": [self.name | {"message": message, "level": level}]})

    def progress(self, fraction: float, note: str = "") -> None:
        link.ask("progress", {"runs": [self.name | {"fraction": fraction, "note": note}]})


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
link = Link()
running: dict[tuple[str, int], Run] = {}
worker: str | None = None
stopping, changed = threading.Event(), threading.Condition()


def perform(run: Run) -> None:
    try:
        end = {"outcome": "succeeded", "result": HANDLERS[run.job["kind"]](run)}
    except (Stopped, Refused) as stop:
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
            link.ask("finish", {"runs": [{**run.name, **end}]})
    except Refused as refused:
        print(f"refused: {refused}", flush=True)
    with changed:  # only now: heartbeats name a run until its end was answered
        del running[run.key]
        changed.notify()


def beat(lease: float) -> None:
    while True:
        time.sleep(lease / 3)
        runs = list(running.values())
        pulse = link.ask("heartbeat", {"worker": worker, "runs": [run.name for run in runs]})
        for run in runs:
            if run.name in pulse["lost"] or not pulse["lives"]:
                run.stop = "lost"
            elif run.name in pulse["cancelled"]:
                run.stop = "cancelled"
        if pulse["stop"]:
            shut_down()


def shut_down(*signal: object) -> None:
    stopping.set()  # the claim that waits is answered soon
    for run in list(running.values()):
        run.stop = run.stop or "interrupted"


def main() -> None:
    global worker
    signal.signal(signal.SIGTERM, shut_down)
    link.start()
    about = {
        "name": NAME,
        "kinds": list(HANDLERS),
        "processes": SLOTS,
        "pid": os.getpid(),
        "version": f"Python {sys.version[:6]}",
    }
    beating = False
    while not stopping.is_set():
        answer = link.ask("claim", {**about, "worker": worker, "limit": SLOTS - len(running), "wait": WAIT})
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
    link.ask("leave", {"worker": worker})


if __name__ == "__main__":
    main()
