"""What the private database writes down by itself: every move of a job, by triggers that no engine code passes by.

``prove_move`` gets a row for each job that appears, changes its state or its attempt, is touched after it ended, or is deleted.
Its times are the machine's, also while the database's clock is ``ahead`` of that.
``prove_write`` is the table that the campaign's handlers write to.
"""

from furrow.tables import JOB

# A job that has ended gives up its unique key when another wants it, or sooner when the clock is set: that is no touch.
_WATCHED = (
    "OLD.state <> NEW.state OR OLD.attempt <> NEW.attempt "
    "OR OLD.finished_at IS NOT NULL AND coalesce(OLD.unique_key, '') = coalesce(NEW.unique_key, '') "
    "AND coalesce(CAST(OLD.unique_expires_at AS text), '') = coalesce(CAST(NEW.unique_expires_at AS text), '')"
)

POSTGRESQL = f"""
CREATE TABLE prove_move (
  seq bigserial PRIMARY KEY, at float8 NOT NULL, job uuid NOT NULL,
  before text, after text, attempt_before int, attempt int, worker uuid, ahead float8 NOT NULL
);
CREATE FUNCTION prove_ahead() RETURNS float8 LANGUAGE sql AS 'SELECT 0::float8';
CREATE TABLE prove_write (seq bigserial PRIMARY KEY, job uuid NOT NULL, attempt int NOT NULL, at float8 NOT NULL);
CREATE FUNCTION prove_moved() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE ahead float8; at float8; BEGIN
  LOOP
    ahead := prove_ahead();
    at := extract(epoch FROM clock_timestamp()) - ahead;
    EXIT WHEN ahead = prove_ahead();
  END LOOP;
  INSERT INTO prove_move (at, job, before, after, attempt_before, attempt, worker, ahead)
  VALUES (at, coalesce(NEW.id, OLD.id),
          OLD.state, NEW.state, OLD.attempt, NEW.attempt, coalesce(NEW.worker, OLD.worker), ahead);
  RETURN NULL;
END $$;
CREATE TRIGGER prove_appeared AFTER INSERT OR DELETE ON {JOB} FOR EACH ROW EXECUTE FUNCTION prove_moved();
CREATE TRIGGER prove_moved AFTER UPDATE ON {JOB} FOR EACH ROW WHEN ({_WATCHED}) EXECUTE FUNCTION prove_moved();
"""

#: Where the server's clock can be set: by how many seconds it was ahead, which the superuser alone may read.
CLOCKED = """
CREATE OR REPLACE FUNCTION prove_ahead() RETURNS float8 LANGUAGE sql SECURITY DEFINER AS
  $$ SELECT pg_catalog.pg_read_file('../clock')::float8 $$;
"""

_NOTE = """
BEGIN
  INSERT INTO prove_move (at, job, before, after, attempt_before, attempt, worker)
  VALUES ((julianday('now') - 2440587.5) * 86400.0, {row}.id, {before}, {after}, {attempt_before}, {attempt}, {row}.worker);
END;"""
_OLD = {"before": "OLD.state", "attempt_before": "OLD.attempt"}
_NEW = {"after": "NEW.state", "attempt": "NEW.attempt"}
_NOTHING = dict.fromkeys(("before", "after", "attempt_before", "attempt"), "NULL")

SQLITE = f"""
CREATE TABLE prove_move (
  seq integer PRIMARY KEY AUTOINCREMENT, at real NOT NULL, job text NOT NULL,
  before text, after text, attempt_before int, attempt int, worker text, ahead real NOT NULL DEFAULT 0
);
CREATE TABLE prove_write (seq integer PRIMARY KEY AUTOINCREMENT, job text NOT NULL, attempt int NOT NULL, at real NOT NULL);
CREATE TRIGGER prove_appeared AFTER INSERT ON {JOB} {_NOTE.format(**{**_NOTHING, **_NEW, "row": "NEW"})}
CREATE TRIGGER prove_vanished AFTER DELETE ON {JOB} {_NOTE.format(**{**_NOTHING, **_OLD, "row": "OLD"})}
CREATE TRIGGER prove_moved AFTER UPDATE ON {JOB} WHEN {_WATCHED} {_NOTE.format(**_OLD, **_NEW, row="NEW")}
"""
