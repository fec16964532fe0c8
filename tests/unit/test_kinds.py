"""``@job``: what it makes of a function, and every declaration that it refuses at import."""

import datetime as dt
import functools
import math
from typing import Any

import pytest
from furrow import FurrowError, Kind, KindError, RetryPolicy, UnknownKind, all_kinds, get_kind, job
from furrow.kinds import kind as registry

from tests import kinds


@pytest.fixture(autouse=True)
def _registry_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_kinds", dict(registry._kinds))


def handler(a: int = 1) -> int:
    """Double it.

    In two paragraphs.
    """
    return a * 2


def other(a: int = 1) -> int:
    """Another function."""
    return a


async def later(a: int) -> int:
    """An async one."""
    return a


class Holder:
    """Functions in a class."""

    def method(self, a: int) -> None: ...

    @staticmethod
    def static(a: int) -> None: ...

    def __call__(self, a: int) -> None: ...


def test_a_kind_is_named_after_module_and_function_and_still_is_the_function() -> None:
    kind = job(handler)
    assert isinstance(kind, Kind)
    assert (kind.name, kind.__name__, kind.__module__) == ("test_kinds.handler", "handler", __name__)
    assert kind(4) == 8
    assert kind(a=5) == 10
    assert kind.doc.splitlines()[0] == "Double it."
    assert get_kind("test_kinds.handler") is kind
    assert kind in all_kinds()
    assert repr(kind) == "<kind test_kinds.handler>"


def test_defaults_and_own_options() -> None:
    plain = job(other)
    assert (plain.queue, plain.priority, plain.soft_timeout, plain.timeout, plain.expires) == ("default", 5, None, None, None)
    assert plain.retry == RetryPolicy()
    own = job(
        name="reports.nightly-2",
        queue="other",
        priority=0,
        retry=RetryPolicy(max_attempts=1),
        soft_timeout=1,
        timeout=2.5,
        expires=dt.timedelta(hours=1),
    )(other)
    assert (own.name, own.queue, own.priority, own.soft_timeout, own.timeout) == ("reports.nightly-2", "other", 0, 1, 2.5)


def test_its_celery_task_carries_the_name_and_the_text() -> None:
    task = kinds.add.task
    assert task.name == "kinds.add"
    assert task.kind is kinds.add
    assert task.__doc__ == "Add two numbers."
    assert task(1, b=2) == 3


def test_an_async_function_may_be_a_kind() -> None:
    assert job(later).name == "test_kinds.later"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"name": ""}, "name='' cannot name a kind: use letters"),
        ({"name": "a b"}, "name='a b' cannot name a kind"),
        ({"name": "a/b"}, "cannot name a kind"),
        ({"name": "a..b"}, "cannot name a kind"),
        ({"name": ".a"}, "cannot name a kind"),
        ({"name": "a<b>"}, "cannot name a kind"),
        ({"name": 7}, "name=7 cannot name a kind"),
        ({"name": "x" * 201}, "at most 200 characters"),
        ({"queue": "defualt"}, "queue 'defualt' is unknown; did you mean 'default'? Known: default, other (FURROW['QUEUES'])"),
        ({"queue": ""}, "queue '' is unknown"),
        ({"queue": 3}, "queue 3 is unknown"),
        ({"queue": ["default"]}, "queue ['default'] is unknown"),
        ({"priority": -1}, "priority=-1 must be a whole number; 0 goes first, 9 last"),
        ({"priority": 10}, "priority=10 must be"),
        ({"priority": True}, "priority=True must be"),
        ({"priority": 5.0}, "priority=5.0 must be"),
        ({"priority": "high"}, "priority='high' must be"),
        ({"priority": None}, "priority=None must be"),
        ({"retry": 3}, "retry=3 must be a RetryPolicy"),
        ({"retry": 0}, "retry=0 must be a RetryPolicy"),
        ({"retry": {"max_attempts": 3}}, "must be a RetryPolicy"),
        *(
            ({option: value}, f"{option}={value!r} must be seconds, more than 0 and at most a week")
            for option in ("timeout", "soft_timeout")
            for value in (0, -1, 7 * 86400 + 1, math.nan, math.inf, "60", True, dt.timedelta(seconds=3))
        ),
        ({"soft_timeout": 5, "timeout": 5}, "soft_timeout (5) would have no effect: make it less than timeout (5)"),
        ({"soft_timeout": 6, "timeout": 5}, "would have no effect"),
        ({"expires": dt.timedelta(0)}, "expires=datetime.timedelta(0) must be a datetime.timedelta of more than zero"),
        ({"expires": dt.timedelta(-1)}, "must be a datetime.timedelta"),
        ({"expires": 60}, "expires=60 must be a datetime.timedelta"),
        ({"expires": dt.datetime.now(dt.UTC)}, "must be a datetime.timedelta"),
        ({"permission": "refund"}, "permission='refund' must be a permission's full name, app.codename"),
        ({"permission": None}, "permission=None must be"),
        ({"permission": "billing.refund order"}, "such as 'billing.refund_order'"),
        ({"timeot": 3}, "@job has no option 'timeot': did you mean 'timeout'? Known: concurrency,"),
        ({"max_retries": 3}, "@job has no option 'max_retries'"),
        ({"Queue": "default"}, "did you mean 'queue'?"),
    ],
)
def test_an_impossible_option_is_refused_with_its_name_and_the_remedy(options: dict[str, Any], text: str) -> None:
    known = len(all_kinds())
    with pytest.raises(KindError) as refused:
        job(**options)(handler)
    assert text in str(refused.value)
    assert isinstance(refused.value, FurrowError)
    assert len(all_kinds()) == known


def nested() -> Any:
    """A function in a function."""

    def inner(a: int) -> None: ...

    return inner


@pytest.mark.parametrize(
    ("thing", "text"),
    [
        (lambda a: a, "define the handler at module level, with def"),
        (nested(), "other processes cannot import it; define the handler at module level"),
        (Holder.method, "define the handler at module level"),
        (Holder.static, "define the handler at module level"),
        (Holder, "@job goes on a function, not on <class"),
        (Holder(), "@job goes on a function"),
        (Holder().method, "@job goes on a function"),
        (len, "@job goes on a function"),
        (functools.partial(handler, 1), "@job goes on a function"),
        ("default", "options are given by name: @job(queue=…)"),
        (5, "@job goes on a function"),
        (kinds.add, "@job goes on a function"),
    ],
)
def test_what_is_no_function_of_a_module_is_refused(thing: Any, text: str) -> None:
    with pytest.raises(KindError) as refused:
        job(thing)
    assert text in str(refused.value)
    with pytest.raises(KindError):
        job(queue="default")(thing)


def test_two_handlers_may_not_share_a_name() -> None:
    job(name="shared.name")(handler)
    with pytest.raises(KindError) as refused:
        job(name="shared.name")(other)
    text = str(refused.value)
    assert "shared.name is registered twice" in text
    assert f"{__name__}.handler" in text
    assert f"{__name__}.other" in text
    assert "give one a name=… of its own" in text
    assert get_kind("shared.name").handler is handler


def test_nor_may_one_handler_have_a_name_twice() -> None:
    job(name="twice.name", priority=1)(handler)
    with pytest.raises(KindError, match=r"twice.name is registered twice"):
        job(name="twice.name", priority=2)(handler)
    assert get_kind("twice.name").priority == 1


def test_a_refused_signature_registers_nothing() -> None:
    def bad(a) -> None: ...  # type: ignore[no-untyped-def]

    bad.__qualname__ = "bad"
    with pytest.raises(KindError, match="no type hint"):
        job(bad)
    with pytest.raises(UnknownKind):
        get_kind("test_kinds.bad")


def test_an_unknown_kind_names_the_near_ones() -> None:
    with pytest.raises(UnknownKind, match=r"There is no kind 'kinds.ad'. Did you mean kinds.add"):
        get_kind("kinds.ad")
    with pytest.raises(UnknownKind, match="no kind ''"):
        get_kind("")
    nonsense: list[Any] = [None, 5, ["kinds.add"], kinds.ordinary]
    for thing in nonsense:
        with pytest.raises(UnknownKind, match="There is no kind"):
            get_kind(thing)


def test_with_no_kinds_at_all_the_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_kinds", {})
    with pytest.raises(UnknownKind, match=r"No kind is registered; see FURROW\['MODULES'\]"):
        get_kind("x")


def test_discovery_finds_the_modules_of_the_settings() -> None:
    names = [kind.name for kind in all_kinds()]
    assert "kinds.add" in names
    assert names == sorted(names)
