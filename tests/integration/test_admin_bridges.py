"""The page of bridges: who reads each queue, what waits, replaying what became no job."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import Permission, User
from django.test import Client, override_settings
from furrow import Job
from furrow.bridge import Bridge
from furrow.bridges.process import Bridges
from furrow.models import AuditEntry, BridgeReader, DeadMessage

from tests import services
from tests.bridges import read, stranger

pytestmark = [pytest.mark.django_db, pytest.mark.filterwarnings("ignore:No directory at", "ignore:Overriding setting")]

PAGE = "/admin/furrow/bridgereader/"
ADD = Bridge("bridged", "kinds.add", exchange="bridged.events", exchange_type="fanout")


def furrow(**keys: Any) -> Any:
    return override_settings(FURROW={**settings.FURROW, **keys})


@pytest.fixture
def other() -> Iterator[Any]:
    """A program whose queue has the same exchange's messages."""
    with furrow(BRIDGES=[ADD]), stranger("bridged", "others") as channel:
        channel.exchange_declare("bridged.events", "fanout", durable=True)
        channel.queue_declare("others")
        channel.queue_bind("others", "bridged.events")
        yield channel
        channel.exchange_delete("bridged.events")


def allowed(client: Client, *codenames: str) -> Client:
    user = User.objects.create_user("looks", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client.force_login(user)
    return client


def page(client: Client, address: str = PAGE) -> str:
    return client.get(address).content.decode()


def test_no_bridge_says_how_to_have_one(admin_client: Client) -> None:
    with furrow(BRIDGES=[]):
        found = page(admin_client)
    assert "No bridges" in found
    assert "BRIDGES" in found


def test_who_reads_what_waits_and_what_came_last(other: Any, admin_client: Client) -> None:
    assert "no queue" in page(admin_client)
    assert "NOT_FOUND" in page(admin_client)
    bridges = Bridges([ADD])
    bridges._inbox.poll(0.1, 1)
    other.basic_publish("bridged.events", "", b'{"a": 1}')
    arrived = bridges._inbox.poll(10.0, 1)
    bridges.take(arrived)
    bridges._readers.came(arrived)
    bridges._look()
    reader = BridgeReader.objects.get()
    found = page(admin_client, PAGE + "live/")
    assert f"{reader.node}, process {reader.pid}" in found
    assert '<td data-label="Read">yes</td>' in found
    assert reader.messages == 1
    assert "none yet" not in found
    bridges._inbox.paused.add(ADD)
    bridges._readers.tell(bridges._inbox, end=False)
    bridges._readers._tell_at = 0.0
    bridges._readers.tell(bridges._inbox)
    assert "no: more than 10,000 of its jobs wait" in page(admin_client)
    bridges._readers.tell(bridges._inbox, end=True)
    bridges._close()
    found = page(admin_client)
    assert "nobody" in found
    assert "none yet" not in found


def test_while_rabbitmq_is_away_the_rest_is_shown(other: Any, admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    from celery import current_app

    monkeypatch.setattr(current_app.conf, "broker_read_url", f"amqp://{services.NOWHERE}//")
    found = page(admin_client)
    assert "is not known until RabbitMQ is back" in found
    assert "bridged" in found


def test_dead_messages_of_a_bridge_are_replayed_to_it_alone(other: Any, admin_client: Client) -> None:
    read_by = Bridges([ADD])
    read_by._inbox.poll(0.1, 1)
    read_by._close()
    for _ in range(2):
        other.basic_publish("bridged.events", "", b'{"a": "x"}')
    read(ADD, 2)
    DeadMessage.objects.create(reason="of no bridge")
    found = page(admin_client)
    assert f'href="/admin/furrow/deadmessage/?bridge={ADD.queue}"' in found
    listed = page(admin_client, f"/admin/furrow/deadmessage/?bridge={ADD.queue}")
    assert "made no job" in listed
    assert "of no bridge" not in listed
    answer = admin_client.post(PAGE + "replay/", {"queue": ADD.queue}, follow=True)
    assert ["2 sent again" in str(message) for message in answer.context["messages"]] == [True]
    assert [message.reason for message in DeadMessage.objects.all()] == ["of no bridge"]
    assert AuditEntry.objects.get().action == "replay"
    read(Bridge("bridged", "kinds.takes_text", exchange="bridged.events", exchange_type="fanout", body="text"), 2)
    assert [job.arguments for job in Job.objects.all()] == [{"text": '{"a": "x"}'}] * 2
    assert other.queue_declare("others", passive=True).method.message_count == 2
    assert "Nothing was sent" in admin_client.post(PAGE + "replay/", {"queue": ADD.queue}, follow=True).content.decode()
    assert "Nothing was sent" in admin_client.post(PAGE + "replay/", follow=True).content.decode()


def test_who_may_not_replay_sees_no_button_and_is_refused(other: Any, client: Client) -> None:
    DeadMessage.objects.create(reason="x", bridge=ADD.queue)
    viewer = allowed(client, "view_bridgereader")
    found = page(viewer)
    assert "Replay" not in found
    assert "deadmessage" not in found
    assert viewer.post(PAGE + "replay/", {"queue": ADD.queue}).status_code == 403
    User.objects.get(username="looks").user_permissions.set(Permission.objects.filter(codename="replay_deadmessage"))
    assert viewer.get(PAGE).status_code == 403
    assert viewer.post(PAGE + "replay/", {"queue": ADD.queue}).status_code == 403
    assert DeadMessage.objects.exists()
