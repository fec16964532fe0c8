"""The Django application."""

from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import request_finished
from django.db import connections, router
from django.db.backends.signals import connection_created
from django.db.models.signals import post_migrate
from django.utils.module_loading import autodiscover_modules


class FurrowConfig(AppConfig):
    """Loads the kinds when Django is ready."""

    name = "furrow"
    verbose_name = "Furrow"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Import every module that declares kinds, also the engine's own, so that each process knows the same ones."""
        from furrow import celery, checks, statements  # noqa: F401
        from furrow.actions import bulk  # noqa: F401
        from furrow.adoption.tasks import adopt_noticed
        from furrow.approvals import asking  # noqa: F401
        from furrow.canvas.adoption import adopt
        from furrow.conf import conf
        from furrow.diagnosis import troubles
        from furrow.django_tasks.kinds import find
        from furrow.kinds import kind
        from furrow.kinds.handlers import discover
        from furrow.locks import strange
        from furrow.locks.conf import times
        from furrow.models.zoned import keep_zones
        from furrow.submission import eager
        from furrow.webhooks import deliveries  # noqa: F401
        from furrow.workflows import pausing  # noqa: F401

        if not settings.USE_TZ:
            keep_zones(self.get_models())
        times()  # a lease that cannot be is refused at the start and not at the first lock
        connection_created.connect(_look_for_pooler, dispatch_uid="furrow.pooler")
        strange.tell = troubles.tell
        eager.as_celery = _run_as_celery
        if find not in kind.finders:
            kind.finders.append(find)
        adopt()
        request_finished.connect(troubles.flush_quietly)
        connection_created.connect(statements.read_any_time, dispatch_uid="furrow.times")
        post_migrate.connect(_guard_again, sender=self)
        autodiscover_modules("tasks")
        modules = conf().modules
        try:
            discover(modules)
        except ModuleNotFoundError as error:
            if error.name not in modules:
                raise
            raise ImproperlyConfigured(f"FURROW['MODULES'] names {error.name!r}, and there is no such package.") from None
        adopt_noticed()
        if conf().adopt == "watch":
            from furrow.watch.listening import listen

            listen()


def _run_as_celery(ids: Any) -> None:
    from furrow.testing.inline import run_as_celery

    run_as_celery(ids)


def _look_for_pooler(connection: Any, **kwargs: Any) -> None:
    if connection.vendor == "postgresql":
        from furrow.statements.postgresql import pooled

        pooled.look_for_pooler(connection)


def _guard_again(sender: AppConfig, using: str, plan: Any = (), apps: Any = None, **others: Any) -> None:
    """On SQLite a migration that changes a table makes it anew, and its triggers go with the old one."""
    from furrow.statements import guards

    here = plan and router.allow_migrate(using, "furrow", model_name="job")
    if here and (connection := connections[using]).vendor == "sqlite":
        guards.install(connection, apps.get_models())
