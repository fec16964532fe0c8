"""Private servers: each in a folder of its own, on loopback only, with a port and credentials of its own.

    broker = RabbitMQ(folder)
    broker.start()      # installs the binary if it is missing; returns once the server answers
    broker.url          # amqp://...
    broker.kill(); broker.freeze(); broker.thaw(); broker.restart(); broker.stop()

A second object (in any process) on the same folder is the same server. Data outlives `stop`, `kill` and reboots;
`destroy` removes it.
"""

from deploy.errors import ServiceFailed
from deploy.services.base import Service
from deploy.services.postgres import Postgres
from deploy.services.rabbitmq import RabbitMQ
from deploy.services.redis import Redis

__all__ = ["Postgres", "RabbitMQ", "Redis", "Service", "ServiceFailed"]
