"""When and after how long a failed attempt is followed by another. The dice is fixed."""

import math
import sys
from typing import Any

import pytest
from furrow.errors import LONGEST_SNOOZE, Abort, ArgumentError, KindError, ResultError, Retry, Snooze
from furrow.kinds.retry import MAX_DELAY, RetryPolicy, next_delay
from hypothesis import given
from hypothesis import strategies as st

PLAIN = RetryPolicy(max_attempts=3, base=2, factor=3, cap=100, jitter=0)


def highest() -> float:
    """The dice at its highest: the whole jitter is taken off."""
    return 1.0


policies = st.builds(
    RetryPolicy,
    max_attempts=st.integers(1, 1000),
    base=st.floats(0, MAX_DELAY),
    factor=st.floats(1, 100),
    cap=st.floats(0, MAX_DELAY),
    jitter=st.floats(0, 1),
)


def test_the_wait_grows_by_the_factor_up_to_the_cap() -> None:
    assert [PLAIN.delay(n) for n in (1, 2, 3, 4, 5, 6)] == [2, 6, 18, 54, 100, 100]


def test_jitter_takes_at_most_its_share_off() -> None:
    policy = RetryPolicy(base=10, factor=1, jitter=0.5)
    assert policy.delay(1, lambda: 0.0) == 10
    assert policy.delay(1, lambda: 0.5) == 7.5
    assert policy.delay(1, highest) == 5


def test_a_constant_wait() -> None:
    policy = RetryPolicy(base=7, factor=1, jitter=0)
    assert {policy.delay(n) for n in range(1, 1000)} == {7}


@given(policies, st.integers(1, 1000), st.floats(0, 1))
def test_any_legal_policy_waits_between_zero_and_its_cap(policy: RetryPolicy, failures: int, dice: float) -> None:
    wait = policy.delay(failures, lambda: dice)
    assert 0 <= wait <= policy.cap <= MAX_DELAY


@given(policies, st.integers(1, 999))
def test_without_jitter_a_later_wait_is_never_shorter(policy: RetryPolicy, failures: int) -> None:
    assert policy.delay(failures, lambda: 0.0) <= policy.delay(failures + 1, lambda: 0.0)


def test_the_largest_factor_does_not_overflow() -> None:
    assert RetryPolicy(factor=100, cap=60, jitter=0).delay(1000) == 60
    assert RetryPolicy(factor=100, base=0).delay(1000) == 0


@pytest.mark.parametrize(
    ("option", "value", "remedy"),
    [
        ("max_attempts", 0, "from 1 (no retry) to 1000"),
        ("max_attempts", -1, "from 1"),
        ("max_attempts", 1001, "to 1000"),
        ("max_attempts", 2.5, "a whole number"),
        ("max_attempts", True, "a whole number"),
        ("max_attempts", "3", "a whole number"),
        ("max_attempts", None, "a whole number"),
        ("base", -0.1, "from 0 to 604800"),
        ("base", MAX_DELAY + 1, "from 0 to 604800"),
        ("base", math.nan, "seconds"),
        ("base", math.inf, "seconds"),
        ("base", "2", "seconds"),
        ("factor", 0.5, "from 1 (constant) to 100"),
        ("factor", 101, "to 100"),
        ("cap", -1, "seconds"),
        ("cap", 1e9, "to 604800 (a week)"),
        ("jitter", 1.1, "to 1"),
        ("jitter", -0.1, "from 0 (none)"),
    ],
)
def test_an_impossible_option_is_refused_with_its_name_and_the_remedy(option: str, value: Any, remedy: str) -> None:
    with pytest.raises(KindError) as refused:
        RetryPolicy(**{option: value})
    text = str(refused.value)
    assert f"RetryPolicy({option}={value!r})" in text
    assert remedy in text


@pytest.mark.parametrize(
    ("exceptions", "text"),
    [
        ({"OSError": None}, "'OSError' is no exception class"),
        ({int: None}, "is no exception class"),
        ({OSError: 3}, "{OSError: 3}"),
        ([OSError], "must map classes"),
    ],
)
def test_impossible_exceptions_are_refused(exceptions: Any, text: str) -> None:
    with pytest.raises(KindError) as refused:
        RetryPolicy(exceptions=exceptions)
    assert text in str(refused.value)


def test_a_word_that_is_no_option_is_refused() -> None:
    with pytest.raises(TypeError, match="retries"):
        RetryPolicy(retries=3)  # type: ignore[call-arg]


# --- which policy, and is there another attempt -----------------------------------------------------------------------------


def test_attempts_end_at_the_jobs_own_limit() -> None:
    error = ValueError()
    assert [next_delay(PLAIN, n, 3, error) for n in (1, 2, 3, 4)] == [2, 6, None, None]
    assert next_delay(PLAIN, 3, 10, error) == 18
    assert next_delay(PLAIN, 1, 1, error) is None


class Nested(ConnectionResetError):
    """A subclass of a subclass of OSError."""


def test_the_nearest_class_wins() -> None:
    policy = RetryPolicy(
        base=1,
        jitter=0,
        exceptions={
            OSError: RetryPolicy(base=10, jitter=0),
            ConnectionError: RetryPolicy(base=20, jitter=0),
            TimeoutError: None,
        },
    )
    assert next_delay(policy, 1, 5, OSError()) == 10
    assert next_delay(policy, 1, 5, FileNotFoundError()) == 10
    assert next_delay(policy, 1, 5, Nested()) == 20
    assert next_delay(policy, 1, 5, Nested) == 20
    assert next_delay(policy, 1, 5, TimeoutError()) is None
    assert next_delay(policy, 1, 5, KeyError()) == 1


def test_a_policy_of_an_exception_has_a_limit_of_its_own_and_never_more_than_the_jobs() -> None:
    policy = RetryPolicy(
        max_attempts=5, exceptions={OSError: RetryPolicy(max_attempts=2), KeyError: RetryPolicy(max_attempts=9)}
    )
    assert next_delay(policy, 1, 5, OSError()) is not None
    assert next_delay(policy, 2, 5, OSError()) is None
    assert next_delay(policy, 4, 5, KeyError()) is not None
    assert next_delay(policy, 5, 5, KeyError()) is None


@pytest.mark.parametrize("error", [Abort("no"), ArgumentError("k", {"a": "b"}), ResultError("no")])
def test_what_another_attempt_cannot_mend_is_final(error: Exception) -> None:
    generous = RetryPolicy(max_attempts=1000, exceptions={Exception: RetryPolicy(max_attempts=1000)})
    assert next_delay(generous, 1, 1000, error) is None
    assert next_delay(generous, 1, 1000, type(error)) is None


def test_the_handlers_own_wait_counts_and_is_bounded() -> None:
    assert next_delay(PLAIN, 1, 3, Retry("busy", seconds=120)) == 120
    assert next_delay(PLAIN, 1, 3, Retry("busy", seconds=0)) == 0
    assert next_delay(PLAIN, 1, 3, Retry("busy", seconds=1e12)) == MAX_DELAY
    assert next_delay(PLAIN, 2, 3, Retry("busy")) == 6
    assert next_delay(PLAIN, 3, 3, Retry("busy", seconds=1)) is None


def test_base_exceptions_are_failures_like_others() -> None:
    assert next_delay(PLAIN, 1, 3, SystemExit(1)) == 2
    assert next_delay(RetryPolicy(exceptions={BaseException: None}), 1, 3, KeyboardInterrupt()) is None


@pytest.mark.parametrize("seconds", [-1, math.nan, -math.inf])
def test_an_impossible_wait_of_a_handler_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="seconds"):
        Retry("x", seconds=seconds)
    with pytest.raises(ValueError, match="seconds"):
        Snooze(seconds)


@pytest.mark.parametrize("seconds", [math.inf, LONGEST_SNOOZE + 1, sys.float_info.max])
def test_nobody_snoozes_for_ever(seconds: float) -> None:
    with pytest.raises(ValueError, match="a year"):
        Snooze(seconds)


@pytest.mark.parametrize("error", [Retry("x", seconds=1), Snooze(1)])
def test_what_was_checked_cannot_be_changed(error: Retry | Snooze) -> None:
    with pytest.raises(AttributeError, match="seconds"):
        error.seconds = math.nan  # type: ignore[misc]
