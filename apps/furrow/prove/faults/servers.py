"""PostgreSQL, RabbitMQ and Redis are killed, restarted, frozen, emptied, filled with rubbish and made unwilling."""

import secrets
import uuid

from deploy.services import Service

from furrow.prove.faults.base import BROKER_AWAY, Scene, broker, command, fault
from furrow.prove.stack import LEASE
from furrow.rabbitmq.broker import Publisher
from furrow.tables import JOB


@fault("rabbitmq")
def kill_rabbitmq(scene: Scene) -> None:
    """SIGKILL RabbitMQ, and start it again."""
    _kill(scene, "rabbitmq")


@fault("rabbitmq")
def restart_rabbitmq(scene: Scene) -> None:
    """Stop RabbitMQ in order, and start it again."""
    scene.away("rabbitmq")
    scene.stack.rabbitmq.restart()


@fault("rabbitmq")
def freeze_rabbitmq(scene: Scene) -> None:
    """SIGSTOP RabbitMQ, then SIGCONT: connections stay open, and nobody answers."""
    _freeze(scene, "rabbitmq", 2.0, 8.0)


@fault("rabbitmq")
def alarm_rabbitmq(scene: Scene) -> None:
    """RabbitMQ raises its memory alarm: it takes no messages, and confirms none."""
    limit_rabbitmq(scene, "set_vm_memory_high_watermark", "0.0000001", "0.4")


@fault("rabbitmq")
def purge_queue(scene: Scene) -> None:
    """All messages of a job queue are thrown away."""
    _at_the_broker(scene, "queue_purge")


@fault("rabbitmq")
def delete_queue(scene: Scene) -> None:
    """A job queue is deleted under everybody's feet."""
    _at_the_broker(scene, "queue_delete")


@fault("rabbitmq")
def second_messages(scene: Scene) -> None:
    """Every job that waits, runs or has just ended gets a second message."""
    jobs = scene.stack.database.rows(f"SELECT id, kind, queue FROM {JOB} ORDER BY id DESC LIMIT 400")
    publisher = Publisher(scene.stack.rabbitmq.url)
    try:
        for queue in scene.stack.queues:
            publisher.publish(queue, [(uuid.UUID(id), kind) for id, kind, place in jobs if place == queue])
    except BROKER_AWAY:
        scene.happened.target += "(RabbitMQ was away)"
    finally:
        publisher.close()


@fault("redis")
def kill_redis(scene: Scene) -> None:
    """SIGKILL Redis, and start it again."""
    _kill(scene, "redis")


@fault("redis")
def freeze_redis(scene: Scene) -> None:
    """SIGSTOP Redis, then SIGCONT."""
    _freeze(scene, "redis", 2.0, 8.0)


@fault("redis")
def flush_redis(scene: Scene) -> None:
    """FLUSHALL: Redis forgets everything."""
    command(scene, "FLUSHALL")


@fault("postgres")
def kill_postgres(scene: Scene) -> None:
    """SIGKILL PostgreSQL with all its backends, and start it again: it recovers from its log."""
    _kill(scene, "postgres")


@fault("postgres")
def restart_postgres(scene: Scene) -> None:
    """Restart PostgreSQL ("fast": open transactions are rolled back)."""
    scene.away("postgres")
    scene.stack.postgres.restart()


@fault("postgres")
def freeze_postgres(scene: Scene) -> None:
    """SIGSTOP PostgreSQL, for less or for more than the workers' lease, then SIGCONT."""
    _freeze(scene, "postgres", 1.0, LEASE + 4.0)


@fault("postgres")
def read_only_postgres(scene: Scene) -> None:
    """PostgreSQL refuses every write, as after a failover to a standby or on a full disk."""
    scene.away("postgres")
    scene.during(
        1.0,
        LEASE + 4.0,
        lambda: _alter_system(scene, "SET default_transaction_read_only = on"),
        lambda: _alter_system(scene, "RESET default_transaction_read_only"),
    )


@fault("postgres")
def terminate_connections(scene: Scene) -> None:
    """pg_terminate_backend on every connection."""
    scene.away("postgres")
    scene.stack.database.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")


@fault("postgres", "worker", "dispatcher", "web", "client")
def rotate_credentials(scene: Scene) -> None:
    """The database's password changes, open connections are ended, and all processes are restarted with the new one."""
    scene.away("postgres")
    scene.stack.change_password(secrets.token_hex(8))
    scene.stack.database.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
    scene.wait(0.0, 4.0)
    for program in scene.stack.programs.values():
        scene.hit(program)
    scene.happened.target = "all processes"
    scene.stack.restart_programs()


@fault("postgres", needs="clock")
def step_clock(scene: Scene) -> None:
    """The database's clock is set, forward or back, by up to a minute, and some seconds later to where it was."""
    step = scene.dice.choice([-1, 1]) * scene.dice.randint(10, 60)
    scene.happened.target = f"by {step:+d} s"
    scene.away("clock")
    postgres = scene.stack.postgres
    scene.during(2.0, LEASE + 4.0, lambda: postgres.set_clock(step), lambda: postgres.set_clock(0))


def _kill(scene: Scene, name: str) -> None:
    server: Service = scene.stack.servers[name]
    scene.away(name)
    server.kill()
    scene.wait(0.0, 3.0)
    server.start()


def _freeze(scene: Scene, name: str, least: float, most: float) -> None:
    scene.away(name)
    scene.during(least, most, scene.stack.servers[name].freeze, scene.stack.servers[name].thaw)


def limit_rabbitmq(scene: Scene, limit: str, low: str, usual: str) -> None:
    """A limit of RabbitMQ is so low that it raises an alarm: it takes no messages, and confirms none."""
    scene.away("rabbitmq")
    ctl = scene.stack.rabbitmq.ctl
    scene.during(1.0, 12.0, lambda: ctl(limit, low), lambda: ctl(limit, usual))


def _alter_system(scene: Scene, what: str) -> None:
    scene.stack.database.run(f"ALTER SYSTEM {what}")
    scene.stack.database.run("SELECT pg_reload_conf()")


def _at_the_broker(scene: Scene, what: str) -> None:
    queue = scene.happened.target = scene.dice.choice(scene.stack.queues)
    try:
        with broker(scene) as link:
            getattr(link.channel(), what)(queue)
    except BROKER_AWAY:
        scene.happened.target += " (RabbitMQ was away)"
