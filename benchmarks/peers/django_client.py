"""What the clients of peers that live in Django share: the tables are made and emptied, and rows are counted."""

from typing import Any

import django
from django.core.management import call_command
from django.db import connection

from benchmarks.client import Client


class DjangoClient(Client):
    """Tables of a Django application."""

    tables: str

    def prepare(self) -> None:
        django.setup()
        call_command("migrate", verbosity=0)

    def reset(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"TRUNCATE {self.tables}")
            cursor.execute("CHECKPOINT")

    def number(self, query: str, *values: Any) -> int:
        """The one number that a query answers."""
        with connection.cursor() as cursor:
            cursor.execute(query, values)
            return int(cursor.fetchone()[0])
