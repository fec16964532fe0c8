"""Triggers that refuse what could not be read, on SQLite."""

import sqlite3
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper as Connection

#: When a column is no time as Django writes it, in UTC, or outside of the years 1 to 9999.
_WRONG_TIME = """NEW.{0} IS NOT NULL AND (
  strftime('%Y-%m-%d %H:%M:%S', substr(NEW.{0}, 1, 19), '+0 days') IS NOT substr(NEW.{0}, 1, 19)
  OR NEW.{0} NOT BETWEEN '0001-01-02' AND '9999-12-31'
  OR substr(NEW.{0}, 20) NOT IN ('', '.') AND (substr(NEW.{0}, 20, 1) <> '.' OR substr(NEW.{0}, 21) GLOB '*[^0-9]*'))"""
_LIMIT = """l.type = 'object'
  AND json_type(l.value, '$.key') = 'text' AND json_type(l.value, '$.slots') = 'integer'
  AND json_extract(l.value, '$.slots') BETWEEN 1 AND 10000
  AND coalesce(json_type(l.value, '$.period'), 'null') IN ('null', 'integer', 'real')
  AND coalesce(json_extract(l.value, '$.period'), 1) > 0 AND coalesce(json_extract(l.value, '$.period'), 1) <= 2678400
  AND coalesce(json_type(l.value, '$.conflict'), 'text') = 'text'
  AND coalesce(json_extract(l.value, '$.conflict'), 'wait') IN ('wait', 'drop', 'cancel')
  AND coalesce(json_type(l.value, '$.ordered'), 'true') IN ('true', 'false')
  AND coalesce(json_type(l.value, '$.declared'), 'true') IN ('true', 'false')
  AND NOT EXISTS (SELECT 1 FROM json_each(l.value)
    WHERE key NOT IN ('key', 'slots', 'period', 'conflict', 'ordered', 'declared'))"""
#: When a column's JSON is not of its shape. That it is JSON at all is a CHECK of Django's.
_WRONG = {
    "json": "0",
    "object": "json_type(NEW.{0}) <> 'object'",
    "texts": "json_type(NEW.{0}) <> 'array' OR EXISTS (SELECT 1 FROM json_each(NEW.{0}) WHERE type <> 'text')",
    "limits": "json_type(NEW.{0}) <> 'array' OR EXISTS (SELECT 1 FROM json_each(NEW.{0}) l"
    f" WHERE CASE WHEN {_LIMIT} THEN 0 ELSE 1 END)",
}
#: When it has an integer of too many digits: to SQLite one of more than 19 is a real number, whose text is that of the JSON.
_UNREADABLE = """length(NEW.{0}) > 4300 AND EXISTS (SELECT 1 FROM json_tree(NEW.{0})
  WHERE type = 'integer' AND typeof(atom) = 'real' AND length(ltrim(NEW.{0} -> fullkey, '-')) > 4300)"""
_SHOWS_ELEMENTS = sqlite3.sqlite_version_info >= (3, 38)  # knows the operator ``->``


def guard(connection: Connection, guarded: Any) -> None:
    """Let this table (:class:`furrow.statements.guards.Guarded`) refuse what could not be read."""
    unguard(connection, guarded)
    wrong = {column: (_WRONG_TIME.format(column), message) for column, message in guarded.times.items()}
    for column, (shape, message) in guarded.json.items():
        unreadable = f" OR {_UNREADABLE}" if _SHOWS_ELEMENTS else ""
        wrong[column] = f"NEW.{column} IS NOT NULL AND ({_WRONG[shape]}{unreadable})".format(column), message
    for column, (whole, message) in guarded.numbers.items():  # SQLite keeps a text that is no number as it is
        right = "('null', 'integer')" if whole else "('null', 'integer', 'real')"
        wrong[column] = f"typeof(NEW.{column}) NOT IN {right}", message
    columns = ", ".join(wrong)
    with connection.cursor() as cursor:
        for event, changed in (("INSERT", ""), (f"UPDATE OF {columns}", "NEW.{0} IS NOT OLD.{0} AND ")):
            steps = "".join(
                f"SELECT RAISE(ABORT, '{_quoted(message)}') WHERE {changed.format(column)}({condition});\n"
                for column, (condition, message) in wrong.items()
            )
            if steps:
                name = f"furrow_{event.split()[0].lower()}_{guarded.table}"
                cursor.execute(f"CREATE TRIGGER {name} BEFORE {event} ON {guarded.table} BEGIN\n{steps}END")


def unguard(connection: Connection, guarded: Any) -> None:
    """Let it refuse nothing any more."""
    with connection.cursor() as cursor:
        for event in ("insert", "update"):
            cursor.execute(f"DROP TRIGGER IF EXISTS furrow_{event}_{guarded.table}")


def _quoted(message: str) -> str:
    return message.replace("'", "''")
