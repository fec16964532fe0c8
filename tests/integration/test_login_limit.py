"""Logins that fail are counted by name and address: guessing ends soon, and locks out nobody else."""

import datetime as dt

import pytest
from axes.models import AccessAttempt
from config import protection
from config.protection import AXES_COOLOFF_TIME, AXES_FAILURE_LIMIT
from django.contrib.auth.models import User
from django.core.management import call_command
from django.http import HttpResponseBase
from django.test import Client, RequestFactory
from furrow.monitoring.flower_pages import rewrite
from pytest_django import Settings

pytestmark = [pytest.mark.django_db, pytest.mark.filterwarnings("ignore:No directory at")]

WORD, HERE, THERE = "a word that nobody guesses", "192.0.2.1", "192.0.2.2"


@pytest.fixture(autouse=True)
def people(settings: Settings) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    for name in ("ada", "bob"):
        User.objects.create_user(name, password=WORD, is_staff=True)


def log_in(name: str = "ada", word: str = WORD, where: str = HERE) -> HttpResponseBase:
    return Client(REMOTE_ADDR=where).post("/admin/login/", {"username": name, "password": word})


def guess() -> None:
    for number in range(AXES_FAILURE_LIMIT):
        log_in(word=f"guess {number}")


def test_guessing_ends_soon_and_locks_out_nobody_else() -> None:
    for number in range(AXES_FAILURE_LIMIT - 1):
        assert log_in(word=f"guess {number}").status_code == 200
    assert log_in(word="guess").status_code == 429
    refused = log_in()
    assert refused.status_code == 429
    assert b"Wait 15 min, or ask" in refused.content  # type: ignore[attr-defined]
    assert b"axes_reset_username" in refused.content  # type: ignore[attr-defined]
    assert log_in(where=THERE).status_code == 302, "the person elsewhere"
    assert log_in("bob").status_code == 302, "others from there"


def test_the_right_word_before_the_limit_begins_anew() -> None:
    for _ in range(3):
        for number in range(AXES_FAILURE_LIMIT - 1):
            log_in(word=f"guess {number}")
        assert log_in().status_code == 302


def test_it_ends_by_itself_and_by_a_command() -> None:
    guess()
    log_in()
    AccessAttempt.objects.update(attempt_time=dt.datetime.now(dt.UTC) - AXES_COOLOFF_TIME - dt.timedelta(seconds=1))
    assert log_in().status_code == 302
    guess()
    call_command("axes_reset_username", "ada", verbosity=0)
    assert log_in().status_code == 302


def test_the_log_names_who_and_where_and_no_password(caplog: pytest.LogCaptureFixture) -> None:
    guess()
    (last,) = [record for record in caplog.records if "Locking out" in record.getMessage()][-1:]
    assert last.levelname == "WARNING"
    assert "ada" in last.getMessage()
    assert HERE in last.getMessage()
    assert "guess 0" not in caplog.text


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        (0, "203.0.113.9", HERE),
        (1, "203.0.113.9, 198.51.100.7", "198.51.100.7"),
        (2, "203.0.113.9, 198.51.100.7", "203.0.113.9"),
        (1, "", HERE),
        (3, "198.51.100.7", HERE),
        (1, "not an address", HERE),
        (1, " 2001:db8::1 ", "2001:db8::1"),
    ],
)
def test_the_address_behind_proxies(settings: Settings, proxies: int, forwarded: str, address: str) -> None:
    settings.TRUSTED_PROXIES = proxies
    request = RequestFactory(REMOTE_ADDR=HERE).get("/", HTTP_X_FORWARDED_FOR=forwarded)
    assert protection.client_ip(request) == address


def test_what_a_client_writes_into_the_header_makes_it_no_other(settings: Settings) -> None:
    settings.TRUSTED_PROXIES = 1
    for number in range(AXES_FAILURE_LIMIT):
        client = Client(REMOTE_ADDR=HERE, HTTP_X_FORWARDED_FOR=f"203.0.113.{number}, 198.51.100.7")
        answer = client.post("/admin/login/", {"username": "ada", "password": "guess"})
    assert answer.status_code == 429


def test_headers_and_cookies(settings: Settings) -> None:
    answer = log_in()
    policy = answer["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe-inline" not in policy.split("script-src")[1].split(";")[0]
    assert (answer["X-Content-Type-Options"], answer["Referrer-Policy"]) == ("nosniff", "same-origin")
    assert (answer["X-Frame-Options"], answer["Cross-Origin-Opener-Policy"]) == ("DENY", "same-origin")
    session = answer.cookies["sessionid"]
    assert (session["httponly"], session["samesite"]) == (True, "Lax")
    assert Client().get("/health/live")["Content-Security-Policy"] == policy


def test_flowers_own_script_runs_and_no_other(admin_user: User) -> None:
    request = RequestFactory().get("/flower/")
    request.user, request.csp_nonce = admin_user, "once"  # type: ignore[attr-defined]
    tag = '<script type="text/javascript">'
    page = rewrite(request, f"{tag}\n  var autorefresh = 1;\n</script>{tag}alert(1)</script>", may_act=True)
    assert page == f'<script nonce="once">\n  var autorefresh = 1;\n</script>{tag}alert(1)</script>'
