"""What the private database writes down by itself: every move of a job, by triggers that no engine code passes by.

``prove_move`` gets a row for each job that appears, changes its state or its attempt, is touched after it ended, or is deleted.
``prove_write`` is the table that the campaign's handlers write to.
"""

# A job that has ended gives its unique key up when another wants it: that touches nothing else.
_WATCHED = (
    "OLD.state <> NEW.state OR OLD.attempt <> NEW.attempt "
    "OR OLD.finished_at IS NOT NULL AND coalesce(OLD.unique_key, '') = coalesce(NEW.unique_key, '')"
)

POSTGRESQL = f"""
CREATE TABLE prove_move (
  seq bigserial PRIMARY KEY, at float8 NOT NULL, job uuid NOT NULL,
  before text, after text, attempt_before int, attempt int, worker uuid
);
CREATE TABLE prove_write (seq bigserial PRIMARY KEY, job uuid NOT NULL, attempt int NOT NULL, at float8 NOT NULL);
CREATE FUNCTION prove_moved() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO prove_move (at, job, before, after, attempt_before, attempt, worker)
  VALUES (extract(epoch FROM clock_timestamp()), coalesce(NEW.id, OLD.id),
          OLD.state, NEW.state, OLD.attempt, NEW.attempt, coalesce(NEW.worker, OLD.worker));
  RETURN NULL;
END $$;
CREATE TRIGGER prove_appeared AFTER INSERT OR DELETE ON jobs_job FOR EACH ROW EXECUTE FUNCTION prove_moved();
CREATE TRIGGER prove_moved AFTER UPDATE ON jobs_job FOR EACH ROW WHEN ({_WATCHED}) EXECUTE FUNCTION prove_moved();
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
  before text, after text, attempt_before int, attempt int, worker text
);
CREATE TABLE prove_write (seq integer PRIMARY KEY AUTOINCREMENT, job text NOT NULL, attempt int NOT NULL, at real NOT NULL);
CREATE TRIGGER prove_appeared AFTER INSERT ON jobs_job {_NOTE.format(**{**_NOTHING, **_NEW, "row": "NEW"})}
CREATE TRIGGER prove_vanished AFTER DELETE ON jobs_job {_NOTE.format(**{**_NOTHING, **_OLD, "row": "OLD"})}
CREATE TRIGGER prove_moved AFTER UPDATE ON jobs_job WHEN {_WATCHED} {_NOTE.format(**_OLD, **_NEW, row="NEW")}
"""
