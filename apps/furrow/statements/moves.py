"""Events of jobs in SQL: the word for a move of a row, and what is told of it. Both dialects put them into their triggers.

``o`` is the row before, ``n`` the row after."""

from furrow.statements.words import FINAL
from furrow.states import Outcome
from furrow.tables import ATTEMPT

#: What :data:`WORD` may come to, and the word for a new row.
SUBMITTED, PROGRESS, SNOOZED = "submitted", "progress", Outcome.SNOOZED.value
WORDS = (
    *(SUBMITTED, "queued", "began", PROGRESS, "retried", SNOOZED, Outcome.INTERRUPTED.value, "rescued"),
    *("succeeded", "failed", "cancelled"),
)
#: In ``Job.meta``: how many subscribers in a row led to this job.
DEPTH_KEY = "furrow_depth"

_TOLD = f"('{Outcome.SNOOZED}', '{Outcome.INTERRUPTED}')"
#: The event of an UPDATE; null: none. How a run ended that is followed by another, its attempt says; a job that was taken back
#: from a worker that did not know of it has none of that number.
WORD = f"""CASE
  WHEN n.state = o.state THEN CASE
    WHEN n.state = 'running' AND n.progress IS NOT NULL
      AND (coalesce(o.progress, -1) <> n.progress OR o.progress_note <> n.progress_note) THEN '{PROGRESS}'
    WHEN n.state = 'pending' AND n.run_at > o.run_at THEN '{SNOOZED}' END
  WHEN n.state IN ('queued', 'succeeded', 'failed', 'cancelled') THEN n.state
  WHEN n.state = 'running' THEN 'began'
  WHEN n.state <> 'pending' THEN NULL
  WHEN o.state = 'running' THEN coalesce((
    SELECT CASE WHEN outcome = '{Outcome.LOST}' THEN 'rescued' WHEN outcome IN {_TOLD} THEN outcome ELSE 'retried' END
    FROM ATTEMPTS WHERE job_id = n.id AND number = n.attempt), 'rescued')
  WHEN o.state IN {FINAL} THEN 'retried'
  WHEN o.state = 'queued' AND n.run_at > o.run_at THEN '{SNOOZED}' END""".replace("ATTEMPTS", ATTEMPT)
