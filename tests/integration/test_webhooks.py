"""Webhooks: which events go where, how they are signed, where they may go, and what becomes of those that fail."""

import base64
import datetime as dt
import hashlib
import hmac
import ipaddress
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from furrow import Job, State, publish
from furrow.dispatcher.leader import Leadership
from furrow.dispatcher.outbox import Outbox
from furrow.management.commands.furrow import load
from furrow.middleware import Middleware, Submission
from furrow.models import AuditEntry, Event, Leader, Webhook
from furrow.testing import advance, drain
from furrow.topics import TEST, matches, wanted
from furrow.webhooks import deliveries, posting
from furrow.webhooks.posting import may_reach, signature, url_problem
from pytest_django import Settings

from tests.rows import make
from tests.stack import wait_until

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("nobody_runs")]


class Receiver(ThreadingHTTPServer):
    """Another program: answers with ``status``, and keeps what it got."""

    daemon_threads = True

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.status, self.headers = 204, dict[str, str]()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(receiver.status)
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://localhost:{self.server_port}/hooks?token=x"


@pytest.fixture
def receiver(settings: Settings) -> Iterator[Receiver]:
    """One that Furrow may send to."""
    settings.FURROW = {**settings.FURROW, "WEBHOOK_NETWORKS": ["127.0.0.0/8", "::1"], "WEBHOOK_FAILURES": 3}
    with Receiver() as made:
        thread = Thread(target=made.serve_forever, args=(0.01,))
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.fixture
def hook(receiver: Receiver, db: None) -> Webhook:
    """It hears of orders."""
    return Webhook.objects.create(name="shop", url=receiver.url, patterns=["order.*"])


@pytest.fixture
def round_of() -> Callable[[], int]:
    """One round of a leading dispatcher's outbox."""

    def once() -> int:
        Leader.objects.all().delete()
        leadership = Leadership()
        assert leadership.hold()
        found = Outbox(leadership).run_once()
        Leader.objects.all().delete()  # drain() wants to be alone
        return found

    return once


# --- What is sent -----------------------------------------------------------------------------------------------------


def test_each_event_that_matches_is_delivered_once_and_signed(
    hook: Webhook, receiver: Receiver, round_of: Callable[[], int]
) -> None:
    Webhook.objects.create(name="others", url=receiver.url, patterns=["invoice.#"])
    Webhook.objects.create(name="off", url=receiver.url, patterns=["#"], active=False)
    id = publish("order.paid", {"order": 7, "to": "Jürgen"})
    publish("stock.low", {})
    assert round_of() == 2
    job = Job.objects.get(kind="furrow.webhook")
    assert (job.arguments, job.tags) == ({"webhook": hook.pk, "event": id}, [hook.tag, "order.paid"])
    Event.objects.update(published_at=None)  # the dispatcher died before it could mark them
    assert round_of() == 2
    assert Job.objects.filter(kind="furrow.webhook").get().pk == job.pk
    assert drain().succeeded == 1
    ((headers, body),) = receiver.got
    event = json.loads(body)
    assert (event["id"], event["type"], event["data"]) == (str(id), "order.paid", {"order": 7, "to": "Jürgen"})
    assert headers["content-type"] == "application/cloudevents+json"
    assert headers["webhook-id"] == f"evt_{id}"
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    digest = hmac.new(base64.b64decode(hook.secret.removeprefix("whsec_")), signed, hashlib.sha256).digest()
    assert headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode()
    job.refresh_from_db()
    assert (job.state, job.result["status"]) == (State.SUCCEEDED, 204)


@pytest.mark.parametrize(
    ("name", "tags"),
    [
        ("job.invoices.send_monthly_statement_to_customers.failed", ["job.invoices.send_monthly_statement_to_customers.f"]),
        ("_internal.done", []),
        ("order.lost\n", []),
    ],
)
def test_an_event_of_any_name_and_time_has_its_delivery_and_bars_no_other(
    hook: Webhook, round_of: Callable[[], int], name: str, tags: list[str]
) -> None:
    Webhook.objects.filter(pk=hook.pk).update(patterns=["#"])
    odd, other = Event.objects.create(name=name), publish("order.paid")
    Event.objects.filter(pk=odd.pk).update(created_at=dt.datetime(1969, 7, 20, tzinfo=dt.UTC))
    assert round_of() == 2
    assert not Event.objects.filter(published_at=None).exists()
    jobs = {job.arguments["event"]: job.tags for job in Job.objects.filter(kind="furrow.webhook")}
    assert jobs == {odd.pk: [hook.tag, *tags], other: [hook.tag, "order.paid"]}


class Refuses(Middleware):
    """Wants what no delivery has."""

    def submit(self, submission: Submission, call_next: Callable[[], None]) -> None:
        submission.meta["tenant"]
        call_next()


def test_a_middleware_that_refuses_a_delivery_keeps_no_event_back(
    hook: Webhook, round_of: Callable[[], int], settings: Settings
) -> None:
    settings.FURROW = {**settings.FURROW, "MIDDLEWARE": [f"{__name__}.Refuses"]}
    publish("order.paid")
    publish("stock.low")
    assert round_of() == 2
    assert not Event.objects.filter(published_at=None).exists()
    assert not Job.objects.exists()


def test_the_signature_is_that_of_standard_webhooks() -> None:
    # The example of the specification's reference implementations.
    secret, id, body = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}'
    assert signature(secret, id, 1614265330, body) == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_deliveries_are_told_to_those_alone_that_name_them(hook: Webhook, round_of: Callable[[], int]) -> None:
    Webhook.objects.filter(pk=hook.pk).update(patterns=["job.#"])
    named = Webhook.objects.create(name="named", url=hook.url, patterns=["job.furrow.webhook.failed"])
    delivery, other = make(), make()
    Event.objects.create(name="job.furrow.webhook.failed", job=delivery.pk, number=1, depth=1)
    Event.objects.create(name="job.kinds.add.failed", job=other.pk, number=1)
    assert round_of() == 2
    tags = sorted(job.tags for job in Job.objects.filter(kind="furrow.webhook"))
    assert tags == sorted([[hook.tag, "job.kinds.add.failed"], [named.tag, "job.furrow.webhook.failed"]])


def test_what_webhooks_want_of_jobs_is_written(hook: Webhook, round_of: Callable[[], int]) -> None:
    assert deliveries.patterns() == ["order.*"]
    Webhook.objects.create(name="jobs", url=hook.url, patterns=["job.#.failed", 7])
    assert deliveries.patterns() == ["job.#.failed", "order.*"]


def test_a_pattern_of_many_signs_is_matched_in_time() -> None:
    name = ".".join(["a"] * 127)
    assert matches(".".join(["#", "a"] * 63), name)
    assert not matches(".".join(["#", "a"] * 60 + ["b"]), name)
    assert matches("#", "a")
    assert matches("#.a", "a")
    assert not matches("*", "a.b")
    assert wanted(["order.#"], "order", 5)
    assert not wanted(["job.#"], "job.x.failed", 1)


def test_the_receiver_of_the_documentation_takes_what_is_genuine(
    hook: Webhook, round_of: Callable[[], int], tmp_path: Path
) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "webhooks.md").read_text()
    (program,) = re.findall(r"^```python\n# receive\.py\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    (tmp_path / "receive.py").write_text(program)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environ = {**os.environ, "WEBHOOK_SECRET": hook.secret, "PORT": str(port)}
    with (tmp_path / "out").open("wb") as out:
        running = subprocess.Popen([sys.executable, str(tmp_path / "receive.py")], stdout=out, stderr=out, env=environ)
    try:
        wait_until(lambda: _answers(port), what="the receiver answers")
        Webhook.objects.filter(pk=hook.pk).update(url=f"http://127.0.0.1:{port}/")
        forged = Webhook.objects.create(name="forged", url=f"http://127.0.0.1:{port}/", patterns=["order.#"])
        id = publish("order.paid", {"order": 7})
        round_of()
        drain(raise_on_failure=False)
    finally:
        running.kill()
        running.wait()
    states = {job.tags[0]: job.state for job in Job.objects.filter(kind="furrow.webhook")}
    assert states == {hook.tag: State.SUCCEEDED, forged.tag: State.PENDING}
    said = (tmp_path / "out").read_text()
    assert said.count(f"evt_{id} ") == 1
    assert '"data": {"order": 7}' in said


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


# --- What fails -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [500, 404, 301])
def test_a_delivery_that_is_not_taken_is_tried_again(
    hook: Webhook, receiver: Receiver, round_of: Callable[[], int], status: int
) -> None:
    receiver.status, receiver.headers = status, {"Location": receiver.url}
    publish("order.paid")
    round_of()
    drain(raise_on_failure=False)
    job = Job.objects.get(kind="furrow.webhook")
    assert (job.state, f"the receiver answered {status}" in job.error, len(receiver.got)) == (State.PENDING, True, 1)
    hook.refresh_from_db()
    assert (hook.failures, hook.failing_since is not None, hook.active) == (1, True, True)
    receiver.status = 200
    advance(3600)
    drain(raise_on_failure=False)
    job.refresh_from_db()
    hook.refresh_from_db()
    assert (job.state, hook.failures, hook.failing_since) == (State.SUCCEEDED, 0, None)
    assert receiver.got[0][0]["webhook-id"] == receiver.got[1][0]["webhook-id"]


def test_a_webhook_that_fails_again_and_again_is_switched_off_and_says_why(
    hook: Webhook, receiver: Receiver, round_of: Callable[[], int]
) -> None:
    receiver.status = 503
    for _ in range(3):
        publish("order.paid")
    round_of()
    drain(raise_on_failure=False)
    hook.refresh_from_db()
    assert not hook.active
    assert hook.disabled_reason == "3 attempts in a row failed; the last one: its receiver answered 503"
    publish("order.paid")
    round_of()
    assert Job.objects.filter(kind="furrow.webhook").count() == 3
    advance(3600)
    drain(raise_on_failure=False)
    assert {job.error.partition(": ")[2] for job in Job.objects.filter(state=State.FAILED)} == {"webhook shop is switched off"}


def test_a_receiver_that_is_gone_switches_it_off_at_once(
    hook: Webhook, receiver: Receiver, round_of: Callable[[], int]
) -> None:
    receiver.status = 410
    publish("order.paid")
    round_of()
    drain(raise_on_failure=False)
    hook.refresh_from_db()
    assert (hook.active, hook.disabled_reason) == (False, "its receiver answered 410 Gone")
    assert Job.objects.get(kind="furrow.webhook").state == State.FAILED


def test_a_receiver_that_never_answers_costs_a_wait(
    hook: Webhook, round_of: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "WAIT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        Webhook.objects.filter(pk=hook.pk).update(url=f"http://127.0.0.1:{silent.getsockname()[1]}/")
        publish("order.paid")
        round_of()
        drain(raise_on_failure=False)
    job = Job.objects.get(kind="furrow.webhook")
    assert (job.state, "TimeoutError" in job.error) == (State.PENDING, True)


# --- Where it may go --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.0.1", "169.254.169.254", "0.0.0.0", "100.64.0.1", "224.0.0.1"),
        *(
            "::1",
            "::",
            "fd00::1",
            "fe80::1",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "ff02::1",
            "64:ff9b:1::7f00:1",
            "fec0::1",
            "::127.0.0.1",
        ),
    ],
)
def test_a_private_address_is_not_reached_unless_its_network_is_named(settings: Settings, address: str) -> None:
    settings.FURROW = {**settings.FURROW, "WEBHOOK_NETWORKS": []}
    found = ipaddress.ip_address(address)
    assert not may_reach(found)
    host = f"[{address}]" if ":" in address else address
    assert "no public address" in url_problem(f"https://{host}/x")


def test_public_addresses_and_named_networks_are_reached(settings: Settings) -> None:
    settings.FURROW = {**settings.FURROW, "WEBHOOK_NETWORKS": ["10.0.0.0/8"]}
    for address in ("8.8.8.8", "2606:4700::1111", "10.9.9.9", "::ffff:8.8.8.8"):
        assert may_reach(ipaddress.ip_address(address)), address


def test_a_name_that_leads_to_a_private_address_is_not_reached(
    hook: Webhook, receiver: Receiver, round_of: Callable[[], int], settings: Settings
) -> None:
    settings.FURROW = {**settings.FURROW, "WEBHOOK_NETWORKS": []}
    publish("order.paid")
    round_of()
    drain(raise_on_failure=False)
    job = Job.objects.get(kind="furrow.webhook")
    assert (job.state, "FURROW['WEBHOOK_NETWORKS']" in job.error, receiver.got) == (State.FAILED, True, [])


@pytest.mark.parametrize(
    "url",
    ["ftp://a.example/", "https://", "https://u:p@a.example/", "https://a.example:0/", "http://a.example:x/", "http://[/"],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    assert url_problem(url)


def test_a_lookup_is_not_made_twice(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    """A name that leads to a public address when it is looked at, and to a private one when it is connected to."""
    settings.FURROW = {**settings.FURROW, "WEBHOOK_NETWORKS": []}
    asked, connected = list[str](), list[Any]()

    def lookup(host: str, port: int, **options: Any) -> list[Any]:
        asked.append(host)
        address = "8.8.8.8" if len(asked) == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    def connect(made: socket.socket, where: Any, timeout: float) -> socket.socket:
        made.close()
        connected.append(where)
        raise OSError("not from here")

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    monkeypatch.setattr(posting, "_connected", connect)
    with pytest.raises(posting.Unreachable):
        posting.post("http://a.example/", b"", {}, 1.0)
    assert (asked, connected) == (["a.example"], [("8.8.8.8", 80)])


# --- The admin --------------------------------------------------------------------------------------------------------


@pytest.fixture
def clerk(client: Client, db: None) -> Client:
    """Somebody who may manage webhooks, and see jobs."""
    user = User.objects.create_user("clerk", is_staff=True)
    names = ["add_webhook", "change_webhook", "delete_webhook", "view_webhook", "view_job"]
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    client.force_login(user)
    return client


def test_a_webhook_is_made_changed_tried_and_deleted(clerk: Client, receiver: Receiver) -> None:
    list_page, given = "/admin/furrow/webhook/", {"name": "shop", "url": receiver.url.replace("localhost", "127.0.0.1")}
    wrong = clerk.post(f"{list_page}add/", {"name": "x", "url": "http://10.0.0.1/", "patterns": "a..b\n*", "active": "on"})
    page = wrong.content.decode()
    assert (wrong.status_code, "no public address" in page, "is no word of a pattern" in page) == (200, True, True)
    clerk.post(f"{list_page}add/", {**given, "patterns": " order.* \n\njob.#.failed", "active": "on"})
    hook = Webhook.objects.get()
    assert (hook.patterns, hook.secret.startswith("whsec_")) == (["order.*", "job.#.failed"], True)
    assert hook.secret in clerk.get(f"{list_page}{hook.pk}/change/").content.decode()
    clerk.post(list_page, {"action": "test", "_selected_action": [hook.pk]})
    drain(raise_on_failure=False)
    assert json.loads(receiver.got[0][1])["type"] == "furrow.test"
    clerk.post(list_page, {"action": "renew", "_selected_action": [hook.pk]})
    Webhook.objects.update(active=False, failures=7, disabled_reason="x")
    clerk.post(f"{list_page}{hook.pk}/change/", {**given, "patterns": "#", "active": "on"})
    again = Webhook.objects.get()
    assert (again.active, again.failures, again.disabled_reason, again.secret != hook.secret) == (True, 0, "", True)
    clerk.post(f"{list_page}{hook.pk}/delete/", {"post": "yes"})
    assert not Webhook.objects.exists()
    assert sorted(AuditEntry.objects.values_list("action", flat=True)) == ["add", "change", "delete", "renew secret"]


def test_who_may_only_look_sees_no_secret(client: Client, hook: Webhook) -> None:
    user = User.objects.create_user("viewer of webhooks", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_webhook"))
    client.force_login(user)
    page = client.get(f"/admin/furrow/webhook/{hook.pk}/change/").content.decode()
    assert ("only who may change the webhook sees it" in page, hook.secret in page) == (True, False)
    client.post("/admin/furrow/webhook/", {"action": "renew", "_selected_action": [hook.pk]})
    assert Webhook.objects.get(pk=hook.pk).secret == hook.secret


# --- Replay -----------------------------------------------------------------------------------------------------------


def test_a_webhook_is_given_what_is_kept_and_no_event_twice(hook: Webhook, receiver: Receiver) -> None:
    now = timezone.now()
    paid, _other, old = (Event.objects.create(name=name, published_at=now) for name in ("order.paid", "other", "order.old"))
    Event.objects.filter(pk=old.pk).update(created_at=now - dt.timedelta(days=3))
    waits = Event.objects.create(name="order.waits")
    every = Webhook.objects.create(name="all", url=receiver.url, patterns=["#"])
    Event.objects.create(name=TEST, published_at=now, data={"webhook": "shop"})

    def told(*words: str) -> str:
        out = StringIO()
        call_command(load("replay"), *words, "--since", "2d", stdout=out)
        return out.getvalue().strip()

    assert told("--webhook", "shop") == "1 event sent to webhook shop."
    assert told("--webhook", "shop") == "0 events sent to webhook shop."
    assert [job.arguments for job in Job.objects.all()] == [{"webhook": hook.pk, "event": paid.pk}]
    assert told("--webhook", "all") == "2 events sent to webhook all."  # and not the other's test
    assert waits.pk not in {job.arguments["event"] for job in Job.objects.all()}
    every.delete()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--webhook", "shpo"], "there is no webhook 'shpo'; did you mean 'shop'?"),
        (["--webhook", "off"], "'off' is switched off: switch it on first"),
        (["kinds.add", "--webhook", "shop"], "not allowed with argument"),
        ([], "one of the arguments kind --webhook is required"),
    ],
)
def test_a_replay_to_a_webhook_that_cannot_be_says_why(hook: Webhook, words: list[str], said: str) -> None:
    Webhook.objects.create(name="off", url=hook.url, patterns=["#"], active=False)
    with pytest.raises(CommandError, match=re.escape(said)):
        call_command(load("replay"), *words, "--since", "2d")
    assert not Job.objects.exists()
