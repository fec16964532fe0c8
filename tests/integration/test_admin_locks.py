"""The page of locks: who holds, who waits, breaking one."""

import threading
import uuid
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.contrib.auth.models import Permission, User
from django.test import Client, override_settings
from furrow import LockLost, lock, semaphore, submit
from furrow.actions.locks import free, without_holder
from furrow.locks import client, keeper, listing
from furrow.locks.keys import key, of_lock
from furrow.models import AuditEntry, Job
from furrow.states import State

from tests import kinds
from tests.integration.test_locks import _clean
from tests.stack import wait_until

pytestmark = [pytest.mark.usefixtures("live_db", "_clean"), pytest.mark.filterwarnings("ignore:No directory at")]
_clean = _clean

PAGE = "/admin/furrow/lock/"


@pytest.fixture
def viewer(live_db: None, client: Client) -> Iterator[Client]:
    """May look at locks and jobs, and do nothing."""
    user = User.objects.create_user("looks", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_lock", "view_job"]))
    client.force_login(user)
    yield client
    user.delete()


def may_break() -> None:
    """Let the viewer break locks."""
    User.objects.get(username="looks").user_permissions.add(Permission.objects.get(codename="break_lock"))


def as_if_by(owner: str, name: str) -> None:
    """A lock that a job's run holds, without running the job."""
    client.client().hset(key("epoch"), "since", 0)
    client.run("acquire", of_lock(f"lock:{name}"), [f"{owner}/w.1", 60_000, 1, "", f"lock:{name}", 1000])


def test_who_holds_and_who_waits(viewer: Client) -> None:
    with lock("any"):
        pass  # the leases from before are over
    assert "No locks are held" in viewer.get(PAGE).content.decode()
    job = submit(kinds.add, {"a": 1})
    Job.objects.filter(pk=job.pk).update(state=State.RUNNING, attempt=2, started_at=job.created_at, worker=uuid.uuid4())
    as_if_by(f"job:{job.pk}:2", "of a job <b>")
    as_if_by(f"job:{uuid.uuid4()}:1", "of no job")
    with semaphore("gpu", 4), lock("mine"):
        thread = threading.Thread(target=lambda: lock("mine", timeout=60).__enter__())
        thread.start()
        wait_until(lambda: client.client().exists(key("line", "lock:mine")))
        page = viewer.get(PAGE).content.decode()
    thread.join(20)
    for held in list(keeper.current().holdings):
        keeper.current().let_go(held)
    assert "of a job &lt;b&gt;" in page
    assert f'href="/admin/furrow/job/{job.pk}/change/">kinds.add</a>' in page
    assert page.count("not running") == 1
    assert "1 of 4" in page
    assert "1: <span>process" in " ".join(page.split())
    assert [lock.name for lock, _ in without_holder()] == ["of no job"]
    assert ">Break<" not in page

    free([(job.pk, 1)])
    assert len(without_holder()) == 1
    free([(job.pk, 2)])
    assert "of a job <b>" not in [lock.name for lock in listing.in_use()]


def test_breaking_a_lock(viewer: Client) -> None:
    lost, began = threading.Event(), threading.Event()

    def holds() -> None:
        try:
            with lock("stuck"):
                began.set()
                while True:
                    pass
        except LockLost:
            lost.set()

    thread = threading.Thread(target=holds)
    thread.start()
    assert began.wait(20)
    ((held,),) = [one.holders for one in listing.in_use() if one.name == "stuck"]
    asked = {"lock": "lock:stuck", "token": held.token}
    assert viewer.post(PAGE + "break/", asked).status_code == 403
    may_break()
    assert viewer.get(PAGE + "break/").status_code == 405
    assert ">Break<" in viewer.get(PAGE).content.decode()
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(User.objects.get(username="looks"))
    assert strict.post(PAGE + "break/", asked).status_code == 403
    answer = viewer.post(PAGE + "break/", {**asked, "token": held.token - 1}, follow=True)
    assert "Nothing was broken" in answer.content.decode()
    answer = viewer.post(PAGE + "break/", asked, follow=True)
    assert "The holder of lock:stuck is being stopped" in answer.content.decode()
    thread.join(30)
    assert lost.is_set()
    entry = AuditEntry.objects.latest("pk")
    assert (entry.who, entry.action, entry.target, entry.detail) == ("looks", "break", "lock stuck", f"token {held.token}")
    with lock("stuck", timeout=60):
        pass


@override_settings(FURROW={**settings.FURROW, "REDIS_URL": "redis://127.0.0.1:1/0"})
def test_without_redis_the_page_says_so(viewer: Client) -> None:
    assert "Redis is unreachable" in viewer.get(PAGE).content.decode()
    may_break()
    answer = viewer.post(PAGE + "break/", {"lock": "lock:a", "token": "1"}, follow=True)
    assert "Nothing was broken: Redis is unreachable" in answer.content.decode()


def test_strangers_see_nothing(client: Client) -> None:
    assert client.get(PAGE).status_code == 302
    user = User.objects.create_user("nobody", is_staff=True)
    client.force_login(user)
    assert client.get(PAGE).status_code == 403
    assert client.get(PAGE + "live/").status_code == 403
    user.delete()
