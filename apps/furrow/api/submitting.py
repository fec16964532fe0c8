"""Submit jobs: one, many of one kind, or a batch of several kinds; all or none."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest

from furrow.actions.audit import audit
from furrow.admin.forms.arguments import argument_fields
from furrow.admin.forms.file_field import FileField
from furrow.admin.forms.row_field import missing_rows
from furrow.admin.forms.table import read_csv, read_json_lines
from furrow.admin.forms.words import WrongWord, read_words
from furrow.api.auth import Caller, caller, needs
from furrow.api.idempotency import Key, once
from furrow.api.jobs import router
from furrow.api.shapes import Batch, BatchOfJobs, ManyJobs, OneJob, Options, SubmittedJob
from furrow.diagnosis.as_json import job_json
from furrow.errors import ArgumentError, FurrowError, OptionError, SubmitError
from furrow.kinds.kind import Kind, get_kind
from furrow.models import Job
from furrow.models.api_token import Scope
from furrow.models.audit_entry import Origin
from furrow.models.job import new_id
from furrow.plural import counted
from furrow.submission.submit import submit, submit_many
from furrow.web.problems import Refused

_MAY = needs(Scope.SUBMIT)
NO_FILE = "is a file, which cannot be given over HTTP: submit with the form in the admin, or where the project is"


@router.post("/jobs", auth=_MAY, response={200: SubmittedJob, 201: SubmittedJob}, operation_id="submit_job")
def submit_job(request: HttpRequest, job: OneJob, idempotency_key: Key = None) -> Any:
    """Submit a job (201). For a kind with ``unique`` it may be a job that was there (200)."""
    who = caller(request)

    def do() -> tuple[int, Any]:
        found = _submit(who, job)
        if not found.existed:
            audit("submit", by=who.user, origin=Origin.API, target=f"job {found.kind}", job=found.pk, token=who.named)
        return 200 if found.existed else 201, {**job_json(found), "existed": found.existed}

    return once(request, who.user, idempotency_key, do)


@router.post("/kinds/{name}/jobs", auth=_MAY, response={201: Batch}, operation_id="submit_many")
def submit_rows(request: HttpRequest, name: str, many: ManyJobs, idempotency_key: Key = None) -> Any:
    """Submit a job of one kind for each row of arguments, all or none, as a batch."""
    who = caller(request)

    def do() -> tuple[int, Any]:
        kind = kind_for(who, name)
        options = options_for(kind, many)
        batch = options.pop("batch", None) or new_id()
        rows = _rows(who, kind, many)
        for number, wrong in enumerate(missing_rows(kind, who.user, rows)):
            _refuse(wrong, f"rows.{number}.")
        try:
            ids = submit_many(kind, rows, batch=batch, submitted_by=who.user, **options)
        except ArgumentError as error:
            fields = {name.replace("row ", "rows.", 1).replace(": ", ".", 1): text for name, text in error.fields.items()}
            raise Refused(422, str(error), fields) from None
        _write_down(who, f"{kind.name}, batch {batch}", len(ids))
        return 201, {"batch": batch, "ids": ids}

    return once(request, who.user, idempotency_key, do)


@router.post("/batches", auth=_MAY, response={201: Batch}, operation_id="submit_batch")
def submit_batch(request: HttpRequest, batch: BatchOfJobs, idempotency_key: Key = None) -> Any:
    """Submit jobs of several kinds, all or none."""
    who = caller(request)

    def do() -> tuple[int, Any]:
        shared = new_id()
        ids = [_submit(who, job, f"jobs.{number}.", batch=job.batch or shared).pk for number, job in enumerate(batch.jobs)]
        _write_down(who, f"batch {shared}", len(ids))
        return 201, {"batch": shared, "ids": ids}

    return once(request, who.user, idempotency_key, do)


# --- Steps ------------------------------------------------------------------------------------------------------------


def _submit(who: Caller, job: OneJob, where: str = "", **more: Any) -> Job:
    """As :func:`furrow.submit` does it, for who may.

    Raises:
        Refused, FurrowError: nothing was submitted.
    """
    try:
        kind = kind_for(who, job.kind)
        arguments = read_words(kind, job.words, arguments_for(kind, job.arguments, "arguments"), _no_file)
        _refuse(missing_rows(kind, who.user, [arguments])[0], "arguments.")
        return submit(kind, arguments, submitted_by=who.user, **{**options_for(kind, job), **more})
    except ArgumentError as error:
        raise Refused(422, str(error), {f"{where}arguments.{name}": text for name, text in error.fields.items()}) from None
    except WrongWord as error:
        raise Refused(422, str(error), {f"{where}words.{name}": text for name, text in error.fields.items()}) from None
    except Refused as error:
        if where and error.fields:
            raise Refused(error.status, fields={where + name: text for name, text in error.fields.items()}) from None
        raise
    except FurrowError as error:
        if not where:
            raise
        fields = error.fields if isinstance(error, SubmitError) else {"kind": str(error)}
        raise Refused(422, str(error), {where + name: text for name, text in fields.items()}) from None


def kind_for(who: Caller, name: str) -> Kind:
    """The kind, for who may submit it."""
    kind = get_kind(name)
    who.must_submit(kind)
    return kind


def arguments_for(kind: Kind, given: Any, where: str) -> Mapping[str, Any]:
    """Arguments as they were given.

    Raises:
        Refused: 422, when they are no object, or one is a file.
    """
    if not isinstance(given, dict):
        raise Refused(422, fields={where: "must be an object of the arguments by name"})
    _refuse(
        {
            name: NO_FILE
            for name, field in argument_fields(kind).items()
            if isinstance(field, FileField) and given.get(name) is not None
        },
        f"{where}.",
    )
    return given


def _rows(who: Caller, kind: Kind, many: ManyJobs) -> list[Mapping[str, Any]]:
    """The arguments of each job, from rows or from a table."""
    if (many.rows is None) == (many.table is None):
        raise Refused(422, fields={"rows": "give either rows or a table"})
    if many.rows is not None:
        return [arguments_for(kind, row, f"rows.{number}") for number, row in enumerate(many.rows)]
    content = (many.table or "").encode("utf-8", "surrogatepass")
    is_csv = many.table_format == "csv"
    table = read_csv(kind, content, who.user, secrets=True) if is_csv else read_json_lines(kind, content, who.user)
    wrong = {".".join(["table", str(one.line), one.column]).rstrip("."): one.text for one in table.problems}
    if wrong:
        raise Refused(422, f"Nothing was submitted: {counted(len(wrong), 'problem')} in the table.", wrong)
    return [arguments_for(kind, row, "table") for row in table.given]


def _no_file(name: str, text: str, field: FileField) -> Any:
    raise WrongWord(name, f"{name}: {NO_FILE}. Nothing was submitted.")


def options_for(kind: Kind, given: Options) -> dict[str, Any]:
    """Options of a submit.

    Raises:
        OptionError: one is of another type.
    """
    options = given.chosen()
    if "run_at" in options:
        options["run_at"] = _moment(kind, options["run_at"])
    if not isinstance(options.get("expires", 0), (int, float)):
        raise OptionError(kind.name, {"expires": f"{options['expires']!r:.60} must be a number of seconds"})
    if not isinstance(options.get("batch", ""), str):
        raise OptionError(kind.name, {"batch": f"{options['batch']!r:.60} must be a UUID"})
    return options


def _moment(kind: Kind, text: Any) -> dt.datetime:
    try:
        return dt.datetime.fromisoformat(text)
    except (ValueError, TypeError):
        raise OptionError(kind.name, {"run_at": f"{text!r:.60} is no time: write it as 2026-01-31T13:45:00Z"}) from None


def _refuse(wrong: Mapping[str, str], before: str) -> None:
    if wrong:
        text = "; ".join(f"{name}: {text}" for name, text in wrong.items()) + ". Nothing was submitted."
        raise Refused(422, text, {before + name: text for name, text in wrong.items()})


def _write_down(who: Caller, target: str, count: int) -> None:
    audit("submit", by=who.user, origin=Origin.API, target=target, count=count, token=who.named)
