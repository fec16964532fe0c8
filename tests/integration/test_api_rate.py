"""How often a token of the HTTP API may ask."""

import pytest
from django.contrib.auth.models import User
from furrow.api import rate
from furrow.locks.errors import LockUnavailable
from furrow.locks.rate import rate_limit
from pytest_django import Settings

from tests.api import Api
from tests.stack import wait_until

pytestmark = pytest.mark.django_db


def test_a_token_that_asks_too_often_is_told_when_it_may(admin_user: User, settings: Settings) -> None:
    settings.FURROW = {**settings.FURROW, "API_RATE": "2/h"}
    api = Api(admin_user)
    answers = [api.get("kinds")]
    wait_until(lambda: answers.append(api.get("kinds")) or answers[-1].status_code == 429, what="it is refused")
    assert {answer.status_code for answer in answers[:-1]} == {200}
    assert 0 < int(answers[-1]["Retry-After"]) <= 1801
    assert "API_RATE" in answers[-1].json()["detail"]


def test_without_redis_there_is_no_limit(admin_user: User, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.FURROW = {**settings.FURROW, "API_RATE": "1/h"}
    monkeypatch.setattr(rate, "_asked_again_at", 0.0)
    monkeypatch.setattr(rate_limit, "take", _away)
    api = Api(admin_user)
    assert {api.get("kinds").status_code for _ in range(3)} == {200}


def _away(limit: object) -> float:
    raise LockUnavailable("Redis is unreachable.")
