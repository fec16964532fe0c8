"""Who may see and do what: every address and every action, for every kind of user."""

import uuid

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from furrow import Job, State, submit
from furrow.actions.bulk import ACTIONS
from furrow.models import AuditEntry

from tests import kinds
from tests.people import login

pytestmark = [pytest.mark.django_db, pytest.mark.filterwarnings("ignore:No directory at")]


SEEN = [
    "furrow/job/",
    "furrow/job/{id}/change/",
    "furrow/job/{id}/live/",
    "furrow/job/{id}/log/",
    "furrow/job/{id}/json/arguments/",
    "furrow/attempt/",
    "furrow/logline/",
    "furrow/worker/",
    "furrow/leader/",
]
SUBMITS = ["furrow/job/submit/", "furrow/job/submit/kinds.add/"]
ACTS = [f"furrow/job/{{id}}/{name.replace(' ', '-')}/" for name in ACTIONS]


@pytest.fixture
def waiting() -> Job:
    return submit(kinds.add, {"a": 1}, countdown=3600)


VIEW = ["view_job", "view_attempt", "view_logline", "view_worker", "view_leader"]


def address(path: str, job: Job) -> str:
    return "/admin/" + path.format(id=job.pk)


@pytest.mark.parametrize("path", [*SEEN, *SUBMITS])
def test_strangers_are_sent_to_the_login(client: Client, waiting: Job, path: str) -> None:
    answer = client.get(address(path, waiting))
    assert answer.status_code == 302
    assert answer["Location"].startswith("/admin/login/")


@pytest.mark.parametrize("path", [*SEEN, *SUBMITS])
def test_staff_without_permissions_see_nothing(client: Client, waiting: Job, path: str) -> None:
    assert login(client).get(address(path, waiting)).status_code == 403


@pytest.mark.parametrize("path", ACTS)
@pytest.mark.parametrize("names", [[], VIEW, ["act_on_job"], [*VIEW, "submit_job", "change_job", "delete_job", "add_job"]])
def test_acting_needs_its_permission(client: Client, waiting: Job, path: str, names: list[str]) -> None:
    assert login(client, *names).post(address(path, waiting)).status_code == 403
    waiting.refresh_from_db()
    assert waiting.state == State.PENDING
    assert waiting.cancel_requested_at is None


def test_viewers_see_everything_and_no_buttons(client: Client, waiting: Job) -> None:
    login(client, *VIEW)
    for path in SEEN:
        assert client.get(address(path, waiting)).status_code == 200, path
    for path in SUBMITS:
        assert client.get(address(path, waiting)).status_code == 403, path
        assert client.post(address(path, waiting), {"a": "1"}).status_code in (403, 405), path
    page = client.get(address("furrow/job/{id}/change/", waiting)).content.decode()
    assert "/cancel/" not in page
    assert "Submit again" not in page
    assert Job.objects.count() == 1


def test_viewers_cannot_act_from_the_list(client: Client, waiting: Job) -> None:
    login(client, *VIEW)
    client.post("/admin/furrow/job/", {"action": "cancel", "_selected_action": str(waiting.pk)})
    for given in ({"ids": str(waiting.pk)}, {"filter": "state=pending"}, {}):
        assert client.post("/admin/furrow/job/bulk/", {"action": "cancel", **given}).status_code == 403
    assert client.get("/admin/furrow/job/bulk/?state=pending&action=cancel").status_code == 403
    client.post("/admin/furrow/job/", {"action": "delete_selected", "_selected_action": str(waiting.pk), "post": "yes"})
    waiting.refresh_from_db()
    assert waiting.state == State.PENDING


def test_submitters_who_may_not_look(client: Client, waiting: Job) -> None:
    login(client, "submit_job")
    assert client.get("/admin/furrow/job/submit/kinds.add/").status_code == 200
    answer = client.post("/admin/furrow/job/submit/kinds.add/", {"a": "4"})
    assert answer["Location"] == "/admin/furrow/job/submit/"
    assert Job.objects.filter(arguments__a=4, submitted_by__username="somebody").count() == 1
    begun = client.get(f"/admin/furrow/job/submit/kinds.add/?again={waiting.pk}").context["form"]
    assert begun["a"].value() is None, "an earlier job's arguments are for those who may see it"


@pytest.mark.parametrize("path", [*ACTS, *SUBMITS[1:], "furrow/job/"])
def test_acting_needs_a_csrf_token(waiting: Job, admin_user: User, path: str) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user)
    assert client.post(address(path, waiting), {"a": "1"}).status_code == 403
    assert Job.objects.get().state == State.PENDING


@pytest.mark.parametrize("path", ACTS)
def test_acting_needs_a_post(admin_client: Client, waiting: Job, path: str) -> None:
    assert admin_client.get(address(path, waiting)).status_code == 405
    assert Job.objects.get().state == State.PENDING


@pytest.mark.parametrize("path", [*SEEN[1:5], "furrow/job/{id}/"])
@pytest.mark.parametrize("id", ["nonsense", "0196f2b3", "' OR 1=1", "0" * 36])
def test_an_id_that_is_none_is_not_found(admin_client: Client, path: str, id: str) -> None:
    assert admin_client.get("/admin/" + path.format(id=id), follow=True).status_code == 404


def test_a_job_that_is_not_there(admin_client: Client) -> None:
    for path in SEEN[1:5]:
        assert admin_client.get("/admin/" + path.format(id=uuid.uuid4())).status_code == 404
    for path in ACTS:
        assert admin_client.post("/admin/" + path.format(id=uuid.uuid4())).status_code == 404


@pytest.mark.parametrize(
    "path", ["furrow/job/{id}/delete/", "furrow/job/add/", "furrow/worker/add/", "furrow/attempt/add/", "furrow/logline/add/"]
)
def test_rows_are_neither_made_nor_deleted_by_hand(admin_client: Client, waiting: Job, path: str) -> None:
    for answer in (admin_client.get(address(path, waiting)), admin_client.post(address(path, waiting), {"post": "yes"})):
        assert answer.status_code in (403, 405) or answer["Location"] in (
            "/admin/furrow/job/submit/",
            address(SEEN[1], waiting),
        )
    assert Job.objects.count() == 1


def test_a_job_is_not_edited(admin_client: Client, waiting: Job) -> None:
    answer = admin_client.post(address("furrow/job/{id}/change/", waiting), {"state": "succeeded", "kind": "other"})
    assert answer.status_code == 405
    waiting.refresh_from_db()
    assert (waiting.state, waiting.kind) == (State.PENDING, "kinds.add")


def test_cancel_and_retry(admin_client: Client, waiting: Job) -> None:
    page = admin_client.post(address("furrow/job/{id}/cancel/", waiting), follow=True).content.decode()
    assert "The job is cancelled." in page
    waiting.refresh_from_db()
    assert (waiting.state, waiting.error) == (State.CANCELLED, "cancelled by admin")
    page = admin_client.post(address("furrow/job/{id}/cancel/", waiting), follow=True).content.decode()
    assert "Not cancelled: the job had ended (cancelled)." in page
    page = admin_client.post(address("furrow/job/{id}/retry/", waiting), follow=True).content.decode()
    assert "The job will run again." in page
    page = admin_client.post(address("furrow/job/{id}/retry/", waiting), follow=True).content.decode()
    assert "Not retried: the job has not ended (pending)." in page


def test_the_actions_of_the_list(admin_client: Client, waiting: Job) -> None:
    ended = submit(kinds.add, {"a": 2})
    Job.objects.filter(pk=ended.pk).update(state=State.SUCCEEDED, finished_at=timezone.now())
    chosen = {"_selected_action": [str(waiting.pk), str(ended.pk)]}
    page = admin_client.post("/admin/furrow/job/", {"action": "cancel", **chosen})
    assert "2 chosen jobs" in page.content.decode()
    assert Job.objects.filter(state=State.CANCELLED).count() == 0, "it only asks"
    given = {"action": "cancel", "ids": chosen["_selected_action"]}
    text = admin_client.post("/admin/furrow/job/bulk/", given, follow=True).content.decode()
    assert "1 job: cancelled" in text
    assert "1 job left alone" in text
    entry = AuditEntry.objects.get()
    assert (entry.who, entry.action, entry.count, entry.origin) == ("admin", "cancel", 1, "admin")
    assert entry.selection == {"ids": chosen["_selected_action"]}
    admin_client.post("/admin/furrow/job/bulk/", {"action": "retry", "ids": chosen["_selected_action"]})
    assert set(Job.objects.values_list("state", flat=True)) == {State.PENDING}
