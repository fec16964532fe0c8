"""PostgreSQL, RabbitMQ and Redis are killed, restarted, frozen, filled with rubbish and made unwilling."""

from apps.prove.faults.base import Scene, fault


@fault("rabbitmq")
def kill_rabbitmq(scene: Scene) -> None:
    """SIGKILL RabbitMQ, and start it again."""
    scene.servers.add("rabbitmq")
    scene.stack.rabbitmq.kill()
    scene.wait(0.0, 3.0)
    scene.stack.rabbitmq.start()


@fault("postgres")
def kill_postgres(scene: Scene) -> None:
    """SIGKILL PostgreSQL with all its backends, and start it again: it recovers from its log."""
    scene.servers.add("postgres")
    scene.stack.postgres.kill()
    scene.wait(0.0, 3.0)
    scene.stack.postgres.start()
