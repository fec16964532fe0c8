"""Settings of a project whose router puts jobs into another database.

``jobs`` is that of the tests, ``default`` an SQLite file."""

import os
from typing import Any

from config.settings import *  # noqa: F403
from config.settings import DATABASES as GIVEN

DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["OTHER_DATABASE"]},
    "jobs": GIVEN["default"],
}
DATABASE_ROUTERS = ["tests.other_database.JobsElsewhere"]


class JobsElsewhere:
    """As Django's guide has it."""

    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        return "jobs" if model._meta.app_label == "furrow" else None

    db_for_write = db_for_read

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        return (db == "jobs") == (app_label == "furrow")
