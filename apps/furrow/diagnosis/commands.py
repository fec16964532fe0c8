"""Commands that pages and messages tell people to type."""

import os


def worker_command(queue: str = "") -> str:
    """How a worker of this project is started, for all job queues or for one."""
    project, _, rest = os.environ.get("DJANGO_SETTINGS_MODULE", "").partition(".")
    return f"celery -A {project if rest else 'PROJECT'} worker{f' -Q {queue}' if queue else ''}"
