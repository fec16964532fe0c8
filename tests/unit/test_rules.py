"""Rules of kinds: what is refused, and what keys they make of arguments."""

import datetime as dt
from typing import Annotated, Any

import pytest
from furrow import KindError, Secret, Unique, job
from furrow.dispatcher.turns import shares_of
from furrow.kinds.kind import Kind
from furrow.limits.key_template import LONGEST_KEY, LimitError
from furrow.limits.limit import Limit, Rules, rate_of
from furrow.submission.submit import submit

NAMES = ("account", "customer", "text")


def rules(**given: Any) -> Rules:
    return Rules(kind="m.f", names=NAMES, **given)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (
            {"lock": "a:{acount}"},
            "lock: 'a:{acount}' names 'acount', which is no argument of this kind; did you mean 'account'?",
        ),
        ({"lock": "a:{account"}, "lock: 'a:{account' cannot be read"),
        ({"lock": "a:{}"}, "has a format or a conversion"),
        ({"lock": "a:{account!r}"}, "has a format or a conversion: write the argument's name alone, {account}"),
        ({"lock": ""}, "lock: '' must be a text"),
        ({"lock": 7}, "lock: 7 must be a text"),
        ({"concurrency": 0}, "concurrency: 0 must be a whole number from 1 to 10,000"),
        ({"concurrency": True}, "concurrency: True must be a whole number"),
        ({"concurrency_key": "{account}"}, "concurrency_key: has no effect without concurrency"),
        ({"rate_key": "{account}"}, "rate_key: has no effect without rate"),
        ({"rate": "fast"}, "rate: 'fast' must be a number of starts and a time, such as '100/m'"),
        ({"rate": "0/s"}, "must allow from 1 to 10,000 starts"),
        ({"rate": "10001/h"}, "must allow from 1 to 10,000 starts"),
        ({"rate": "1/0.001s"}, "must be for 10 milliseconds at least"),
        ({"rate": "1/32d"}, "at most 31 days"),
        ({"on_conflict": "drop"}, "on_conflict: has no effect without lock"),
        ({"lock": "a", "on_conflict": "skip"}, "on_conflict: 'skip' is unknown; known: cancel, drop, wait"),
        ({"lock": "a", "ordered": "o", "on_conflict": "drop"}, "contradicts ordered"),
        ({"fair": "everybody"}, "fair: 'everybody' names no argument"),
        ({"unique": 7}, "unique: 7 must be a template"),
        ({"unique": Unique("{account}", until="ended")}, "until='ended' must be 'started', 'done' or a datetime.timedelta"),  # type: ignore[arg-type]
        ({"unique": Unique("{account}", until=dt.timedelta(0))}, "must be more than zero"),
        ({"unique": Unique("{account}", conflict="ignore")}, "conflict='ignore' must be"),  # type: ignore[arg-type]
        ({"unique": Unique("{account}", conflict="replace")}, "conflict='replace' needs until='started'"),
        ({"unique": Unique("{acc}")}, "names 'acc', which is no argument"),
    ],
)
def test_what_cannot_work_is_refused_by_name(given: dict[str, Any], text: str) -> None:
    with pytest.raises(LimitError) as refused:
        rules(**given)
    assert text in str(refused.value)


def handler(account: int, token: Annotated[str, Secret] = "") -> None: ...


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"lock": "a:{acount}"}, "test_rules.handler: lock: 'a:{acount}' names 'acount'"),
        ({"lock": "a:{token}"}, "'a:{token}' names 'token', which is secret, but keys are shown: name another argument"),
        ({"locks": "a"}, "@job has no option 'locks': did you mean 'lock'?"),
    ],
)
def test_at_import(given: dict[str, Any], text: str) -> None:
    with pytest.raises(KindError) as refused:
        job(**given)(handler)
    assert text in str(refused.value)


def test_keys() -> None:
    all_of_them = rules(
        lock="account:{account}",
        concurrency=5,
        concurrency_key="t {text} {{}}",
        rate="5/10s",
        ordered="customer:{customer.id}",
        unique="{account}/{text}",
        fair="{customer}",
    )
    arguments = {"account": 7, "customer": {"name": "x", "id": True}, "text": "ü"}
    assert all_of_them.limits(arguments) == [
        Limit("lock:account:7", declared=True),
        Limit("limit:t ü {}", 5, declared=True),
        Limit("rate:m.f", 5, 10.0, declared=True),
        Limit("order:customer:true", ordered=True),
    ]
    assert all_of_them.unique_key(arguments) == "m.f:7/ü"
    assert all_of_them.fair_key(arguments) == '{"id":true,"name":"x"}'
    assert all_of_them.fair_key({}) == "null"
    assert rules(concurrency=2).limits({}) == [Limit("limit:m.f", 2, declared=True)]
    assert rules(lock="{account}").changed({"concurrency": 2}).limits(arguments) == [
        Limit("lock:7", declared=True),
        Limit("limit:m.f", 2),
    ]
    assert rules(lock="{account}").changed({"lock": None}).limits(arguments) == []


def test_long_keys_are_cut_and_stay_different() -> None:
    keys = {rules(lock="{text}").limits({"text": "x" * 5000 + end})[0].key for end in ("a", "b")}
    assert len(keys) == 2
    assert {len(key) for key in keys} == {LONGEST_KEY}


def test_rates() -> None:
    assert [rate_of(text) for text in ("100/m", "2/s", "1000/h", "5/d", "5/10s", "1/0.5s")] == [
        *((100, 60.0), (2, 1.0), (1000, 3600.0), (5, 86400.0), (5, 10.0), (1, 0.5))
    ]


def test_shares_follow_the_weights_and_everybody_gets_one() -> None:
    assert shares_of(["a", "b"], {}, 10) == {"a": 5, "b": 5}
    assert shares_of(["a", "b"], {"a": 3}, 100) == {"a": 75, "b": 25}
    assert shares_of(["a", "b", "c"], {"a": 9_000}, 10) == {"a": 9, "b": 1}
    assert shares_of(["a", "b", "c"], {}, 2) == {"a": 1, "b": 1}


def test_a_kind_without_rules_has_none() -> None:
    assert not Kind(handler, submit).rules.any
