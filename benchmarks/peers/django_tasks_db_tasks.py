"""The no-op task of django-tasks-db, in a file of its own: its worker imports it by name."""

from django_tasks import task

from benchmarks.counter import count


@task()
def noop(work: int) -> int:
    """Count, after so many milliseconds."""
    count(work)
    return work
