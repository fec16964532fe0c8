"""Every error of the engine. An error's docstring is its general message; the text of an instance names the field, the
reason and the remedy. Imports neither Django, Celery nor Redis."""

import difflib
import uuid
from collections.abc import Iterable, Mapping

#: The longest that a handler may snooze, in seconds (a year).
LONGEST_SNOOZE = 366 * 86400.0


def did_you_mean(given: object, known: Iterable[str]) -> str:
    """The remedy for a name that means nothing: the nearest known one, and all of them."""
    names = sorted(map(str, known))
    near = difflib.get_close_matches(str(given).lower(), {name.lower(): name for name in names}, n=1)
    hint = next((f"did you mean {name!r}? Known" for name in names if near and name.lower() == near[0]), "known")
    return f"{hint}: {', '.join(names)}"


class FurrowError(Exception):
    """Something Furrow refused or could not do."""


class KindError(FurrowError):
    """A job kind is declared in a way that cannot work."""


class UnknownKind(FurrowError):
    """No kind of this name is registered in this process."""


class SubmitError(FurrowError, ValueError):
    """A job was refused; nothing was written.

    ``fields`` maps each field at fault (an argument's name, ``queue``, ``run_at``, …) to the reason and the remedy.
    """

    def __init__(self, kind: str, fields: Mapping[str, str], what: str = "was not submitted") -> None:
        self.kind = kind
        self.fields = dict(fields)
        super().__init__(f"{kind} {what}: " + "; ".join(f"{name}: {text}" for name, text in self.fields.items()))


class ArgumentError(SubmitError):
    """An argument is missing, unknown, of the wrong type, or cannot be stored."""


class OptionError(SubmitError):
    """An option of the submit (queue, run_at, priority, …) is not possible."""


class UnknownQueue(FurrowError, ValueError):
    """No queue of this name is configured."""


class InputError(FurrowError, ValueError):
    """What a person asked for cannot be; nothing was changed. ``fields`` maps each field to the reason and the remedy."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        self.fields = dict(fields)
        super().__init__("; ".join(f"{name}: {text}" for name, text in self.fields.items()))


class NotUnique(SubmitError):
    """A job with this unique key is there already; ``job`` is its id."""

    def __init__(self, kind: str, fields: Mapping[str, str], job: uuid.UUID) -> None:
        self.job = job
        super().__init__(kind, fields)


class BrokerError(FurrowError):
    """RabbitMQ could not be reached or did not take a message."""


class Unserved(BrokerError):
    """RabbitMQ cannot serve one queue; other queues are served."""


class QueueRefused(Unserved):
    """RabbitMQ refuses a queue: one of that name is there that Furrow did not make, or may not be used."""


class NoPartitions(Unserved):
    """RabbitMQ cannot spread a queue over partitions."""


class JobFailed(FurrowError):
    """The job ended ``failed``; the text is the last attempt's error."""


class JobCancelled(FurrowError):
    """The job ended ``cancelled``."""


class ResultError(FurrowError):
    """The handler's return value cannot be kept as JSON, or is too large."""


class MiddlewareError(FurrowError):
    """A middleware of ``FURROW["MIDDLEWARE"]`` does not call the next one exactly once."""


class DeadMessageError(FurrowError):
    """A message cannot be replayed."""


# --- Raised inside a handler ------------------------------------------------------------------------------------------


class Snooze(FurrowError):
    """Raised by a handler: run this job again after ``seconds``; the attempt does not count."""

    def __init__(self, seconds: float, reason: str = "") -> None:
        if not 0 <= seconds <= LONGEST_SNOOZE:
            raise ValueError(f"Snooze(seconds={seconds!r}): seconds must be from 0 to {LONGEST_SNOOZE:.0f} (a year).")
        self._seconds = float(seconds)
        super().__init__(reason or f"snoozed for {seconds:g} s")

    @property
    def seconds(self) -> float:
        """For how long; checked, and so not to be changed."""
        return self._seconds


class Retry(FurrowError):
    """Raised by a handler: this attempt failed, try again after ``seconds`` (``None``: as the kind's policy says)."""

    def __init__(self, reason: str = "", *, seconds: float | None = None) -> None:
        if seconds is not None and not seconds >= 0:
            raise ValueError(f"Retry(seconds={seconds!r}): seconds must be 0 or more.")
        self._seconds = seconds
        super().__init__(reason or "the handler asked for a retry")

    @property
    def seconds(self) -> float | None:
        """After how long; checked, and so not to be changed."""
        return self._seconds


class Abort(FurrowError):
    """Raised by a handler: fail now, whatever attempts are left."""


class StaleRun(FurrowError):
    """The job belongs to another run by now; what this one wrote in its transaction is rolled back."""


class TransactionEnded(FurrowError):
    """The handler of a ``transactional`` kind has ended or given up the transaction that settles its job."""


class Interruption(BaseException):
    """Stops a handler from outside. A BaseException, so that ``except Exception`` in a handler cannot swallow it."""


class SoftTimeout(Interruption):
    """The kind's soft timeout passed while the handler ran."""


class Cancelled(Interruption):
    """Somebody cancelled this job while it ran."""
