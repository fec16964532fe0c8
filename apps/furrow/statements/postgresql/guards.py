"""Triggers that refuse what could not be read.

They run after the row, so that COPY goes on writing rows in bulk, and only where their condition says that something is wrong.
PostgreSQL parses and plans the conditions of a table's triggers anew for each statement, which took as long as the INSERT of a
job. So each is the call of a function, which a session plans once.
"""

from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper as Connection

_LOW, _HIGH = "'0001-01-02 00:00+00'::timestamptz", "'9999-12-31 00:00+00'::timestamptz"
_LIMIT = """@.key.type() == "string" && @.slots.type() == "number" && @.slots >= 1 && @.slots <= 10000
  && @.slots.floor() == @.slots
  && (!exists(@.period) || @.period == null || @.period.type() == "number" && @.period > 0 && @.period <= 2678400)
  && (!exists(@.conflict) || @.conflict == "wait" || @.conflict == "drop" || @.conflict == "cancel")
  && (!exists(@.ordered) || @.ordered.type() == "boolean") && (!exists(@.declared) || @.declared.type() == "boolean")
  && !exists(@.keyvalue() ? (@.key != "key" && @.key != "slots" && @.key != "period" && @.key != "conflict"
                             && @.key != "ordered" && @.key != "declared"))"""
#: When JSON is not of its shape.
_WRONG = {
    "json": "false",
    "object": "jsonb_typeof(given) <> 'object'",
    "texts": """jsonb_typeof(given) <> 'array' OR jsonb_path_exists(given, 'strict $[*] ? (@.type() != "string")')""",
    "limits": """jsonb_typeof(given) <> 'array' OR jsonb_path_exists(given, 'strict $[*] ? (@.type() != "object")')"""
    " OR jsonb_path_exists(given, '$[*] ? ((" + _LIMIT + ") is unknown"
    " || !(" + _LIMIT + "))')",
}
#: When it is nested too deep, or has an integer of too many digits: of short texts neither can be, of most others no run of
#: digits is long.
_UNREADABLE = """octet_length(given::text) > 500 AND (jsonb_path_exists(given, '$.**{256}')
  OR given::text ~ '[0-9]{255}' AND jsonb_path_exists(given, '$.** ? (@ >= 1e4300 || @ <= -1e4300)'))"""

_FUNCTIONS = f"""
CREATE OR REPLACE FUNCTION furrow_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION USING ERRCODE = 'check_violation', MESSAGE = TG_ARGV[1], TABLE = TG_TABLE_NAME, COLUMN = TG_ARGV[0];
END $$;
CREATE OR REPLACE FUNCTION furrow_refuse_times() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  number int := 0;
  given timestamptz;
  was timestamptz;
BEGIN
  WHILE number < TG_NARGS LOOP
    EXECUTE format('SELECT ($1).%1$I, ($2).%1$I', TG_ARGV[number]) INTO given, was
      USING NEW, CASE TG_OP WHEN 'UPDATE' THEN OLD END;
    IF given IS DISTINCT FROM was AND NOT (given >= {_LOW} AND given < {_HIGH}) THEN
      RAISE EXCEPTION USING ERRCODE = 'check_violation', MESSAGE = TG_ARGV[number + 1], DETAIL = 'It is ' || given || '.',
        TABLE = TG_TABLE_NAME, COLUMN = TG_ARGV[number];
    END IF;
    number := number + 2;
  END LOOP;
  RETURN NULL;
END $$"""


def guard(connection: Connection, guarded: Any) -> None:
    """Let this table (:class:`furrow.statements.guards.Guarded`) refuse what could not be read."""
    unguard(connection, guarded)
    table = guarded.table
    with connection.cursor() as cursor:
        cursor.execute(_FUNCTIONS)
        if guarded.times:
            names = [f"given_{number}" for number in range(len(guarded.times))]
            given = ", ".join(names)
            wrong = f"NOT (least({given}) >= {_LOW} AND greatest({given}) < {_HIGH})"
            cursor.execute(_condition("times", ", ".join(f"{name} timestamptz" for name in names), wrong))
            wrong = f"furrow_is_wrong_times({', '.join(f'NEW.{column}' for column in guarded.times)})"
            words = [word for pair in guarded.times.items() for word in pair]
            cursor.execute(_trigger(table, "times", ", ".join(guarded.times), wrong, "furrow_refuse_times", words))
        for column, (shape, message) in guarded.json.items():
            cursor.execute(_condition(shape, "given jsonb", f"{_WRONG[shape]} OR {_UNREADABLE}") + " STRICT")
            wrong = f"furrow_is_wrong_{shape}(NEW.{column})"
            cursor.execute(_trigger(table, column, column, wrong, "furrow_refuse", [column, message]))


def unguard(connection: Connection, guarded: Any) -> None:
    """Let it refuse nothing any more."""
    with connection.cursor() as cursor:
        for name in ("times", *guarded.json):
            cursor.execute(f"DROP TRIGGER IF EXISTS furrow_{name} ON {guarded.table}")


def _condition(shape: str, given: str, wrong: str) -> str:
    return (
        f"CREATE OR REPLACE FUNCTION furrow_is_wrong_{shape}({given}) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS "
        f"$$ BEGIN RETURN {wrong}; END $$"
    )


def _trigger(table: str, name: str, columns: str, wrong: str, function: str, words: list[str]) -> str:
    given = ", ".join("'" + word.replace("'", "''") + "'" for word in words)
    return (
        f"CREATE TRIGGER furrow_{name} AFTER INSERT OR UPDATE OF {columns} ON {table} FOR EACH ROW WHEN ({wrong}) "
        f"EXECUTE FUNCTION {function}({given})"
    )
