"""Jobs that run at their submit: in a test that wants it, and where Celery's tasks do (``CELERY_TASK_ALWAYS_EAGER``).

Who runs them is :mod:`furrow.testing`, which is a room above this one and is loaded when it is needed.
"""

import uuid
from collections.abc import Callable, Sequence

from furrow.kinds.task import is_always_eager

Run = Callable[[Sequence[uuid.UUID]], None]

#: Runs jobs as Celery runs an eager task; the application puts it here.
as_celery: Run | None = None
#: Told of jobs instead; a test puts it here, and takes it away.
as_a_test: Run | None = None


def runner() -> Run | None:
    """What runs the jobs of a submit; ``None``: they wait for the dispatcher."""
    return as_a_test or (as_celery if is_always_eager() else None)
