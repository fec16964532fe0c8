"""RQ's no-op job, in a file of its own: its workers import it by name."""

from benchmarks.counter import count


def noop(work: int) -> int:
    """Count, after so many milliseconds."""
    count(work)
    return work
