"""Facts from the project's database, and actions in it, as an actor who may do so."""

import datetime as dt
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.core.exceptions import PermissionDenied
from django.core.files.base import File
from django.core.management.base import CommandError
from django.db import Error, InterfaceError, OperationalError, close_old_connections, router, transaction
from django.db.models import Count, QuerySet

from furrow.actions import bulk, queues
from furrow.actions.audit import audit
from furrow.actions.selection import select
from furrow.actions.steps import retry_from
from furrow.admin.forms.fields import OMIT
from furrow.admin.forms.file_field import FileField
from furrow.admin.forms.row_field import missing_rows
from furrow.admin.forms.table import read_csv, read_json_lines
from furrow.admin.forms.words import inputs, read_words
from furrow.approvals import deciding
from furrow.command.actor import Actor
from furrow.command.following import INTERVAL, LINES
from furrow.command.source import Away, Facts, Source, WrongTable
from furrow.diagnosis import commands
from furrow.diagnosis.approvals_as_json import approval_json
from furrow.diagnosis.as_json import job_json, kind_json, line_json, stats_json, whole_job_json
from furrow.diagnosis.figures import COUNTED
from furrow.diagnosis.workflows import select_workflows
from furrow.diagnosis.workflows_as_json import whole_workflow_json, workflow_json
from furrow.errors import UnknownKind
from furrow.kinds.kind import Kind, all_kinds, get_kind
from furrow.models import Approval, Job, LogLine, Workflow
from furrow.models.database import atomic
from furrow.models.job import new_id
from furrow.models.users import add_submitters
from furrow.statements import clock
from furrow.steps.sending import send_signal
from furrow.submission import uploads
from furrow.submission.submit import submit, submit_many
from furrow.workflows import people


class Here(Source):
    """The project's own database."""

    name = "The database"

    def __init__(self, actor: Actor) -> None:
        self._actor = actor

    def now(self) -> dt.datetime:
        return clock.now()

    def must_view(self) -> None:
        self._actor.must_view()

    # --- Looking ------------------------------------------------------------------------------------------------------

    def kinds(self) -> list[Facts]:
        return [kind_json(kind) for kind in all_kinds()]

    def kind(self, name: str) -> Facts:
        kind = get_kind(name)
        return {**kind_json(kind), "inputs": inputs(kind)}

    def must_be_kind(self, name: str) -> None:
        try:
            get_kind(name)
        except UnknownKind:
            if not Job.objects.filter(kind=name).exists():
                raise

    def jobs(self, criteria: dict[str, str], limit: int) -> list[Facts]:
        self._actor.must_view()
        found = list(select(criteria).defer("result").order_by("-pk")[:limit])
        add_submitters(found)
        return [job_json(job) for job in found]

    def job(self, job_id: uuid.UUID) -> Facts:
        self._actor.must_view()
        with _reachable():
            return whole_job_json(_find(job_id), clock.now())

    def stats(self) -> Facts:
        self._actor.must_view()
        return stats_json(clock.now())

    def worker_command(self) -> str:
        return commands.worker_command()

    # --- Following ----------------------------------------------------------------------------------------------------

    def brief(self, job_id: uuid.UUID) -> Facts:
        self._actor.must_view()
        with _reachable():
            return job_json(_find(job_id), result=True)

    def lines(self, job_id: uuid.UUID, after: int, level: int, wait: float) -> tuple[list[Facts], int]:
        with _reachable():
            rows = list(LogLine.objects.filter(job=job_id, pk__gt=after, level__gte=level).order_by("pk")[:LINES])
        if not rows:
            time.sleep(min(wait, INTERVAL))
        return [line_json(line) for line in rows], rows[-1].pk if rows else after

    def counts(self, batch: uuid.UUID) -> Counter[str]:
        with _reachable():
            rows: Any = Job.objects.filter(batch=batch).order_by().values_list("state").annotate(Count("pk"))
            return Counter(dict(rows))

    # --- Submitting ---------------------------------------------------------------------------------------------------

    def submit(self, kind: str, words: list[str], given: Facts, options: Facts) -> Facts:
        found = get_kind(kind)
        self._actor.must_submit(found)
        files: dict[str, Path] = {}

        def upload(name: str, text: str, field: FileField) -> Any:
            files[name] = _file(name, text, field)
            return OMIT

        arguments = read_words(found, words, given, upload)
        if wrong := missing_rows(found, self._actor.user, [arguments])[0]:
            raise CommandError("; ".join(f"{name}: {text}" for name, text in wrong.items()) + ". Nothing was submitted.")
        return job_json(_submit(found, arguments, files, {**options, "submitted_by": self._actor.user}))

    def submit_table(self, kind: str, content: bytes, is_json: bool, options: Facts) -> tuple[uuid.UUID, int]:
        found, actor, batch = get_kind(kind), self._actor, new_id()
        actor.must_submit(found)
        table = read_json_lines(found, content, actor.user) if is_json else read_csv(found, content, actor.user, secrets=True)
        if table.problems:
            raise WrongTable([str(problem) for problem in table.problems])
        with atomic():
            ids = submit_many(found, table.given, batch=batch, submitted_by=actor.user, **options)
            audit(
                "submit",
                by=actor.by,
                origin=actor.origin,
                target=f"{found.name}, batch {batch}",
                count=len(ids),
                token=actor.token,
            )
        return batch, len(ids)

    # --- Acting -------------------------------------------------------------------------------------------------------

    def check(self, command: str, action: str, value: Facts) -> Facts:
        self._actor.must_act()
        return bulk.check(action, value)

    def act(self, command: str, action: str, value: Facts, ids: list[uuid.UUID]) -> tuple[int, list[uuid.UUID]]:
        actor = self._actor
        rows = Job.objects.filter(pk__in=ids).exclude(kind__in=actor.forbidden_kinds())
        with atomic():
            more = {"reason": f"cancelled by {actor.by}"} if action == "cancel" else {}
            changed, locked = bulk.perform(action, list(rows.values_list("pk", flat=True)), value, **more)
            if changed:
                detail = ", ".join(f"{name} {text}" for name, text in value.items())
                one = ids[0] if len(ids) == 1 else None
                written: Any = {"job": one, "ids": ids, "count": changed, "detail": detail}
                audit(action, by=actor.by, origin=actor.origin, token=actor.token, **written)
        return changed, locked

    def count(self, action: str, criteria: dict[str, str]) -> int:
        rows: QuerySet[Job] = select(criteria).filter(state__in=bulk.ACTIONS[action].states)
        return rows.exclude(kind__in=self._actor.forbidden_kinds()).order_by()[: COUNTED + 1].count()

    def start(self, action: str, value: Facts, criteria: dict[str, str]) -> uuid.UUID:
        return bulk.start(action, criteria, by=self._actor.by, origin=self._actor.origin, options=value).pk

    def forbids_kinds(self) -> bool:
        return self._actor.user is not None

    def signal(self, job_id: uuid.UUID, name: str, payload: Any) -> bool:
        if Workflow.objects.filter(pk=job_id).exists():
            with _permitted():
                return people.signal(job_id, name, payload, self._person)
        job = self._may_act_on(job_id)
        with atomic():
            delivered = send_signal(job_id, name, payload, by=str(self._actor.by))
            self._done_to(job, "signal", name)
        return delivered

    def retry_from(self, job_id: uuid.UUID, step: str) -> bool:
        job = self._may_act_on(job_id)
        with atomic():
            if changed := bool(retry_from(job_id, step)):
                self._done_to(job, "retry from", step)
        return changed

    def _may_act_on(self, job_id: uuid.UUID) -> Job:
        self._actor.must_act()
        job = _find(job_id)
        if job.kind in self._actor.forbidden_kinds():
            raise CommandError(f"{self._actor.user} may not act on {job.kind}. Nothing was done.")
        return job

    def _done_to(self, job: Job, action: str, detail: str) -> None:
        by, origin = self._actor.by, self._actor.origin
        audit(action, by=by, origin=origin, target=f"job {job.kind}", job=job.pk, detail=detail, token=self._actor.token)

    # --- Workflows ----------------------------------------------------------------------------------------------------

    def workflows(self, state: str, search: str, limit: int) -> list[Facts]:
        self._actor.must_see_workflows()
        return [workflow_json(one) for one in select_workflows(state=state, q=search)[:limit]]

    def workflow(self, workflow_id: uuid.UUID) -> Facts:
        self._actor.must_see_workflows()
        found = Workflow.objects.filter(pk=workflow_id).first()
        if found is None:
            raise CommandError(f"There is no workflow {workflow_id}; those that ended long ago are deleted.")
        return whole_workflow_json(found)

    def act_on_workflows(self, action: str, ids: list[uuid.UUID], reason: str) -> people.Done:
        with _permitted():
            return people.perform(action, ids, self._person, reason=reason)

    def fork_workflow(self, workflow_id: uuid.UUID, node: str, arguments: Facts) -> Facts:
        with _permitted():
            new = people.fork(workflow_id, node, self._person, missing=missing_rows, arguments=arguments or None)
            return workflow_json(new)

    @property
    def _person(self) -> people.Person:
        return people.Person(self._actor.user, self._actor.by, self._actor.origin, self._actor.token)

    # --- Approvals ----------------------------------------------------------------------------------------------------

    def approvals(self, show: str, limit: int) -> list[Facts]:
        user, rows = self._actor.user, Approval.objects.order_by("-pk")
        return [
            approval_json(one) for one in deciding.select(show, user, deciding.seen_by(user, rows) if user else rows)[:limit]
        ]

    def decide(self, approval_id: uuid.UUID, approved: bool, note: str, answers: Facts | None) -> Facts:
        who = self._actor
        with _permitted():
            return approval_json(
                deciding.decide(
                    approval_id, by=who.by, approved=approved, note=note, answers=answers, origin=who.origin, token=who.token
                )
            )

    # --- Queues -------------------------------------------------------------------------------------------------------

    def pause(self, queue: str, *, reason: str, drain: bool) -> bool:
        self._actor.must_act()
        changed = queues.pause(queue, by=str(self._actor.by), reason=reason, drain=drain)
        self._write_down("drain" if drain else "pause", queue, changed)
        return changed

    def resume(self, queue: str) -> bool:
        self._actor.must_act()
        changed = queues.resume(queue)
        self._write_down("resume", queue, changed)
        return changed

    def _write_down(self, action: str, queue: str, changed: bool) -> None:
        if changed:
            actor = self._actor
            audit(action, by=actor.by, origin=actor.origin, token=actor.token, target=f"queue {queue}")


def _find(job_id: uuid.UUID) -> Job:
    job = Job.objects.filter(pk=job_id).first()
    if job is None:
        raise CommandError(f"There is no job {job_id}; jobs that ended long ago are deleted.")
    return job


@contextmanager
def _permitted() -> Iterator[None]:
    """Raises CommandError when the actor may not do it."""
    try:
        yield
    except PermissionDenied as error:
        raise CommandError(f"{error} Nothing was done.") from None


@contextmanager
def _reachable() -> Iterator[None]:
    """Raises Away when the database is."""
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        close_old_connections()
        raise Away(f"The database is unreachable: {str(error).strip()}") from None


def _file(name: str, text: str, field: FileField) -> Path:
    path = Path(text)
    if not path.is_file():
        raise CommandError(f"{name}: there is no file {text!r} here.")
    if path.stat().st_size > field.max_bytes:
        raise CommandError(f"{name}: {text!r} has {path.stat().st_size:,} bytes, the limit is {field.max_bytes:,}.")
    return path


def _submit(kind: Kind, given: dict[str, Any], files: dict[str, Path], options: dict[str, Any]) -> Job:
    """Its files are kept first; they go again if it is refused."""
    job_id, kept = new_id(), {}
    try:
        for name, path in files.items():
            with path.open("rb") as file:
                kept[name] = uploads.save(job_id, File(file), path.name)
        with transaction.atomic(using=router.db_for_write(Job)):
            job = submit(kind, {**given, **kept}, id=job_id, **options)
            if job.existed:
                uploads.adopt(job, kept)
    except BaseException as error:
        if not isinstance(error, Error):  # it may have been committed: what is left of it the sweep deletes
            uploads.discard(kept.values())
        raise
    if job.existed:
        uploads.discard(kept.values())
    return job
