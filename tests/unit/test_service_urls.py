"""URLs with passwords: read when they are percent-encoded, refused by name when they are not, and never shown."""

from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import environ
import pytest
import redis
from celery.worker import control
from django.test import RequestFactory
from django.views.debug import get_exception_reporter_filter
from furrow.celery import Celery
from furrow.rabbitmq.queues import explain_url
from furrow.service_urls import masked, unreadable
from kombu import Connection

PASSWORD = "p@s:s/w#r%d?ä ~+&=[x]"
ENCODED = quote(PASSWORD, safe="")


def test_a_percent_encoded_password_is_read_everywhere() -> None:
    amqp, store = f"amqp://furrow:{ENCODED}@host:5672//", f"redis://:{ENCODED}@host:6379/0"
    database = f"postgresql://furrow:{ENCODED}@host:5432/furrow"
    assert [unreadable("X", url) for url in (amqp, store, database)] == ["", "", ""]
    assert explain_url(amqp) == ""
    assert Connection(amqp).password == PASSWORD
    assert redis.Redis.from_url(store).connection_pool.connection_kwargs["password"] == PASSWORD
    assert environ.Env.db_url_config(database)["PASSWORD"] == PASSWORD


@pytest.mark.parametrize("scheme", ["amqp", "redis", "postgresql"])
@pytest.mark.parametrize(
    "password", ["s3cr/et", "s3cr?et", "s3cr#et", "12/s3cret", "1?2s3cret", "12#s3cret", "a@b/s3cret", "s3[cret", "s3cr℀et"]
)
def test_one_that_is_not_is_refused_by_name_and_not_shown(scheme: str, password: str) -> None:
    told = unreadable("THE_URL", f"{scheme}://furrow:{password}@host:5672/name")
    assert told.startswith("THE_URL cannot be read")
    assert "Percent-encode" in told
    assert not any(piece in told for piece in ("s3", "cr", "12"))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "sqlite:////a/folder/of@somebody/db.sqlite3",
        "unix:///run/redis@1.sock?db=0",
        "redis://:p@ss:w%rd@host:6379/0",
        "amqp://furrow:with space@host//",
        "postgresql://u:p@[::1]:5432/name?options=-c%20search_path%3Dx",
    ],
)
def test_what_can_be_read_is_not_refused(url: str) -> None:
    assert unreadable("X", url) == ""


@pytest.mark.parametrize(
    ("shown", "value"),
    [
        ("amqp://furrow:********@host//", "amqp://furrow:s3cret@host//"),
        ("redis://:********@host/0", "redis://:s3/cr@et@host/0"),
        (["a", "redis://u:********@h", ("x",)], ["a", "redis://u:s3cret@h", ("x",)]),
        ({"caches": {"LOCATION": "redis://:********@h"}}, {"caches": {"LOCATION": "redis://:s3cret@h"}}),
        (
            {"FLOWER_BASIC_AUTH": "********", "AUTH_USER_MODEL": "auth.User"},
            {"FLOWER_BASIC_AUTH": "flower:s3cret", "AUTH_USER_MODEL": "auth.User"},
        ),
        ("see http://host/a:b and mail@host", "see http://host/a:b and mail@host"),
        (5, 5),
    ],
)
def test_what_is_shown_of_a_setting(shown: Any, value: Any) -> None:
    assert masked(value) == shown


def test_neither_celery_nor_an_error_page_shows_a_password(settings: Any) -> None:
    secret = "s3cret-of-the-test"
    changed = {
        "REDIS_URL": f"redis://:{secret}@127.0.0.1/0",
        "BROKER_URL": f"amqp://furrow:{secret}@127.0.0.1//",
        "FLOWER_BASIC_AUTH": f"flower:{secret}",
        "FLOWER_URL": f"http://flower:{secret}@127.0.0.1/flower",
        "CACHES": {"default": {"BACKEND": "x", "LOCATION": [f"redis://:{secret}@127.0.0.1/1"]}},
    }
    for name, value in changed.items():
        setattr(settings, name, value)
    app = Celery("of the test", set_as_current=False)
    app.conf.update(changed)
    told = [
        control.conf(SimpleNamespace(app=app), with_defaults=True),
        app.conf.humanize(with_defaults=True),
        get_exception_reporter_filter(RequestFactory().get("/")).get_safe_settings(),
    ]
    assert all("REDIS_URL" in str(one) for one in told)
    assert not any(secret in str(one) for one in told)
