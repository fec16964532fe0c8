"""What a process or a server needs is used up for some seconds: disk, memory, descriptors, processes."""

import contextlib
import resource
import signal

import psutil
import psycopg
from deploy.processes import until

from furrow.prove.faults.base import Scene, command, fault
from furrow.prove.faults.servers import limit_rabbitmq
from furrow.prove.means import pids
from furrow.prove.program import Program, send
from furrow.prove.stack import LEASE
from furrow.tables import ATTEMPT, JOB, LEADER, WORKER

#: What a full disk refuses, in turn: the record of attempts, then the jobs, then the leases too.
_TABLES = (ATTEMPT, JOB, WORKER, LEADER)
#: More than PostgreSQL keeps ready.
_LOG_FILES = 64
_FULL = """
CREATE FUNCTION prove_full() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$;
"""


@fault("postgres")
def fill_postgres(scene: Scene) -> None:
    """PostgreSQL answers writes as on a full disk, to some of its tables or to all."""
    scene.away("postgres")
    tables = _TABLES[: scene.dice.randint(1, len(_TABLES))]
    scene.happened.target = ", ".join(tables)
    trigger = "CREATE TRIGGER prove_full BEFORE INSERT OR UPDATE ON {} EXECUTE FUNCTION prove_full();"
    triggers = "".join(trigger.format(name) for name in tables)
    scene.during(
        1.0,
        LEASE + 4.0,
        lambda: _persist(scene, _FULL + triggers),
        lambda: _persist(scene, "DROP FUNCTION IF EXISTS prove_full CASCADE"),
    )


@fault("postgres", needs="disk")
def fill_disk_of_postgres(scene: Scene) -> None:
    """The disk of PostgreSQL is full: no table grows, and without room for its log the server ends; then it is started."""
    scene.away("postgres")
    postgres, log_too = scene.stack.postgres, scene.dice.random() < 0.5

    def fill() -> None:
        postgres.disk.fill()
        if log_too:  # leave none of the files that it keeps for its log
            with contextlib.suppress(psycopg.Error):
                for _ in range(_LOG_FILES):
                    scene.stack.database.rows("SELECT pg_logical_emit_message(true, 'prove', ''), pg_switch_wal()")

    scene.during(2.0, LEASE + 4.0, fill, postgres.disk.empty)
    scene.happened.target = "it went on" if postgres.alive else "it had ended"
    postgres.start()


@fault("worker", needs="disk")
def fill_disk_of_worker(scene: Scene) -> None:
    """The disk of a worker is full: its log, and the temporary files of its handlers, cannot be written."""
    disk = scene.stack.disks[scene.pick("worker").name]
    scene.during(3.0, LEASE + 4.0, disk.fill, disk.empty)


@fault("rabbitmq")
def fill_rabbitmq(scene: Scene) -> None:
    """RabbitMQ's disk is full, as it thinks: it takes no messages, and confirms none."""
    limit_rabbitmq(scene, "set_disk_free_limit", "1000000GB", "50MB")


@fault("redis")
def fill_redis(scene: Scene) -> None:
    """Redis has no memory left: it refuses every write."""
    maxmemory = "CONFIG SET maxmemory"
    scene.during(2.0, 8.0, lambda: command(scene, f"{maxmemory} 1"), lambda: command(scene, f"{maxmemory} 0"))


@fault("dispatcher")
def fill_dispatcher(scene: Scene) -> None:
    """The leading dispatcher cannot write to any file, its log among them."""
    _limit(scene, scene.leader(), resource.RLIMIT_FSIZE, 0)


@fault("dispatcher")
def use_up_descriptors_of_dispatcher(scene: Scene) -> None:
    """The leading dispatcher can open no file and no connection more."""
    leader = scene.leader()
    _limit(scene, leader, resource.RLIMIT_NOFILE, _open(leader.pid))


@fault("worker")
def use_up_descriptors_of_worker(scene: Scene) -> None:
    """A worker's main process can open no file and no connection more, while one of its pool processes dies."""
    worker = scene.pick("worker")
    pool = worker.children(of_all=False)
    _kill_one(scene, pool)
    _limit(scene, worker, resource.RLIMIT_NOFILE, _open(worker.pid))
    scene.happened.narrowed = set(worker.children(of_all=False)) - set(pool)
    scene.happened.pids |= scene.happened.narrowed
    for child in scene.happened.narrowed:
        send(child, signal.SIGKILL)


@fault("worker", needs="pids")
def use_up_processes_of_worker(scene: Scene) -> None:
    """A worker's main process can start no process and no thread more, while one of its pool processes dies."""
    worker = scene.pick("worker")
    with pids.used_up(worker.pid):
        _kill_one(scene, worker.children(of_all=False))
        scene.wait(3.0, 10.0)


def _kill_one(scene: Scene, pool: list[int]) -> None:
    if pool:
        send(scene.dice.choice(sorted(pool)), signal.SIGKILL)


def _limit(scene: Scene, program: Program, what: int, limit: int) -> None:
    pid = program.pid
    with contextlib.suppress(ProcessLookupError):
        before = resource.prlimit(pid, what)
        scene.during(
            3.0,
            10.0,
            lambda: resource.prlimit(pid, what, (limit, before[1])),
            lambda: resource.prlimit(pid, what, before),
        )


def _open(pid: int) -> int:
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).num_fds()
    return 100


def _persist(scene: Scene, script: str) -> None:
    """The statements wait for everybody's locks, and may be the victim of a deadlock."""

    def done() -> bool:
        with contextlib.suppress(psycopg.Error):
            scene.stack.database.run(script)
            return True
        return False

    until(done, 60.0, 0.5)
