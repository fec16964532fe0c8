"""System checks: what ``manage.py check`` refuses."""

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register


@register(Tags.compatibility)
def check_broker_url(**kwargs: Any) -> list[CheckMessage]:
    """The broker must be RabbitMQ, with a URL that can be read."""
    from apps.jobs.broker import explain_url

    problem = explain_url(settings.BROKER_URL)
    return [Error(problem, hint="Set BROKER_URL=amqp://user:password@host:5672/vhost", id="jobs.E001")] if problem else []


@register(Tags.security, deploy=True)
def check_broker_credentials(**kwargs: Any) -> list[CheckMessage]:
    """RabbitMQ's default account is for trying out."""
    try:
        user = urlsplit(settings.BROKER_URL).username
    except ValueError:
        return []
    if user in (None, "guest"):
        return [
            Warning(
                "BROKER_URL uses RabbitMQ's default account, guest.",
                hint="Create a user of its own and delete guest.",
                id="jobs.W001",
            )
        ]
    return []
