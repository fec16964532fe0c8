"""Who listens to a kind's jobs, on its page; replay of chosen events to one of those that listen."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from furrow import Job, submit, subscribe
from furrow.models import AuditEntry, Event, Webhook
from pytest_django import Settings

from tests import kinds
from tests.events import heard, known, outside, taken
from tests.pages import page
from tests.people import login
from tests.rows import make

pytestmark = [pytest.mark.engine, pytest.mark.django_db, pytest.mark.filterwarnings("ignore:No directory at")]
assert known, outside  # fixtures
EVENTS = "/admin/furrow/event/"


@pytest.fixture
def hears(known: Any) -> None:
    """A subscriber."""
    subscribe("order.*", "job.kinds.add.failed", "job.kinds.add.retried")(kinds.hears)


@pytest.fixture
def hook(db: None) -> Webhook:
    """It hears of orders and of all jobs."""
    return Webhook.objects.create(name="the shop", url="https://shop.example/", patterns=["order.*", "job.#"])


@pytest.mark.usefixtures("hears")
def test_a_kinds_page_says_who_listens_to_its_jobs(site: Client, hook: Webhook, settings: Settings) -> None:
    Webhook.objects.create(name="switched off", url="https://a.example/", patterns=["#"], active=False)
    settings.FURROW = {**settings.FURROW, "EVENTS": ["job.#.began"]}
    text = page(site, "furrow/job/submit/kinds.add/").partition('id="listeners"')[2]
    assert "?kind=kinds.hears" in text
    assert "retried, failed · by" in text
    assert f"/admin/furrow/webhook/{hook.pk}/change/" in text
    assert "all events" in text
    assert "programs outside" in text
    assert "began" in text
    assert "switched off" not in text
    own = page(site, "furrow/job/submit/kinds.hears/").partition('id="listeners"')[2]
    assert "It subscribes itself, to <code>order.*</code>" in own
    assert "the shop" not in own  # of what subscribers do only who names the kind hears
    hook.delete()
    settings.FURROW = {**settings.FURROW, "EVENTS": []}
    assert "Nobody: no subscriber" in page(site, "furrow/job/submit/kinds.fails/")


@pytest.mark.usefixtures("hears")
def test_a_jobs_page_says_who_listens_to_its_kind(client: Client, site: Client, hook: Webhook) -> None:
    job = submit(kinds.add, {"a": 1})
    text = page(site, f"furrow/job/{job.pk}/change/").partition('id="listeners"')[2]
    assert "Who listens to jobs of this kind" in text
    assert "?kind=kinds.hears" in text
    assert f"/admin/furrow/webhook/{hook.pk}/change/" in text
    assert "?name=job.kinds.add." in text
    login(client, "view_job")
    assert 'id="listeners"' not in page(client, f"furrow/job/{job.pk}/change/")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"webhook": 10**9, "event": 10**9}, ["deleted", "not kept any more"]),
        ({"webhook": "x"}, []),
        ({"webhook": 10**30, "event": -1}, []),
        ({}, []),
    ],
)
def test_a_deliverys_page_leads_to_the_webhook_and_the_event(
    client: Client, site: Client, hook: Webhook, arguments: Any, said: list[str]
) -> None:
    event = Event.objects.create(name="order.paid", published_at=timezone.now())
    job = make(kind="furrow.webhook", arguments={"webhook": hook.pk, "event": event.pk})
    address = f"furrow/job/{job.pk}/change/"
    text = page(site, address)
    assert f'<a href="/admin/furrow/webhook/{hook.pk}/change/">the shop</a>' in text
    assert f'<a href="/admin/furrow/event/{event.pk}/change/">order.paid</a>' in text
    login(client, "view_job")
    text = page(client, address)
    assert "<dd>the shop</dd>" in text
    assert "<dd>order.paid</dd>" in text
    Job.objects.update(arguments=arguments)
    text = page(site, address)
    assert ("<dt>Webhook</dt>" in text) == bool(said)
    assert all(one in text for one in said)


@pytest.mark.usefixtures("hears", "hook")
def test_who_may_not_see_events_is_told_of_no_listener(client: Client) -> None:
    login(client, "submit_job")
    assert 'id="listeners"' not in page(client, "furrow/job/submit/kinds.add/")
    User.objects.all().delete()
    login(client, "submit_job", "view_event")
    text = page(client, "furrow/job/submit/kinds.add/").partition('id="listeners"')[2]
    assert "the shop" in text
    assert "/admin/furrow/webhook/" not in text


@pytest.mark.usefixtures("hears", "nobody_runs")
def test_chosen_events_are_sent_to_one_that_wants_them(site: Client, hook: Webhook, known: Any, outside: Any) -> None:
    now = timezone.now()
    paid, other = (Event.objects.create(name=name, published_at=now) for name in ("order.paid", "other"))
    waits = Event.objects.create(name="order.sent")
    chosen = [str(event.pk) for event in (paid, other, waits)]
    asked = site.post(EVENTS, {"action": "replay", "_selected_action": chosen}).content.decode()
    assert f'value="webhook:{hook.pk}"' in asked
    assert 'value="kind:kinds.hears"' in asked
    assert asked.count('name="ids"') == 3

    def post(to: str) -> str:
        return site.post(f"{EVENTS}replay/", {"to": to, "ids": chosen}, follow=True).content.decode()

    text = post("kind:kinds.hears")
    heard(known["kinds.hears"], 1)
    [job] = Job.objects.all()
    assert (job.kind, job.arguments["event"]["id"]) == ("kinds.hears", str(paid.pk))
    assert taken(outside) == []  # nobody else got it
    assert "1 event sent to subscriber kinds.hears" in text
    assert "2 events left out" in text
    post(f"webhook:{hook.pk}")
    [job] = Job.objects.filter(kind="furrow.webhook")
    assert job.arguments == {"webhook": hook.pk, "event": paid.pk}
    assert "3 events left out" in post(f"webhook:{hook.pk}")
    assert Job.objects.filter(kind="furrow.webhook").count() == 1
    assert list(AuditEntry.objects.order_by("pk").values_list("action", "target", "count")) == [
        ("replay events", "subscriber kinds.hears", 1),
        ("replay events", "webhook the shop", 1),
    ]


@pytest.mark.usefixtures("hears")
def test_a_replay_that_cannot_be_sends_nothing(client: Client, hook: Webhook) -> None:
    event = Event.objects.create(name="order.paid", published_at=timezone.now())
    url, given = f"{EVENTS}replay/", {"to": "kind:kinds.hears", "ids": [str(event.pk), "x", "9" * 30]}
    for permissions in (["view_event"], ["submit_job", "change_webhook"]):
        login(client, *permissions)
        assert client.post(url, given).status_code == 403
        User.objects.all().delete()
    login(client, "view_event", "change_webhook")
    for to in ("kind:kinds.hears", "webhook:999", "webhook:x", ""):
        answer = client.post(url, {**given, "to": to})
        assert (answer.status_code, "Nothing was sent" in answer.content.decode()) == (422, True)
    assert client.get(url).status_code == 405
    assert not Job.objects.exists()
    assert not AuditEntry.objects.exists()
