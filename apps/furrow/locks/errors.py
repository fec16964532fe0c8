"""Every error of locks. An instance's text names the lock, the reason and the remedy."""


class LockError(Exception):
    """Base of the errors of locks, semaphores and rate limits; itself: one of them was misused."""


class NotAcquired(LockError):
    """Others held the lock for the whole ``timeout``."""


class LockUnavailable(LockError):
    """Redis is unreachable or not configured (or the database, where a token needs it)."""


class RateLimited(LockError):
    """The rate has no room within ``timeout``; it has in ``retry_after`` seconds."""

    def __init__(self, text: str, retry_after: float) -> None:
        self.retry_after = retry_after
        super().__init__(text)


class StaleFence(LockError):
    """The row has a newer token, so this holder has lost its lock. Nothing was written."""


class LockLost(BaseException):
    """Raised in a holder whose lock is lost, or about to be. Stop: another holder may have it soon.

    A BaseException: ``except Exception`` does not catch it.
    """
