"""Every event of every job, published for a queue outside, against the same jobs of which nobody wants to hear."""

import statistics
import time

from kombu import Connection

from benchmarks.cases import compare
from benchmarks.cases.bench import Bench
from benchmarks.cases.figures import Figure
from benchmarks.programs import ProgramFailed
from benchmarks.trial import say

JOBS, ROUNDS = 30_000, 3
#: The queue of a program outside, and seconds until the last event is published.
QUEUE, PATIENCE = "every_event", 120


class Told(Bench):
    """With a queue that is bound for every event. A round ends when all are published."""

    rates: list[float]  #: events/s of each round
    late: list[float]  #: seconds from the last job to the last event

    def stop(self) -> None:
        """The programs, once no event is left."""
        if self.dispatcher:
            self._published()
        super().stop()

    def _published(self) -> None:
        began = time.monotonic()
        while self._number("count(*)", "published_at IS NULL"):
            self.check()
            if time.monotonic() > began + PATIENCE:
                raise ProgramFailed(f"Events are left after {PATIENCE} s; logs in {self.folder / 'log'}")
            time.sleep(0.02)
        self.late.append(time.monotonic() - began)
        self.rates.append(self._number("count(*) / extract(epoch FROM max(published_at) - min(published_at))", "true"))
        self.link.execute("TRUNCATE furrow_event")
        with Connection(self.servers.broker.url) as broker:
            broker.channel().queue_purge(QUEUE)
        say(f"  {self.rates[-1]:,.0f} events/s, the last {self.late[-1]:.1f} s after the last job")

    def _number(self, what: str, where: str) -> float:
        row = self.link.execute(f"SELECT {what} FROM furrow_event WHERE {where}".encode()).fetchone()
        return float(row[0]) if row else 0.0


def run(bench: Bench) -> list[Figure]:
    """Two databases of one server, by turns. In the second's first round the submits have no event: the triggers come then."""
    told = Told(bench.servers, bench.folder, scale=bench.scale, database="events")
    told.rates, told.late = [], []
    told.env["FURROW_EVENTS"] = "job.#"
    with Connection(bench.servers.broker.url) as broker, broker.channel() as channel:
        channel.exchange_declare("furrow.events", "topic", durable=True, auto_delete=False)
        channel.queue_declare(QUEUE, durable=True, auto_delete=False, arguments={"x-queue-type": "quorum"})
        channel.queue_bind(QUEUE, "furrow.events", "job.#")
    try:
        rates = compare.by_turns(bench, told, bench.jobs(JOBS), ROUNDS)
    finally:
        told.close()
        with Connection(bench.servers.broker.url) as broker:
            broker.channel().queue_delete(QUEUE)
    return [
        *compare.figures("every event told", *rates),
        Figure("events", statistics.median(told.rates), "events/s"),
        Figure("from the last job to the last event", statistics.median(told.late), "s"),
    ]
