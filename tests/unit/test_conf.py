"""The engine's settings and the system checks: what is wrong is named, with the reason and the remedy."""

from types import SimpleNamespace
from typing import Any

import pytest
from celery import current_app
from django.core.exceptions import ImproperlyConfigured
from furrow import checks, statements
from furrow.bridge import Bridge
from furrow.conf import Conf, conf
from furrow.errors import KindError
from furrow.kinds.hints import File, ForeignKey
from furrow.rabbitmq.queues import explain_url
from pytest_django import Settings

from tests import kinds


def refusal(settings: Settings, **given: Any) -> str:
    """What is said about these settings."""
    settings.FURROW = {"QUEUES": ["default"], **given}
    with pytest.raises(ImproperlyConfigured) as refused:
        conf()
    return str(refused.value)


def test_without_settings_the_defaults_hold(settings: Settings) -> None:
    settings.FURROW = {}
    assert conf() == Conf()
    del settings.FURROW
    assert conf().queues == ["default"]


def test_what_is_set_holds_and_changes_at_once(settings: Settings) -> None:
    settings.FURROW = {"QUEUES": ["a", "b.c-d_E9"], "WORKER_LEASE": 7, "SHUTDOWN_GRACE": 0}
    assert (conf().queues, conf().worker_lease, conf().shutdown_grace) == (["a", "b.c-d_E9"], 7, 0)
    settings.FURROW = {"WORKER_LEASE": 8.5}
    assert conf().worker_lease == 8.5


def test_an_unknown_key_names_the_near_one(settings: Settings) -> None:
    text = refusal(settings, QUEUE=["default"])
    assert text.startswith("FURROW['QUEUE'] is not a setting; did you mean 'QUEUES'? Known: ")
    assert "WORKER_LEASE" in text
    assert "did you mean 'WORKER_LEASE'?" in refusal(settings, worker_lease=3)


@pytest.mark.parametrize(
    ("key", "value", "must"),
    [
        *(
            ("WORKER_LEASE", value, "a number greater than 0")
            for value in (0, -1, "15", None, True, float("nan"), float("inf"))
        ),
        *(("MAX_ARGUMENT_BYTES", value, "a whole number greater than 0") for value in (0, -1, 1.5, "1 MiB", True)),
        *(("SHUTDOWN_GRACE", value, "a number not less than 0") for value in (-0.1, "5", None)),
        *(("POLL_INTERVAL", value, "a number greater than 0") for value in (0, [1])),
        *(
            ("QUEUES", value, "a list of different names, at least one")
            for value in ("default", [], None, {"default": 1}, ["default", 7], ["default", "default"])
        ),
        ("MODULES", "tasks", "a list of different names"),
    ],
)
def test_a_value_of_the_wrong_type_or_size_is_refused(settings: Settings, key: str, value: Any, must: str) -> None:
    text = refusal(settings, **{key: value})
    assert text.startswith(f"FURROW[{key!r}] is {value!r}: it must be {must}")


@pytest.mark.parametrize("name", ["", " ", "a b", "a/b", "a" * 101, "ü", "a\n", "#", "a*"])
def test_a_bad_queue_name_is_refused(settings: Settings, name: str) -> None:
    text = refusal(settings, QUEUES=["default", name])
    assert f"FURROW['QUEUES'] names {name!r}: a queue's name has 1 to 100 letters" in text


def test_names_that_belong_to_others_are_refused(settings: Settings) -> None:
    assert "which is Celery's own queue: choose another name" in refusal(settings, QUEUES=["celery"])
    assert "which is reserved by RabbitMQ: choose another name" in refusal(settings, QUEUES=["amq.jobs"])
    assert "which is where workers in other languages ask" in refusal(settings, QUEUES=["furrow.work"])
    assert "workers in other languages ask there" in refusal(settings, BRIDGES=[Bridge("furrow.work", "kinds.add")])


def test_settings_that_are_no_dict_are_refused(settings: Settings) -> None:
    settings.FURROW = ["default"]
    with pytest.raises(ImproperlyConfigured, match="it must be a dict"):
        conf()


# --- the broker's URL ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url", ["amqp://host", "amqps://u:p@host:5671/vhost", "pyamqp://host//", "amqp://u:p%40s@[::1]:5672/%2Ffurrow?heartbeat=5"]
)
def test_a_broker_url_that_can_be_used(url: str) -> None:
    assert explain_url(url) == ""


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "starts with nothing://"),
        ("host:5672", "Furrow needs RabbitMQ, amqp:// or amqps://"),
        ("redis://host", "starts with redis://; Furrow needs RabbitMQ"),
        ("memory://", "starts with memory://"),
        ("amqp://host:notaport", "its port is no number"),
        ("amqp://host:70000", "up to 65535"),
        ("amqp://host:0", "no usable port"),
        ("amqp://", "names no host"),
        ("amqp://[::1", "cannot be read"),
    ],
)
def test_a_broker_url_that_cannot_be_used_is_an_error_of_the_check(
    monkeypatch: pytest.MonkeyPatch, url: str, reason: str
) -> None:
    monkeypatch.setattr(current_app.conf, "broker_url", url)
    (error,) = checks.check_broker_url()
    assert error.id == "furrow.E001"
    assert "BROKER_URL" in error.msg
    assert reason in error.msg
    assert "amqp://user:password@host:5672/vhost" in (error.hint or "")


@pytest.mark.parametrize(
    ("url", "warned"),
    [
        ("amqp://guest:guest@host//", True),
        ("amqp://host//", True),
        ("amqp://guest@host", True),
        ("amqp://furrow:secret@host//", False),
        ("amqp://furrow:guest@host//", False),
    ],
)
def test_a_deployment_is_warned_of_rabbitmqs_default_account(monkeypatch: pytest.MonkeyPatch, url: str, warned: bool) -> None:
    monkeypatch.setattr(current_app.conf, "broker_url", url)
    assert [warning.id for warning in checks.check_broker_credentials()] == ["furrow.W001"] * warned


# --- the database -----------------------------------------------------------------------------------------------------------


def test_a_database_that_is_not_supported_is_named() -> None:
    connection = SimpleNamespace(vendor="mysql")
    with pytest.raises(ImproperlyConfigured, match=r"PostgreSQL and SQLite, not on mysql: change DATABASE_URL"):
        statements.on(connection)  # type: ignore[arg-type]


def test_a_kinds_permission_that_no_model_declares_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    assert checks.check_kind_permissions() == []
    monkeypatch.setattr(kinds.guarded, "permission", "auth.chnage_group")
    (warning,) = checks.check_kind_permissions()
    assert (warning.id, warning.obj) == ("furrow.W002", "kinds.guarded")
    assert "'auth.chnage_group', which no model declares" in warning.msg


def test_hints_that_cannot_be_are_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    assert checks.check_hints() == []
    fields = kinds.greets.arguments.model.model_fields
    monkeypatch.setattr(fields["a_user"], "metadata", [ForeignKey("auth.Usr")])
    monkeypatch.setattr(fields["a_group"], "metadata", [File()])
    found = {error.id: error.msg for error in checks.check_hints()}
    assert found == {
        "furrow.E002": "kinds.greets: argument 'user': ForeignKey('auth.Usr') names no model: "
        "write 'app_label.ModelName' of an installed app.",
        "furrow.E003": "kinds.greets: argument 'group' is a File and no text: write UploadedPath or Annotated[str, File(…)].",
    }
    with pytest.raises(KindError, match="1 or more"):
        File(max_bytes=0)
