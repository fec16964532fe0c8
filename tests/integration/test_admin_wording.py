"""How times, spans and texts are said."""

import datetime as dt
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from furrow import submit
from furrow.diagnosis.wording import SHOWN, exact, label, moment, pretty_json, progress_bar, relative, shorten, span

from tests import kinds

NOW = dt.datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "—"),
        (-3, "0 ms"),
        (0.0123, "12 ms"),
        (0.9999, "1 s"),
        (3.44, "3.4 s"),
        (59.99, "1 min"),
        (60, "1 min"),
        (125, "2 min 5 s"),
        (3600, "1 h"),
        (3 * 3600 + 125, "3 h 2 min"),
        (2 * 86400 + 4 * 3600, "2 d 4 h"),
        (5000 * 86400, "5,000 d"),
    ],
)
def test_spans(seconds: float | None, text: str) -> None:
    assert span(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "just now"), (-0.4, "just now"), (59, "59 s ago"), (-61, "in 1 min"), (7200, "2 h ago"), (-86400 * 3, "in 3 d")],
)
def test_relative_times(seconds: float, text: str) -> None:
    assert relative(NOW - dt.timedelta(seconds=seconds), NOW) == text


def test_moments_carry_the_exact_time() -> None:
    assert exact(NOW) == "2026-01-02 03:04:05.678 UTC"
    text = moment(NOW, NOW + dt.timedelta(seconds=5))
    assert 'title="2026-01-02 03:04:05.678 UTC"' in text
    assert ">5 s ago<" in text
    assert moment(None) == exact(None) == "—"


def test_labels_and_bars_escape_what_they_show() -> None:
    assert "&lt;b&gt;" in label("<b>")
    assert "&lt;b&gt;" in progress_bar(0.5, "<b>")
    assert 'value="100"' in progress_bar(7)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (None, ""),
        ('{"a": [1]}', '{\n  "a": [\n    1\n  ]\n}'),
        ('"ü"', '"ü"'),
        ("not json", "not json"),
        ("[" * 20_000, "[" * 20_000),
    ],
)
def test_pretty_json(text: Any, shown: str) -> None:
    assert pretty_json(text) == shown


def test_shorten() -> None:
    assert shorten("short\n  text") == "short text"
    assert len(shorten("x" * 1000, 80)) == 80


@pytest.mark.django_db
@pytest.mark.filterwarnings("ignore:No directory at")
@pytest.mark.parametrize(
    ("cookie", "zone"),
    [
        ("Europe/Berlin", "CE"),
        ("Asia/Tokyo", "JST"),
        ("", "UTC"),
        ("../../etc/passwd", "UTC"),
        ("No/Where", "UTC"),
        ("x" * 99, "UTC"),
    ],
)
def test_exact_times_are_in_the_zone_of_who_looks(client: Client, cookie: str, zone: str) -> None:
    client.force_login(User.objects.create(username="ann", is_staff=True, is_superuser=True))
    client.cookies["furrow_zone"] = cookie
    job = submit(kinds.noop)
    assert f" {zone}" in client.get(f"/admin/furrow/job/{job.pk}/change/").content.decode().split('title="2')[1][:40]


def test_json_that_is_nested_deep_is_written_no_further_than_it_is_shown() -> None:
    """Indented as a whole, 18 kB of nested arrays are 162 MB."""
    text = pretty_json("[" * 500 + "]" * 500)
    assert text.startswith("[\n  [\n    [")
    assert len(text) < 2 * SHOWN
    assert pretty_json('{"a": [1, "ü"]}') == '{\n  "a": [\n    1,\n    "ü"\n  ]\n}'
