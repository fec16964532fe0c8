"""One action on many jobs: as a job of its own, resumed after a crash, done once; who may, and what is written down."""

import datetime as dt
import uuid
from contextlib import suppress
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone
from furrow import InputError, Job, State, submit, submit_many
from furrow.actions import bulk
from furrow.actions import jobs as actions
from furrow.context import _run
from furrow.errors import Abort
from furrow.models import AuditEntry

from tests import kinds
from tests.stack import Stack, all_ended, wait_until

pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("ignore:No directory at")]


class Running:
    """Stands for the run that the handler is in."""

    def __init__(self, id: uuid.UUID) -> None:
        self.id, self.kind, self.attempt, self.notes = id, "furrow.bulk_action", 1, list[str]()

    def progress(self, fraction: float, note: str) -> None:
        self.notes.append(note)

    def log(self, level: int, logger: str, message: str) -> None: ...
    def check(self) -> None: ...


def run(job: Job) -> Any:
    running: Any = Running(job.pk)
    token = _run.set(running)
    try:
        return bulk.bulk_action(**{name: job.arguments[name] for name in ("action", "criteria", "options")})
    finally:
        _run.reset(token)


def failed(count: int, ago: float = 1.0, **options: Any) -> list[uuid.UUID]:
    """Jobs that failed so many seconds ago: clearly, for SQLite's clock has milliseconds only."""
    ids = submit_many(kinds.noop, [{"n": n} for n in range(count)], **options)
    then = timezone.now() - dt.timedelta(seconds=ago)
    Job.objects.filter(pk__in=ids).update(state=State.FAILED, finished_at=then, attempt=5, started_at=then)
    return ids


@pytest.mark.django_db
def test_everything_that_matched_is_done_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "BATCH", 10)
    monkeypatch.setattr(bulk, "AHEAD", 25)
    ids = failed(60)
    other = submit(kinds.add, {"a": 1})
    job = bulk.start("retry", {"state": "failed", "kind": "kinds.noop"}, by="ann", origin="command line")
    late = failed(1, ago=-60)
    real, calls = bulk.perform, []

    def dies_once(*args: Any) -> Any:
        calls.append(args)
        if len(calls) == 4:
            raise OSError("the database went away")
        return real(*args)

    monkeypatch.setattr(bulk, "perform", dies_once)
    with pytest.raises(OSError):
        run(job)
    entry = AuditEntry.objects.get()
    assert (entry.count, entry.who, entry.origin, entry.job) == (25, "ann", "command line", job.pk)
    Job.objects.filter(pk__in=ids[:5]).update(state=State.FAILED, finished_at=timezone.now())  # they failed again
    assert run(job) == {"changed": 60, "left alone": 0}
    entry.refresh_from_db()
    assert entry.count == 60
    assert Job.objects.filter(pk__in=ids, state=State.PENDING).count() == 55, "what failed again is not retried again"
    assert Job.objects.get(pk=late[0]).state == State.FAILED, "what was submitted later is not touched"
    assert run(job)["changed"] == 60, "to run it again changes nothing"
    other.refresh_from_db()
    assert other.state == State.PENDING


@pytest.mark.django_db
def test_two_runs_at_once_do_no_batch_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "BATCH", 10)
    failed(30)
    job = bulk.start("retry", {"state": "failed"}, by=None, origin="API")
    real = bulk._do_batch
    inner: list[Any] = []

    def overtaken(action: str, rows: Any, ids: list[uuid.UUID], options: Any, entry: AuditEntry) -> bool:
        if not inner:
            inner.append(True)
            run(job)
        return real(action, rows, ids, options, entry)

    monkeypatch.setattr(bulk, "_do_batch", overtaken)
    assert run(job)["changed"] == 30


@pytest.mark.django_db
def test_what_cannot_be_is_refused_by_name() -> None:
    for action, criteria, options, field in (
        ("destroy", {}, {}, "action"),
        ("retry", {"stat": "failed"}, {}, "stat"),
        ("retry", {"state": "fialed"}, {}, "state"),
        ("cancel", {"batch": "x"}, {}, "batch"),
        ("change priority", {}, {"priority": "high"}, "priority"),
        ("change priority", {}, {"priority": 10}, "priority"),
        ("change queue", {}, {"queue": "defualt"}, "queue"),
        ("snooze", {}, {"until": "soon"}, "until"),
        ("snooze", {}, {}, "until"),
    ):
        with pytest.raises(InputError) as refused:
            bulk.start(action, criteria, by=None, origin="API", options=options)
        assert list(refused.value.fields) == [field]
    assert not Job.objects.exists()
    assert not AuditEntry.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("action", list(bulk.ACTIONS))
@pytest.mark.parametrize("state", list(State))
def test_each_action_changes_what_it_says_and_nothing_else(action: str, state: State) -> None:
    job = submit(kinds.add, {"a": 1}, countdown=3600)
    given: dict[str, Any] = {"state": state}
    if state == State.RUNNING:
        given |= {"worker": uuid.uuid4(), "started_at": timezone.now(), "attempt": 1}
    if state in (State.SUCCEEDED, State.FAILED, State.CANCELLED):
        given |= {"finished_at": timezone.now()}
    Job.objects.filter(pk=job.pk).update(**given)
    options = {"priority": 3, "queue": "other", "until": "2030-01-02T03:04:05+00:00"}
    option = bulk.ACTIONS[action].option
    changed = bulk.perform(action, [job.pk], {option: options[option]} if option else {}).changed
    assert changed == (state in bulk.ACTIONS[action].states)
    assert bulk.perform(action, [uuid.uuid4()], {option: options[option]} if option else {}).changed == 0
    if action == "delete" and changed:
        assert not Job.objects.exists()
    elif not changed:
        assert Job.objects.get().state == state


@pytest.mark.django_db
def test_the_last_hour_is_the_one_before_it_was_asked_for() -> None:
    old = submit(kinds.add, {"a": 1}, countdown=3600)
    Job.objects.filter(pk=old.pk).update(created_at=timezone.now() - dt.timedelta(minutes=59))
    asked = bulk.start("cancel", {"created": "1h"}, by="ann", origin="command line")
    for job in (old, asked):  # it begins five minutes later
        job.refresh_from_db()
        Job.objects.filter(pk=job.pk).update(created_at=job.created_at - dt.timedelta(minutes=5))
    assert run(asked) == {"changed": 1, "left alone": 0}


@pytest.mark.django_db
def test_a_snoozed_job_that_was_sent_waits_and_moves() -> None:
    job = submit(kinds.add, {"a": 1})
    Job.objects.filter(pk=job.pk).update(state=State.QUEUED, queued_at=timezone.now())
    assert actions.snooze(job.pk, timezone.now() + dt.timedelta(hours=1)) == 1
    job.refresh_from_db()
    assert (job.state, job.queued_at) == (State.PENDING, None)
    assert job.run_at > timezone.now()
    assert actions.change_queue([job.pk], "other") == 1
    assert actions.change_queue([job.pk], "other") == 0
    assert actions.run_now(job.pk) == 1
    assert actions.run_now(job.pk) == 0


@pytest.mark.django_db
def test_it_does_what_its_user_may_and_no_more() -> None:
    user = User.objects.create(username="ann", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_job", "act_on_job"]))
    mine, guarded = failed(1), submit(kinds.guarded)
    Job.objects.filter(pk=guarded.pk).update(state=State.FAILED, finished_at=Job.objects.get(pk=mine[0]).finished_at)
    job = bulk.start("retry", {"state": "failed"}, by=user, origin="admin")
    assert run(job) == {"changed": 1, "left alone": 0}
    assert Job.objects.get(pk=mine[0]).state == State.PENDING
    guarded.refresh_from_db()
    assert guarded.state == State.FAILED
    user.user_permissions.clear()
    with pytest.raises(Abort, match="may no longer act"):
        run(job)
    forged = submit(bulk.bulk_action, {"action": "cancel", "criteria": {}, "options": {}}, submitted_by=user)
    with pytest.raises(Abort, match="no audit entry"):
        run(forged)


@pytest.mark.django_db
@pytest.mark.parametrize("how", ["may not act", "has left", "is deleted", "may not act on that kind"])
def test_what_its_user_may_not_do_any_more_ends_with_the_batch(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    user = User.objects.create(username="ann", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_job", "act_on_job", "change_group"]))
    jobs = [submit(kinds.guarded) for _ in range(3)]
    Job.objects.update(state=State.FAILED, finished_at=jobs[0].created_at - dt.timedelta(seconds=1))
    monkeypatch.setattr(bulk, "BATCH", 1)
    perform = bulk.perform

    def perform_and_withdraw(*args: Any, **more: Any) -> Any:
        done = perform(*args, **more)
        if how == "has left":
            User.objects.update(is_active=False)
        elif how == "is deleted":
            User.objects.all().delete()
        else:
            user.user_permissions.remove(
                Permission.objects.get(codename="act_on_job" if how == "may not act" else "change_group")
            )
        return done

    monkeypatch.setattr(bulk, "perform", perform_and_withdraw)
    job = bulk.start("retry", {"kind": kinds.guarded.name}, by=user, origin="admin")
    with suppress(Abort):
        run(job)
    assert [each.state for each in Job.objects.filter(kind=kinds.guarded.name).order_by("pk")] == [
        "pending",
        "failed",
        "failed",
    ]


@pytest.mark.django_db
def test_the_page_asks_and_a_second_click_starts_no_second_job(admin_client: Client) -> None:
    failed(3, queue="other")
    failed(2)
    page = admin_client.get("/admin/furrow/job/bulk/?queue=other&state=failed")
    assert "3 jobs that match" in " ".join(page.content.decode().split())
    page = admin_client.get("/admin/furrow/job/bulk/?queue=other&state=failed&action=retry")
    assert "Retry 3 jobs" in page.content.decode()
    given = {"action": "retry", "filter": page.context["filter"], "id": str(page.context["id"])}
    first = admin_client.post("/admin/furrow/job/bulk/", given)
    assert admin_client.post("/admin/furrow/job/bulk/", given)["Location"] == first["Location"]
    job = Job.objects.get(kind="furrow.bulk_action")
    assert "Submit again" not in admin_client.get(first["Location"]).content.decode(), "it would do nothing"
    assert run(job) == {"changed": 3, "left alone": 0}
    entry = AuditEntry.objects.get()
    assert (entry.count, entry.selection) == (3, {"filter": {"queue": "other", "state": "failed"}})
    log = admin_client.get("/admin/furrow/auditentry/").content.decode()
    assert f"/admin/furrow/job/{job.pk}/change/" in log
    assert "queue=other" in log
    answer = admin_client.post("/admin/furrow/job/bulk/", {"action": "change priority", "priority": "77"})
    assert (answer.status_code, "priority: 77 must be" in answer.content.decode()) == (422, True)
    assert admin_client.get("/admin/furrow/job/bulk/?state=nonsense").status_code == 400


def test_a_bulk_retry_runs_in_the_background(stack: Stack) -> None:
    ids = failed(300)
    job = bulk.start("retry", {"state": "failed", "kind": "kinds.noop"}, by=None, origin="API")
    wait_until(lambda: Job.objects.get(pk=job.pk).state == State.SUCCEEDED, what="the bulk action ended")
    all_ended()
    assert Job.objects.get(pk=job.pk).result == {"changed": 300, "left alone": 0}
    assert Job.objects.filter(pk__in=ids, state=State.SUCCEEDED, attempt=6).count() == 300
