"""Commands that pages and messages tell people to type."""

import os
from urllib.parse import urlsplit

from furrow.conf import conf


def worker_command(queue: str = "") -> str:
    """How a worker of this project is started, for all job queues or for one; where its workers are elsewhere, what says it."""
    if queue in conf().external_queues:
        return "a worker in another language (docs/other_languages.md)"
    return f"{_celery()} worker{f' -Q {queue}' if queue else ''}"


def flower_command() -> str:
    """How Flower is started where ``FLOWER_URL`` says that it is."""
    url = urlsplit(conf().flower_url or "http://127.0.0.1:5555/flower")
    prefix = url.path.strip("/")
    options = [f"--address={url.hostname}", f"--port={url.port or 80}", f"--url_prefix={prefix}" if prefix else ""]
    secret = "--basic_auth=USER:PASSWORD" if conf().flower_basic_auth else ""
    return " ".join(filter(None, [_celery(), "flower", *options, secret]))


def _celery() -> str:
    project, _, rest = os.environ.get("DJANGO_SETTINGS_MODULE", "").partition(".")
    return f"celery -A {project if rest else 'PROJECT'}"
