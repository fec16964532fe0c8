"""Every error of the locks. The text of an instance names the lock, the reason and the remedy."""


class LockError(Exception):
    """A lock, semaphore or rate limit was refused or could not be used."""


class NotAcquired(LockError):
    """It was held by others for as long as the caller would wait."""


class LockUnavailable(LockError):
    """Redis, or the database when it was needed, could not be reached."""


class RateLimited(LockError):
    """The rate does not allow it within the time that the caller would wait; in ``retry_after`` seconds it may."""

    def __init__(self, text: str, retry_after: float) -> None:
        self.retry_after = retry_after
        super().__init__(text)


class StaleFence(LockError):
    """A row was written under a newer token: this holder has lost its lock. Nothing was written."""


class LockLost(BaseException):
    """Raised in the holder: the lock is lost, or will be in a moment. Stop: somebody else may hold it soon.

    A BaseException, so that ``except Exception`` cannot swallow it.
    """
