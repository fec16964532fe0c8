"""``/metrics`` for Prometheus: totals and run times from the counts, contents of queues counted up to a limit.

All of it is read from the database, so any web process answers alike, and no number is lost with a process.
"""

import datetime as dt
import hmac
from collections import Counter, defaultdict
from collections.abc import Iterator

from django.db.models import Sum
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from furrow.actions.permissions import VIEW
from furrow.conf import conf
from furrow.diagnosis import troubles
from furrow.diagnosis.explain import living_workers
from furrow.diagnosis.figures import QueueFigures, queue_figures
from furrow.models import DeadMessage, Drift, Leader, Rollup
from furrow.statements import clock
from furrow.statements.rollups import BOUNDS, TIMELESS, WAIT
from furrow.states import FINAL


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """For who has the token (``METRICS_TOKEN``, as ``Authorization: Bearer …``), and for people who may see jobs."""
    given = request.headers.get("Authorization", "").removeprefix("Bearer ").encode(errors="replace")
    has_token = bool(conf().metrics_token) and hmac.compare_digest(given, conf().metrics_token.encode())
    if not has_token and not request.user.has_perm(VIEW):
        text = (
            "Metrics need METRICS_TOKEN in the environment, sent as 'Authorization: Bearer …', or a login that may see jobs.\n"
        )
        return HttpResponse(text, status=401, content_type="text/plain", headers={"WWW-Authenticate": "Bearer"})
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(clock.now()))
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_PLAIN_0_0_4)


class _Collector:
    """Everything, at a time."""

    def __init__(self, now: dt.datetime) -> None:
        self._now = now

    def describe(self) -> list[Metric]:
        """Nothing: the names are known when they are collected."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Each metric; the database is asked on the way."""
        yield from _ended()
        queues = queue_figures(self._now)
        yield from _queues(queues, self._now)
        yield from _system(queues, self._now)


def _ended() -> Iterator[Metric]:
    """From all counts that there are, since the beginning: they only grow."""
    ended = CounterMetricFamily("furrow_jobs_ended", "Jobs that ended.", labels=["kind", "queue", "state"])
    again = CounterMetricFamily("furrow_runs_again", "Runs that are followed by another.", labels=["kind", "queue", "why"])
    run = HistogramMetricFamily("furrow_run_seconds", "How long runs took.", labels=["kind"])
    wait = HistogramMetricFamily(
        "furrow_wait_seconds", "Seconds from due to begun, of runs that ended their jobs.", labels=["kind"]
    )
    times: dict[tuple[str, str], Counter[int]] = defaultdict(Counter)
    totals: Counter[tuple[str, str]] = Counter()
    outcomes: Counter[tuple[str, str, str]] = Counter()
    rows = Rollup.objects.values_list("kind", "queue", "measure", "bucket").annotate(Sum("count"), Sum("total"))
    for kind, queue, measure, bucket, count, total in rows.order_by("kind", "queue"):
        key = kind, WAIT if measure == WAIT else "run"
        if measure != WAIT:
            outcomes[kind, queue, measure] += count
        if bucket != TIMELESS:
            times[key][bucket] += count
            totals[key] += total
    for (kind, queue, measure), count in outcomes.items():
        (ended if measure in FINAL else again).add_metric([kind, queue, measure], count)
    for key, buckets in times.items():
        (wait if key[1] == WAIT else run).add_metric([key[0]], _cumulative(buckets), totals[key])
    yield from (ended, again, run, wait)


def _cumulative(buckets: Counter[int]) -> list[tuple[str, float]]:
    count, found = 0, []
    for bucket, bound in enumerate([*BOUNDS, None]):
        count += buckets[bucket]
        found.append(("+Inf" if bound is None else str(bound), float(count)))
    return found


def _queues(queues: list[QueueFigures], now: dt.datetime) -> Iterator[Metric]:
    jobs = GaugeMetricFamily("furrow_queue_jobs", "Jobs that have not ended; counted to 10,001.", labels=["queue", "state"])
    oldest = GaugeMetricFamily("furrow_queue_oldest_seconds", "Seconds since the oldest due job became due.", labels=["queue"])
    workers = GaugeMetricFamily("furrow_queue_workers", "Running workers that consume the queue.", labels=["queue"])
    paused = GaugeMetricFamily("furrow_queue_paused", "1 while the queue is paused or drained.", labels=["queue"])
    for queue in queues:
        for state in ("due", "scheduled", "queued", "running"):
            jobs.add_metric([queue.name, state], getattr(queue, state))
        oldest.add_metric([queue.name], _age(queue, now))
        workers.add_metric([queue.name], len(queue.consumers))
        paused.add_metric([queue.name], float(queue.paused is not None))
    yield from (jobs, oldest, workers, paused)


def _age(queue: QueueFigures, now: dt.datetime) -> float:
    return max(0.0, (now - queue.oldest).total_seconds()) if queue.oldest else 0.0


def _system(queues: list[QueueFigures], now: dt.datetime) -> Iterator[Metric]:
    workers = list(living_workers(now))
    leader = Leader.objects.filter(role="dispatcher", lease_until__gt=now).first()
    lag = max((_age(queue, now) for queue in queues if queue.paused is None), default=0.0)
    yield GaugeMetricFamily("furrow_workers", "Living workers.", len(workers))
    yield GaugeMetricFamily("furrow_worker_processes", "Their processes.", sum(worker.processes for worker in workers))
    yield GaugeMetricFamily("furrow_dispatcher_leads", "1 while a dispatcher leads.", float(leader is not None))
    yield GaugeMetricFamily(
        "furrow_dispatcher_trouble", "1 while the dispatcher reports trouble.", float(bool(leader and leader.trouble))
    )
    yield GaugeMetricFamily(
        "furrow_dispatcher_lag_seconds", "Seconds since the oldest due job of an open queue became due.", lag
    )
    yield GaugeMetricFamily("furrow_dead_messages", "Messages that no worker could process.", DeadMessage.objects.count())
    drift = GaugeMetricFamily("furrow_drift", "Inconsistencies that the dispatcher found at its last check.", labels=["what"])
    for row in Drift.objects.all():
        drift.add_metric([row.name], row.found)
    yield drift
    trouble = GaugeMetricFamily("furrow_trouble", "Occurrences of an unexpected error, while it lasts.", labels=["what"])
    for one in troubles.current():
        trouble.add_metric([one.name], one.count)
    yield trouble
