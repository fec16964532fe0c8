"""The no-op task of django-tasks-db, in a file of its own: its worker imports it by name."""

from django_tasks import task  # type: ignore[import-not-found]

from benchmarks.counter import count


@task()  # type: ignore[untyped-decorator]
def noop(work: int) -> int:
    """Count, after so many milliseconds."""
    count(work)
    return work
