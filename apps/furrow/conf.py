"""Settings: ``settings.FURROW``, with defaults; a wrong one is refused with its name, the reason and the remedy."""

import ipaddress
import re
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from furrow.bridge import Bridge
from furrow.errors import did_you_mean
from furrow.limits.limit import MOST_SLOTS
from furrow.partitions import NO_LIMITS, Queue
from furrow.schedule import LONGEST_NAME, Schedule
from furrow.service_urls import unreadable
from furrow.topics import pattern_problem

#: Celery's own queue, for the ordinary tasks of the project: no name for a job queue.
CELERY_QUEUE = "celery"
#: Where workers in other languages ask over AMQP.
WORK_QUEUE = "furrow.work"
#: Characters of the version of a project's code.
LONGEST_VERSION = 100
_QUEUE_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}")
_MAY_BE_ZERO = ("shutdown_grace", "keep_succeeded", "keep_failed")


@dataclass(frozen=True)
class Conf:
    """Each field is a key of ``settings.FURROW`` in upper case. Times are seconds, sizes bytes."""

    #: The job queues; the first is the default. A worker consumes all of them unless it is started with ``-Q``.
    queues: list[str] = field(default_factory=lambda: ["default"])
    #: Those of them that have partitions, by name; not a key of its own: ``QUEUES`` names them as ``Queue(…)``.
    partitioned: dict[str, Queue] = field(default_factory=dict)
    #: Queues of jobs that workers in other languages take (:func:`furrow.external_kind`); RabbitMQ does not know them. The
    #: first is the default.
    external_queues: list[str] = field(default_factory=lambda: ["external"])
    #: Such workers may ask over AMQP too: the bridges' process answers what comes to the exchange ``furrow.work``.
    external_over_amqp: bool = False
    #: The most jobs of a queue that run at once, over all workers.
    queue_limits: dict[str, int] = field(default_factory=dict)
    #: Turns that a tenant (a key of ``fair=…``) gets while each other tenant gets one.
    fair_weights: dict[str, int] = field(default_factory=dict)
    #: Packages that declare kinds besides each application's ``tasks`` module; imported with everything below them at start.
    modules: list[str] = field(default_factory=list)
    #: Dotted paths of the classes that wrap submits and runs (:mod:`furrow.middleware`); the first is the outermost.
    middleware: list[str] = field(default_factory=list)
    #: Celery tasks of the project that are jobs: ``"all"``, ``"none"``, or a list of patterns such as ``"orders.*"``.
    #: ``"watch"``: none, and all are watched (:mod:`furrow.watch`).
    adopt: str | list[str] = "none"
    #: Name kinds by the last part of their module: ``tasks.charge``, not ``orders.tasks.charge``.
    short_names: bool = False
    #: Queues of other programs whose messages become jobs.
    bridges: list[Bridge] = field(default_factory=list)
    #: Schedules by name, of kinds that the settings name.
    schedules: dict[str, Schedule] = field(default_factory=dict)
    #: Events of jobs that are published for programs outside, as patterns such as ``job.#``; what ``@subscribe`` names is so
    #: anyway.
    events: list[str] = field(default_factory=list)
    #: CloudEvents' ``source``: tells this installation's events from another's.
    event_source: str = "furrow"
    #: Redis, for locks and rates in code and for wake-ups. Without it the dispatcher polls and such locks are refused.
    redis_url: str = ""
    #: Where people reach the site, as in links of e-mails: "https://jobs.example.com".
    site_url: str = ""
    #: Where web reaches Flower, and the ``user:password`` between the two; empty: there is none.
    flower_url: str = ""
    flower_basic_auth: str = ""
    #: Bearer token with which Prometheus reads the metrics; without it they need a login.
    metrics_token: str = ""
    #: How often one token of the HTTP API may be used (counted in Redis); empty: as often as it likes.
    api_rate: str = "100/s"
    #: Requests of the HTTP API that wait at once in one web process: fewer than it has threads.
    api_waiters: int = 2
    #: Largest JSON text of a job's arguments, and of a result.
    max_argument_bytes: int = 1024 * 1024
    max_result_bytes: int = 1024 * 1024
    #: Largest file that a form takes for an argument, unless the argument says otherwise.
    max_upload_bytes: int = 20 * 1024 * 1024
    #: Largest sum of the files that one request brings; no file is larger, whatever its argument says.
    max_request_bytes: int = 64 * 1024 * 1024
    #: A worker that has not renewed its lease for this long is lost, and its jobs are rescued.
    worker_lease: float = 15.0
    #: When the leading dispatcher has not renewed its lease for this long, another one leads.
    leader_lease: float = 10.0
    #: The dispatcher polls for due jobs at least this often.
    poll_interval: float = 1.0
    #: A queued job that shows no activity for this long is sent again.
    resend_after: float = 60.0
    #: A lock that is not renewed for this long falls free (2 to 30; equal in all processes that share a Redis).
    lock_lease: float = 15.0
    #: On SIGTERM a worker waits this long for running jobs before it hands them back.
    shutdown_grace: float = 20.0
    #: Jobs that ended are deleted after this long.
    keep_succeeded: float = 7 * 86400.0
    keep_failed: float = 30 * 86400.0
    #: Events are deleted this long after they happened.
    event_retention: float = 7 * 86400.0
    #: Characters kept of one log line, of a traceback, and lines kept of one attempt.
    max_log_line: int = 8_000
    max_traceback: int = 50_000
    max_log_lines: int = 10_000
    #: Networks with private addresses that webhooks may reach, such as "10.0.0.0/8"; and how many failed attempts in a row
    #: switch a webhook off.
    webhook_networks: list[str] = field(default_factory=list)
    webhook_failures: int = 100
    #: Steps that one job may have.
    max_steps: int = 1_000
    #: The version of the project's code, as the deployment calls it; jobs remember by which one they were begun.
    version: str = ""
    #: Characters kept of one attempt's output stream.
    max_output: int = 1_000_000

    @property
    def all_queues(self) -> list[str]:
        """Those in RabbitMQ, and the external ones."""
        return [*self.queues, *self.external_queues]


@lru_cache
def conf() -> Conf:
    """The settings in force.

    Raises:
        ImproperlyConfigured: ``settings.FURROW`` has an unknown key or a value of the wrong type.
    """
    given: dict[str, Any] = getattr(settings, "FURROW", {})
    if not isinstance(given, dict):
        raise ImproperlyConfigured(f"FURROW is {given!r}: it must be a dict, such as {{'QUEUES': ['default']}}.")
    known = {f.name.upper(): f for f in fields(Conf) if f.name != "partitioned"}
    given, partitioned = _told_apart(given)
    for key, value in given.items():
        if key not in known:
            raise ImproperlyConfigured(f"FURROW[{key!r}] is not a setting; {did_you_mean(key, known)}.")
        if must := _must_be(known[key].name, known[key].type, value):
            raise ImproperlyConfigured(f"FURROW[{key!r}] is {value!r}: it must be {must}.")
    chosen = Conf(partitioned=partitioned, **{key.lower(): value for key, value in given.items()})
    if "EXTERNAL_QUEUES" not in given:
        chosen = replace(chosen, external_queues=[name for name in chosen.external_queues if name not in chosen.queues])
    for queue in chosen.queue_limits:
        if queue not in chosen.all_queues:
            raise ImproperlyConfigured(
                f"FURROW['QUEUE_LIMITS'] names {queue!r}, which is no queue; {did_you_mean(queue, chosen.all_queues)}."
            )
        if queue in chosen.partitioned:
            raise ImproperlyConfigured(f"FURROW['QUEUE_LIMITS'] names {queue!r}: {NO_LIMITS}.")
    for queue in chosen.all_queues:
        if not _QUEUE_NAME.fullmatch(queue):
            raise ImproperlyConfigured(
                f"FURROW['{_named_by(chosen, queue)}'] names {queue!r}: a queue's "
                "name has 1 to 100 letters (a to z), digits, '-', '_' or '.'."
            )
        if queue in (CELERY_QUEUE, WORK_QUEUE) or queue.startswith("amq."):
            owners = {CELERY_QUEUE: "Celery's own queue", WORK_QUEUE: "where workers in other languages ask"}
            owner = owners.get(queue, "reserved by RabbitMQ")
            raise ImproperlyConfigured(
                f"FURROW['{_named_by(chosen, queue)}'] names {queue!r}, which is {owner}: choose another name."
            )
    if wrong := chosen.redis_url and unreadable("FURROW['REDIS_URL']", chosen.redis_url):
        raise ImproperlyConfigured(wrong)
    if chosen.redis_url and not chosen.redis_url.startswith(("redis://", "rediss://", "unix://")):
        raise ImproperlyConfigured("FURROW['REDIS_URL'] must begin with redis:// or rediss:// or unix://.")
    _refuse_partitions(chosen)
    _refuse_shared_queues(chosen)
    _refuse_bridges(chosen)
    _refuse_networks(chosen)
    _refuse_schedules(chosen)
    if len(chosen.version) > LONGEST_VERSION:
        raise ImproperlyConfigured(f"FURROW['VERSION'] has more than {LONGEST_VERSION} characters: give a shorter one.")
    for pattern in chosen.events:
        if problem := pattern_problem(pattern):
            raise ImproperlyConfigured(f"FURROW['EVENTS']: {problem}.")
    return chosen


def adopts_tasks() -> bool:
    """Whether Celery tasks are jobs; where there are no settings, they are not."""
    try:
        return conf().adopt not in ("none", "watch")
    except ImproperlyConfigured:
        if settings.configured:
            raise
        return False


def _named_by(chosen: Conf, queue: str) -> str:
    return "QUEUES" if queue in chosen.queues else "EXTERNAL_QUEUES"


def _told_apart(given: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Queue]]:
    """The settings with queues as names, and the queues that are more than a name."""
    queues = given.get("QUEUES")
    if not isinstance(queues, list):
        return given, {}
    names = [queue.name if isinstance(queue, Queue) else queue for queue in queues]
    return {**given, "QUEUES": names}, {queue.name: queue for queue in queues if isinstance(queue, Queue)}


def _refuse_partitions(chosen: Conf) -> None:
    for name, queue in chosen.partitioned.items():
        if problem := queue.problem():
            form = f"Queue({name!r}, partitions=8, key='customer_id'), in the environment {name}:8:customer_id"
            raise ImproperlyConfigured(f"FURROW['QUEUES'], queue {name!r}: {problem}; the form is {form}.")
        if same := {*queue.parts} & {*chosen.queues}:
            raise ImproperlyConfigured(
                f"FURROW['QUEUES'] names {min(same)!r}, which is the name of a partition of {name!r}: choose another name."
            )


def _refuse_shared_queues(chosen: Conf) -> None:
    parts = (part for queue in chosen.partitioned.values() for part in queue.parts)
    if same := {*chosen.external_queues} & {*chosen.queues, *parts}:
        text = f"FURROW['EXTERNAL_QUEUES'] names {min(same)!r}, which is a queue in RabbitMQ (FURROW['QUEUES'])"
        raise ImproperlyConfigured(f"{text}: choose another name.")


def _refuse_networks(chosen: Conf) -> None:
    for network in chosen.webhook_networks:
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            raise ImproperlyConfigured(f"FURROW['WEBHOOK_NETWORKS'] names {network!r}: {error}.") from None


def _refuse_schedules(chosen: Conf) -> None:
    for name, schedule in chosen.schedules.items():
        problem = schedule.problem()
        if not 1 <= len(name) <= LONGEST_NAME or "\0" in name:
            problem = f"a name has 1 to {LONGEST_NAME} characters"
        elif schedule.name not in ("", name):
            problem = f"name={schedule.name!r}: the key is its name; leave it out"
        elif not schedule.kind:
            problem = "kind is missing: name the kind, as in Schedule('@daily', kind='reports.send')"
        if problem:
            raise ImproperlyConfigured(f"FURROW['SCHEDULES'], {name!r}: {problem}.")


def _refuse_bridges(chosen: Conf) -> None:
    for number, bridge in enumerate(chosen.bridges):
        problem = bridge.problem()
        if bridge.queue in {*chosen.queues, *(part for queue in chosen.partitioned.values() for part in queue.parts)}:
            problem = "it is a queue of jobs: a bridge is for queues of other programs"
        elif bridge.queue == WORK_QUEUE:
            problem = "workers in other languages ask there"
        elif bridge.queue in [other.queue for other in chosen.bridges[:number]]:
            problem = "another bridge has that queue"
        if problem:
            raise ImproperlyConfigured(f"FURROW['BRIDGES'], queue {bridge.queue!r}: {problem}.")


def _must_be(name: str, kind: Any, value: Any) -> str:
    """What a setting must be; empty when it is."""
    if kind in (int, float):
        may_be_zero = name in _MAY_BE_ZERO
        right = isinstance(value, int if kind is int else (int, float)) and not isinstance(value, bool)
        if right and (0 < value < float("inf") or (value == 0 and may_be_zero)):
            return ""
        return f"a {'whole ' if kind is int else ''}number {'not less' if may_be_zero else 'greater'} than 0"
    if kind == str | list[str]:
        named = isinstance(value, list) and value and all(isinstance(item, str) for item in value)
        known = ("all", "none", "watch")
        return "" if named or value in known else "'all', 'none', 'watch', or a list of patterns such as ['orders.*']"
    if kind is bool:
        return "" if isinstance(value, bool) else "True or False"
    if kind is str:
        return "" if isinstance(value, str) else "a text"
    if kind == dict[str, int]:
        if isinstance(value, dict) and all(
            isinstance(k, str) and type(n) is int and 1 <= n <= MOST_SLOTS for k, n in value.items()
        ):
            return ""
        return f"a dict of names to whole numbers from 1 to {MOST_SLOTS:,}"
    if kind == list[Bridge]:
        right = isinstance(value, list) and all(isinstance(item, Bridge) for item in value)
        return "" if right else "a list of furrow.Bridge(…)"
    if kind == dict[str, Schedule]:
        right = isinstance(value, dict) and all(isinstance(k, str) and isinstance(v, Schedule) for k, v in value.items())
        return "" if right else "a dict of names to furrow.Schedule(…)"
    may_be_empty = name in ("modules", "middleware", "events", "external_queues", "webhook_networks")
    are_names = isinstance(value, list) and all(isinstance(item, str) for item in value) and len({*value}) == len(value)
    if are_names and (value or may_be_empty):
        return ""
    return "a list of different names" + ("" if may_be_empty else ", at least one")


def _forget(*, setting: str, **kwargs: object) -> None:
    if setting == "FURROW":
        conf.cache_clear()


setting_changed.connect(_forget)
