"""What a job does that asks a person: it leaves a row of ``Approval`` in one step, and waits for the decision in the next."""

import asyncio
import datetime as dt
import re
import uuid
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

from django.db.models import Max

from furrow.approvals.form import load
from furrow.approvals.mailing import tell
from furrow.approvals.telling import tell_of
from furrow.context import current_job
from furrow.errors import ApprovalRejected, ApprovalTimeout, InputError, StepError
from furrow.models import Approval, Attempt, Job, Node, Step
from furrow.statements import clock
from furrow.steps.named import seconds_in
from furrow.steps.sending import OWN
from furrow.submission.job import job

#: The kind of nodes of a workflow that are approvals.
ASKS = "furrow.approval"
#: What a rejection comes to.
REJECTIONS = ("fail", "result")
#: Characters of a title, and of a permission's name.
LONGEST = 200
#: The step that waits for the decision: behind the one that asks.
_WAITS = "{}: decision"
#: The step that tells subscribers that nobody decided in time.
_EXPIRES = "{}: expired"


class Question(NamedTuple):
    """What is asked."""

    title: str
    permission: str
    description: str = ""
    form: str = ""
    second_person: bool = False
    notify: Sequence[str] = ()
    seconds: float | None = None
    rejection: str = "fail"

    def checked(self) -> "Question":
        """This one.

        Raises:
            StepError: it cannot be.
        """
        if not isinstance(self.title, str) or not 0 < len(self.title) <= LONGEST:
            raise StepError(f"An approval's title is {str(self.title)[:80]!r}: it must be a text of 1 to {LONGEST} characters.")
        name = isinstance(self.permission, str) and re.fullmatch(r"[\w.]+\.\w+", self.permission)
        if not name or len(self.permission) > LONGEST:
            text = f"An approval's permission is {self.permission!r}"
            raise StepError(f"{text}: it must be a permission's name, such as 'shop.release'.")
        if self.rejection not in REJECTIONS:
            raise StepError(f"rejection={self.rejection!r} must be one of {', '.join(REJECTIONS)}.")
        if isinstance(self.notify, str):
            raise StepError(f"notify={self.notify!r} must be a list of addresses, permissions, and groups as 'group:name'.")
        for one in self.notify:
            if not isinstance(one, str) or not re.fullmatch(r"\S+@\S+|group:.+|[\w.]+\.\w+", one):
                raise StepError(f"notify has {one!r}: it must be an address, a permission, or a group as 'group:name'.")
        return self

    @classmethod
    def of(
        cls,
        title: str,
        permission: str,
        *,
        description: str = "",
        form: str = "",
        second_person: bool = False,
        notify: Iterable[str] = (),
        timeout: dt.timedelta | float | None = None,
        rejection: str = "fail",
    ) -> "Question":
        """From what a handler, or who writes down a workflow, gives.

        Raises:
            StepError: it cannot be.
        """
        seconds = None if timeout is None else seconds_in(timeout, "timeout")
        told = notify if isinstance(notify, str) else list(notify)
        return cls(title, permission, description, form, second_person, told, seconds, rejection).checked()


def signal_of(approval: uuid.UUID | str) -> str:
    """The name of the signal that tells a job of the decision."""
    return f"{OWN}approval {approval}"


def ask(question: Question, name: str) -> Any:
    """Ask in the job that the calling code runs in, and wait for the decision; in an async handler an awaitable of it.

    Raises:
        ApprovalRejected, ApprovalTimeout: the decision, or that there is none.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        approval = _ask(question, name)
        decision = _wait(question, name, approval)
        if decision is None:
            _expire(name, approval)
        return outcome(question, decision)
    return _asked(question, name)


async def _asked(question: Question, name: str) -> Any:
    approval = await _ask(question, name)
    decision = await _wait(question, name, approval)
    if decision is None:
        await _expire(name, approval)
    return outcome(question, decision)


def _ask(question: Question, name: str) -> Any:
    return current_job.step(name, transactional=True)(_leave)(question, name)


def _wait(question: Question, name: str, approval: str) -> Any:
    return current_job.wait_signal(signal_of(approval), timeout=question.seconds, default=None, name=_WAITS.format(name))


def _expire(name: str, approval: str) -> Any:
    return current_job.step(_EXPIRES.format(name), transactional=True)(_tell_expired)(approval)


def _tell_expired(approval: str) -> None:
    """In the transaction that records that its time is over."""
    for row in Approval.objects.filter(pk=approval, decided_at=None):
        tell_of(row, "expired")


def outcome(question: Question, decision: Any) -> Any:
    """What becomes of the job.

    Raises:
        ApprovalRejected, ApprovalTimeout: it fails.
    """
    if decision is None:
        raise ApprovalTimeout(f"Nobody decided “{question.title}” in time.")
    if not decision["approved"] and question.rejection == "fail":
        note = f": {decision['note']}" if decision["note"] else ""
        raise ApprovalRejected(f"“{question.title}” was rejected by {decision['by']}{note}")
    return decision


def _leave(question: Question, name: str) -> str:
    """The row: that of an earlier run, if it can still be decided (the job was run again from this step)."""
    asks = Job.objects.only("node", "submitted_by").get(pk=_here())
    now = clock.now()
    for earlier in Approval.objects.filter(job=asks.pk, step=name, decided_at=None):
        if earlier.timeout_at is None or earlier.timeout_at > now:
            return str(earlier.pk)
    node = Node.objects.only("workflow").filter(pk=asks.node).first() if asks.node else None
    approval = Approval(
        job=asks,
        step=name,
        workflow=node.workflow_id if node else None,
        node=node.pk if node else None,
        title=question.title,
        description=question.description,
        permission=question.permission,
        form=question.form,
        schema=_schema(question.form),
        second_person=question.second_person,
        asked_by_id=asks.submitted_by_id,
        created_at=now,
        timeout_at=None if question.seconds is None else now + dt.timedelta(seconds=question.seconds),
    )
    approval.save(force_insert=True)
    tell_of(approval, "asked")
    tell(approval, question.notify)
    return str(approval.pk)


def _schema(form: str) -> dict[str, Any] | None:
    try:
        return load(form).arguments.schema if form else None
    except InputError as error:
        raise StepError(str(error)) from None


def _here() -> uuid.UUID:
    assert current_job.id is not None
    return current_job.id


# --- A node of a workflow ---------------------------------------------------------------------------------------------


@job(name=ASKS)
def approval(
    title: str,
    permission: str,
    description: str = "",
    form: str = "",
    second_person: bool = False,
    notify: list[str] = [],  # noqa: B006 - never written to
    seconds: float | None = None,
    rejection: str = "fail",
) -> Any:
    """Ask a person. Workflows have jobs of this kind by themselves. One that was rejected, or not decided in time, and is run
    again asks again.

    Args:
        title: in few words.
        permission: who has it may decide.
        description: what there is to know.
        form: what makes the form.
        second_person: who submitted the workflow may not decide.
        notify: to whom an e-mail goes.
        seconds: wait no longer.
        rejection: fail, or result.
    """
    question = Question(title, permission, description, form, second_person, notify, seconds, rejection).checked()
    ended, number = _ended_by_decision(), 1
    while True:
        name = "approval" if number == 1 else f"approval {number}"
        approval_id = _ask(question, name)
        decision = _wait(question, name, approval_id)
        if _WAITS.format(name) not in ended:
            if decision is None:
                _expire(name, approval_id)
            return outcome(question, decision)
        number += 1


def _ended_by_decision() -> Collection[str]:
    """The waits that were over when a run last failed for good with the decision. One that was over only in a later run, which
    died and did not tell, is not among them."""
    reasons = [ApprovalRejected.__name__, ApprovalTimeout.__name__]
    told = Attempt.objects.filter(job=_here(), error_type__in=reasons).aggregate(last=Max("number"))["last"]
    steps = Step.objects.filter(job=_here(), passed_in__lte=told or 0)
    return set(steps.values_list("name", flat=True))
