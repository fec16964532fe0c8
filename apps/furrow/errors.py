"""Every error of Furrow. An error's docstring is its general message; an instance's text names the field, the reason and the
remedy. Imports neither Django, Celery nor Redis."""

import difflib
import uuid
from collections.abc import Iterable, Mapping

#: The longest that a handler may snooze, in seconds (a year).
LONGEST_SNOOZE = 366 * 86400.0
#: So begins the reason of a job that went back since it is for workers of another version of the code.
CANARY, PINNED = "It is for workers", "It is pinned to"


def did_you_mean(given: object, known: Iterable[str]) -> str:
    """The remedy for an unknown name: the most similar known one, then all of them."""
    names = sorted(map(str, known))
    near = difflib.get_close_matches(str(given).lower(), {name.lower(): name for name in names}, n=1)
    hint = next((f"did you mean {name!r}? Known" for name in names if near and name.lower() == near[0]), "known")
    return f"{hint}: {', '.join(names)}"


class FurrowError(Exception):
    """Base of Furrow's errors, other than those of locks."""


class KindError(FurrowError):
    """The declaration of a kind cannot work; raised when its module is imported."""


class UnknownKind(FurrowError):
    """No kind of this name is registered in this process."""


def unknown_kind(name: object, known: Iterable[str]) -> UnknownKind:
    """The error for a kind's name; suggests similar ones of those that are known."""
    names = sorted(known)
    near = difflib.get_close_matches(str(name), names, n=3) or names[:5]
    hint = f"Did you mean {' or '.join(near)}?" if near else "No kind is registered; see FURROW['MODULES']."
    return UnknownKind(f"There is no kind {name!r}. {hint}")


class SubmitError(FurrowError, ValueError):
    """A submit was refused; nothing was written.

    ``fields`` maps each field at fault (an argument, ``queue``, ``run_at``, …) to the reason and the remedy.
    """

    def __init__(self, kind: str, fields: Mapping[str, str], what: str = "was not submitted") -> None:
        self.kind = kind
        self.fields = dict(fields)
        super().__init__(f"{kind} {what}: " + "; ".join(f"{name}: {text}" for name, text in self.fields.items()))


class ArgumentError(SubmitError):
    """An argument is missing, unknown, of the wrong type, or not storable as JSON."""


class OptionError(SubmitError):
    """An option of a submit (``queue``, ``run_at``, ``priority``, …) is invalid."""


class WorkflowError(FurrowError, ValueError):
    """A workflow cannot be: the text names the node, the reason and the remedy. Nothing was written."""


class UnknownQueue(FurrowError, ValueError):
    """No queue of this name is configured."""


class InputError(FurrowError, ValueError):
    """A request for an action is invalid; nothing was changed. ``fields`` maps each field to the reason and the remedy."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        self.fields = dict(fields)
        super().__init__("; ".join(f"{name}: {text}" for name, text in self.fields.items()))


class EventError(InputError):
    """An event was not published: its name or its data cannot be; nothing was written."""


class NotUnique(SubmitError):
    """A job with this unique key exists; ``job`` is its id."""

    def __init__(self, kind: str, fields: Mapping[str, str], job: uuid.UUID) -> None:
        self.job = job
        super().__init__(kind, fields)


class BrokerError(FurrowError):
    """RabbitMQ was unreachable or did not accept a message."""


class Unserved(BrokerError):
    """RabbitMQ cannot serve one queue; other queues are unaffected."""


class QueueRefused(Unserved):
    """RabbitMQ refuses a queue: another program declared it otherwise, or access is denied."""


class NoPartitions(Unserved):
    """RabbitMQ lacks the plugin that spreads a queue over partitions."""


class JobFailed(FurrowError):
    """The job failed; the text is the error of its last attempt. Raised by ``AsyncResult.get()``."""


class JobCancelled(FurrowError):
    """The job was cancelled; the text is the reason. Raised by ``AsyncResult.get()``."""


class WorkflowFailed(FurrowError):
    """The workflow failed, or was cancelled; the text names the nodes and the reasons. Raised by :func:`furrow.wait`."""


class ResultError(FurrowError):
    """The handler's return value is not storable as JSON, or too large."""


class MiddlewareError(FurrowError):
    """A middleware of ``FURROW["MIDDLEWARE"]`` does not call the next one exactly once."""


class StepError(FurrowError):
    """A step of a job cannot be taken as the handler asks for it; another attempt cannot mend that."""


class SignalTimeout(FurrowError):
    """The signal did not come in time. Raised by ``current_job.wait_signal``, in each run of the job again."""


class CutOff(FurrowError):
    """A run was cut off by no doing of its handler: its process died, or its worker was lost."""


class DeadMessageError(FurrowError):
    """A dead message cannot be replayed."""


# --- Raised inside a handler ------------------------------------------------------------------------------------------


class Snooze(FurrowError):
    """Raise it in a handler to run the job again after ``seconds``. The attempt does not count towards ``max_attempts``."""

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
    """Raise it in a handler to fail the attempt and try again after ``seconds``; ``None``: after the policy's wait."""

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
    """Raise it in a handler to fail the job at once, whatever attempts are left."""


class ApprovalRejected(Abort):
    """Somebody rejected what the job asked for; the text says who, and their note. Raised by ``current_job.approval``."""


class ApprovalTimeout(Abort):
    """Nobody decided in time. Raised by ``current_job.approval``."""


class StaleRun(FurrowError):
    """A newer run of the job exists; this run's transaction is rolled back."""


class TransactionEnded(FurrowError):
    """The handler of a ``transactional`` kind ended or rolled back the transaction that settles its job."""


class Interruption(BaseException):
    """Raised inside a handler to stop it. A BaseException: ``except Exception`` does not catch it."""


class SoftTimeout(Interruption):
    """Raised inside a handler when the kind's soft timeout has passed. Clean up and return or re-raise before ``timeout``."""


class Cancelled(Interruption):
    """Raised inside a handler when its job was cancelled."""


class Suspended(Interruption):
    """Raised inside a handler to end its run at a step that waits; the job goes on there in a later run."""

    def __init__(self, seconds: float, reason: str) -> None:
        self.seconds = min(max(seconds, 0.0), LONGEST_SNOOZE)
        super().__init__(reason)


class StepChanged(Interruption):
    """Raised inside a handler whose steps are not those that earlier runs of the job recorded; the job is held."""


class Elsewhere(Interruption):
    """Ends a run before its handler is called: the job is for workers of another version of the code."""

    def __init__(self, seconds: float, reason: str) -> None:
        self.seconds = seconds
        super().__init__(reason)


class Superseded(Interruption):
    """Raised inside a handler whose run is not the job's current one any more; nothing that it does is recorded."""
