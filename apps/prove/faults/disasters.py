"""What hits the whole stack at once, or a store's data: power loss, stores wiped and restored, locks and snapshots held."""

import contextlib
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg

from apps.prove.faults.base import Scene, fault


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


@fault("redis")
def poison_redis(scene: Scene) -> None:
    """Each key of Redis is replaced by a value of another type."""
    for key in filter(None, command(scene, "KEYS *").split(b"\r\n")[2::2]):
        command(scene, f"SET {key.decode(errors='replace')} rubbish")


@fault("postgres")
def lock_rows(scene: Scene) -> None:
    """A transaction holds the rows of some jobs locked for 20 s; all others go on."""
    with _open(scene) as link:
        link.execute(
            "SELECT 1 FROM jobs_job WHERE state IN ('pending', 'queued', 'running') ORDER BY id DESC LIMIT 20 "
            "FOR UPDATE SKIP LOCKED"
        )
        scene.wait(20.0, 20.0)


@fault("postgres")
def hold_snapshot(scene: Scene) -> None:
    """An old snapshot keeps every dead row alive for a while, and a replication slot that nobody reads every log file."""
    with _open(scene) as link:
        link.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        link.execute("SELECT count(*) FROM jobs_job")
        scene.stack.database.rows("SELECT pg_create_physical_replication_slot('prove_idle', true)")
        scene.wait(20.0, 40.0)
    scene.stack.database.rows("SELECT pg_drop_replication_slot('prove_idle')")


@fault("postgres")
def dump_postgres(scene: Scene) -> None:
    """pg_dump of the whole database while everything goes on."""
    found = shutil.which("pg_dump")
    if found is not None:
        subprocess.run([found, "--dbname", scene.stack.postgres.url], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def command(scene: Scene, text: str) -> bytes:
    """Tell Redis something; its answer as it came."""
    server = scene.stack.redis
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as link:
        link.sendall(f"AUTH {server.password}\r\n{text}\r\nQUIT\r\n".encode())
        answer = b""
        with contextlib.suppress(TimeoutError):
            while more := link.recv(65536):
                answer += more
    return answer.partition(b"\r\n")[2]


@contextlib.contextmanager
def _open(scene: Scene) -> "Iterator[psycopg.Connection[tuple[object, ...]]]":
    """A transaction of somebody else's; a server that goes away ends it."""
    with contextlib.suppress(psycopg.Error), psycopg.connect(scene.stack.postgres.url, connect_timeout=5) as link:
        yield link
