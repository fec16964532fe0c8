"""Furrow's no-op job: loaded by ``FURROW_MODULES=benchmarks.peers.furrow_kinds``."""

from furrow import job

from benchmarks.counter import count


@job
def noop(work: int) -> int:
    """Count, after so many milliseconds."""
    count(work)
    return work
