"""Whether a job that waits has ever begun: a condition that both databases read."""

from furrow.tables import ATTEMPT, JOB

#: A run of the job counted, or its handler was reached. A claim that was handed back before the handler began leaves an excused
#: attempt without a process, or one whose worker did not know the kind.
HAS_BEGUN = f"""(attempt > excused OR attempt > 0 AND EXISTS (
  SELECT 1 FROM {ATTEMPT} a WHERE a.job_id = {JOB}.id AND a.pid <> 0 AND a.error_type <> 'UnknownKind'))"""
