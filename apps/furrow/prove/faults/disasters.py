"""What hits the whole stack at once, or a store's data: power loss, stores wiped and restored, locks and snapshots held."""

import contextlib
import shutil
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
from deploy.processes import until

from furrow.plural import counted
from furrow.prove.faults.base import Scene, command, fault
from furrow.prove.stack import Stack
from furrow.tables import JOB


@fault("postgres", "rabbitmq", "redis", "worker", "dispatcher", "web", "client")
def power_loss(scene: Scene) -> None:
    """SIGKILL all processes and all servers at the same moment; then everything is started again."""
    programs = list(scene.stack.programs.values())
    servers = scene.stack.servers
    for program in programs:
        program.hold()
        scene.hit(program)
    for name in servers:
        scene.away(name)
    scene.happened.target = "everything"
    with ThreadPoolExecutor(len(programs) + len(servers)) as pool:
        ends = [pool.submit(program.send_all, signal.SIGKILL) for program in programs]
        ends += [pool.submit(server.kill) for server in servers.values()]
        for end in ends:
            end.result()
        list(pool.map(lambda server: server.start(), servers.values()))
    for program in programs:
        program.start()


@fault("rabbitmq")
def wipe_rabbitmq(scene: Scene) -> None:
    """RabbitMQ comes back without queues and messages: its disk is lost."""
    scene.away("rabbitmq")
    server = scene.stack.rabbitmq
    server.ctl("stop_app")
    server.ctl("force_reset")
    server.ctl("start_app")


@fault("rabbitmq")
def restore_rabbitmq(scene: Scene) -> None:
    """RabbitMQ comes back with what it held some seconds earlier: messages of jobs that have ended, none of newer ones."""
    scene.away("rabbitmq")
    server = scene.stack.rabbitmq
    data, backup = server.folder / "data", server.folder / "backup"
    server.kill()
    shutil.copytree(data, backup)
    server.start()
    scene.wait(2.0, 6.0)
    server.kill()
    shutil.rmtree(data)
    backup.rename(data)
    server.start()


@fault("redis")
def restore_redis(scene: Scene) -> None:
    """Redis comes back with what it held some seconds earlier: a backup was restored."""
    server = scene.stack.redis
    backup = server.folder / "backup.rdb"
    command(scene, "SAVE")
    dump = next(iter(server.folder.rglob("dump.rdb")), None)
    if dump is not None:
        shutil.copy(dump, backup)
    scene.wait(2.0, 6.0)
    scene.away("redis")
    server.kill()
    if dump is not None:
        shutil.copy(backup, dump)
    server.start()


@fault("postgres")
def lock_rows(scene: Scene) -> None:
    """A transaction holds the rows of some jobs locked for 20 s; all others go on."""
    with contextlib.suppress(psycopg.Error), psycopg.connect(scene.stack.postgres.url, connect_timeout=5) as link:
        locked = link.execute(
            f"SELECT 1 FROM {JOB} WHERE state IN ('pending', 'queued', 'running') ORDER BY id DESC LIMIT 20 "
            "FOR UPDATE SKIP LOCKED"
        ).fetchall()
        scene.happened.target = counted(len(locked), "job")
        scene.wait(20.0, 20.0)


@fault("postgres")
def hold_snapshot(scene: Scene) -> None:
    """For minutes, under what follows, an old snapshot keeps every dead row alive, a slot that nobody reads every log file."""
    slot, seconds = f"prove_idle_{scene.happened.number}", scene.dice.uniform(60.0, 180.0)
    scene.happened.target = f"for {seconds:.0f} s"
    threading.Thread(target=_hold_snapshot, args=(scene.stack, slot, seconds), name="prove-snapshot", daemon=True).start()


def _hold_snapshot(stack: Stack, slot: str, seconds: float) -> None:
    end = time.monotonic() + seconds
    with contextlib.suppress(psycopg.Error), psycopg.connect(stack.postgres.url, connect_timeout=5) as link:
        link.execute("SELECT pg_create_physical_replication_slot(%s, true)", [slot])
        link.commit()
        link.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        link.execute("SELECT pg_current_snapshot()")  # no table, whose lock would hold up what other faults do to tables
        until(lambda: stack.over.is_set() or time.monotonic() > end or link.closed, seconds + 5, 1.0)

    def dropped() -> bool:
        with contextlib.suppress(psycopg.Error):
            drop = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = ?"
            stack.database.rows(drop, [slot])
            return True
        return stack.over.is_set()

    until(dropped, 60.0, 1.0)


@fault("postgres")
def dump_postgres(scene: Scene) -> None:
    """pg_dump of the whole database while everything goes on."""
    found = shutil.which("pg_dump")
    if found is not None:
        subprocess.run([found, "--dbname", scene.stack.postgres.url], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
