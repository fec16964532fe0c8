"""The network between a process and a server, or between everybody and a server, is cut; see :mod:`furrow.prove.proxy`."""

from furrow.prove.faults.base import Scene, fault
from furrow.prove.program import Program
from furrow.prove.proxy import Cut
from furrow.prove.stack import LEASE


@fault("postgres")
def reset_postgres(scene: Scene) -> None:
    """All connections to PostgreSQL are reset, and new ones for a while: commits whose answer is lost."""
    _everybody(scene, "postgres", "reset", 0.0, 3.0)


@fault("postgres")
def partition_postgres(scene: Scene) -> None:
    """Nothing passes between everybody and PostgreSQL, for less or more than a lease; then all arrives late."""
    _everybody(scene, "postgres", "hold", 1.0, LEASE + 4.0)


@fault("postgres")
def half_open_postgres(scene: Scene) -> None:
    """PostgreSQL's ends of all connections are gone, and for a while nobody is told."""
    _everybody(scene, "postgres", "half", 1.0, LEASE + 4.0)


@fault("rabbitmq")
def reset_rabbitmq(scene: Scene) -> None:
    """All connections to RabbitMQ are reset, and new ones for a while."""
    _everybody(scene, "rabbitmq", "reset", 0.0, 3.0)


@fault("rabbitmq")
def partition_rabbitmq(scene: Scene) -> None:
    """Nothing passes between everybody and RabbitMQ; then all arrives late."""
    _everybody(scene, "rabbitmq", "hold", 1.0, 8.0)


@fault("rabbitmq")
def half_open_rabbitmq(scene: Scene) -> None:
    """RabbitMQ's ends of all connections are gone, and for a while nobody is told."""
    _everybody(scene, "rabbitmq", "half", 1.0, 8.0)


@fault("redis")
def partition_redis(scene: Scene) -> None:
    """Nothing passes between everybody and Redis; then all arrives late."""
    _everybody(scene, "redis", "hold", 1.0, 8.0)


@fault("redis")
def reset_redis(scene: Scene) -> None:
    """All connections to Redis are reset, and new ones for a while."""
    _everybody(scene, "redis", "reset", 0.0, 3.0)


@fault("postgres", "worker")
def isolate_worker_from_postgres(scene: Scene) -> None:
    """One worker and PostgreSQL cannot reach each other for longer than its lease, while its processes go on."""
    _one(scene, scene.pick("worker"), "postgres", LEASE + 1.5, LEASE + 5.0)


@fault("rabbitmq", "worker")
def isolate_worker_from_rabbitmq(scene: Scene) -> None:
    """One worker and RabbitMQ cannot reach each other."""
    _one(scene, scene.pick("worker"), "rabbitmq", 1.0, 10.0)


@fault("postgres", "dispatcher")
def isolate_dispatcher_from_postgres(scene: Scene) -> None:
    """The leading dispatcher and PostgreSQL cannot reach each other for longer than its lease."""
    _one(scene, scene.leader(), "postgres", 5.0, 8.0)


@fault("rabbitmq", "dispatcher")
def isolate_dispatcher_from_rabbitmq(scene: Scene) -> None:
    """The leading dispatcher and RabbitMQ cannot reach each other; nobody else may lead."""
    _one(scene, scene.leader(), "rabbitmq", 1.0, 8.0)


def _everybody(scene: Scene, server: str, how: Cut, least: float, most: float) -> None:
    scene.away(server)
    scene.stack.network.cut(how, server=server)
    scene.wait(least, most)
    scene.stack.network.heal(server=server)


def _one(scene: Scene, program: Program, server: str, least: float, most: float) -> None:
    how: Cut = scene.dice.choice(["hold", "half"])
    scene.stack.network.cut(how, server=server, client=program.name)
    scene.wait(least, most)
    scene.stack.network.heal(server=server, client=program.name)
