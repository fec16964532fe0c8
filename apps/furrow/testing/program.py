"""What :mod:`furrow.testing.worker` starts, by its path: ``dispatcher`` or ``worker``, with the project's settings and the
test's database and broker. As a module of its package it would load that before Django is set up.

``FURROW_TESTING`` says, as JSON: ``databases``, the names of the test databases by alias; ``broker``, the URL; ``node``, the
worker's name; ``processes``, how many.
"""

import json
import os
import sys
from typing import Any


def main() -> None:
    """Run one of the two until SIGTERM."""
    given = json.loads(os.environ["FURROW_TESTING"])
    use(given)
    if sys.argv[1] == "dispatcher":
        from furrow.command.dispatcher import Command

        Command().handle()
    else:
        options = ["-c", str(given["processes"]), "-n", given["node"], "-l", "info", "--without-gossip", "--without-mingle"]
        application(given["broker"]).worker_main(["worker", *options])


def use(given: dict[str, Any]) -> None:
    """Set Django up, with these databases."""
    import django
    from django.conf import settings

    for alias, name in given["databases"].items():
        settings.DATABASES[alias]["NAME"] = name
    application(given["broker"])
    django.setup()
    application(given["broker"])


def application(broker: str) -> Any:
    """The project's Celery application, with this broker."""
    from furrow.rabbitmq.queues import project_app

    app = project_app()
    app.conf.broker_url = app.conf.broker_read_url = app.conf.broker_write_url = broker
    return app


if __name__ == "__main__":
    main()
