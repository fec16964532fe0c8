"""Locks, semaphores, leaderships and rate limits against a real Redis, in one process."""

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings
from furrow import Held, LockError, LockLost, LockUnavailable, NotAcquired, RateLimited, leader, lock, rate_limit, semaphore
from furrow.locks import client, keeper
from furrow.locks.conf import times
from furrow.locks.keys import PREFIX, of_lock
from furrow.locks.listing import in_use
from furrow.locks.models import Epoch
from redis import Redis

from tests.services import redis
from tests.stack import wait_until

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("live_db")]


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    """No locks of other tests; the epoch goes on."""
    connected = Redis.from_url(redis.url, decode_responses=True)  # patient, unlike the client under test
    for key in connected.scan_iter(PREFIX + "*"):
        if key != PREFIX + "epoch":
            connected.delete(key)
    if not Epoch.objects.exists():  # the database is new, Redis is not: tokens go on from Redis'
        connected.hdel(PREFIX + "epoch", "run")
    connected.hset(PREFIX + "epoch", "wiped", 0)
    yield
    assert keeper.current().holdings == []


def in_thread(function: Any) -> Any:
    """Call it in another thread."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result(60)


def test_one_holds_it_and_tokens_grow() -> None:
    with lock("order:7") as held:
        assert isinstance(held, Held)
        assert (held.name, held.slot, held.is_held()) == ("order:7", 0, True)
        with pytest.raises(NotAcquired, match=r"lock:order:7 is held by others"):
            in_thread(lambda: lock("order:7", timeout=0).acquire())
        with pytest.raises(NotAcquired, match=r"for 0.2 s"):
            in_thread(lambda: lock("order:7", timeout=0.2).acquire())
        with lock("order:8"), leader("order:7"):
            pass
    with lock("order:7", timeout=0) as again:
        assert again.token > held.token
    assert client.client().keys(PREFIX + "[sl]*") == [], "what is not used leaves nothing behind"


def test_it_is_not_reentrant() -> None:
    with lock("once"), pytest.raises(LockError, match=r"lock:once is held by this thread already"):
        lock("once", timeout=0).acquire()
    guard = lock("twice")
    with guard, pytest.raises(LockError, match="guards another block already"):
        guard.acquire()


def test_those_who_wait_are_served_in_order() -> None:
    order: list[int] = []

    def waits(n: int) -> None:
        with lock("line"):
            order.append(n)

    threads = [threading.Thread(target=waits, args=(n,)) for n in range(5)]
    with lock("line"):
        for n, thread in enumerate(threads):
            thread.start()
            wait_until(partial(lambda n: client.client().zcard(PREFIX + "line:lock:line") == n + 1, n))
    for thread in threads:
        thread.join(60)
    assert order == [0, 1, 2, 3, 4]


def test_a_semaphore_has_so_many_places() -> None:
    together, most, mutex = [0], [0], threading.Lock()
    slots: set[int] = set()

    def works(_: int) -> None:
        with semaphore("gpu", 3) as held:
            with mutex:
                together[0] += 1
                most[0] = max(most[0], together[0])
                slots.add(held.slot)
            threading.Event().wait(0.01)
            with mutex:
                together[0] -= 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(works, range(24)))
    assert most[0] == 3
    assert slots == {0, 1, 2}


def test_around_a_function() -> None:
    @lock("account:{account_id}", timeout=0)
    def settle(account_id: int, held_too: str = "") -> str:
        """Settle."""
        with pytest.raises(NotAcquired):
            in_thread(lambda: lock(f"account:{account_id}", timeout=0).acquire())
        return f"{account_id}{held_too}"

    assert (settle(7), settle(account_id=8, held_too="!"), settle.__doc__) == ("7", "8!", "Settle.")
    with pytest.raises(LockError, match=r"cannot be filled in .*settle has the arguments: account_id, held_too"):
        lock("account:{acount}")(settle)

    async def later() -> None: ...

    with pytest.raises(LockError, match="take lock:x inside"):
        lock("x")(later)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: lock(""), "name: '' cannot be a lock's name"),
        (
            lambda: lock(7),  # type: ignore[arg-type]
            "name: 7 is a int",
        ),
        (
            lambda: lock(b"orders"),  # type: ignore[arg-type]
            "name: b'orders' is a bytes: a lock's name is text, such as 'order:7'",
        ),
        (lambda: lock("a\nb"), r"name: 'a\nb' has characters that cannot be printed: leave them out"),
        (lambda: lock("a\0b"), "cannot be printed"),
        (lambda: lock("\ud800"), "cannot be printed"),
        (lambda: lock("ö" * 101), "with 202 bytes: give it 1 to 200"),
        (lambda: lock("x" * 10_000), "with 10,000 bytes"),
        (lambda: lock("a", timeout=-1), "timeout: -1 must be"),
        (lambda: lock("a", timeout=float("nan")), "timeout: nan"),
        (
            lambda: lock("a", timeout="5"),  # type: ignore[arg-type]
            "timeout: '5' must be the seconds to wait",
        ),
        (lambda: semaphore("a", 1_001), "limit: 1001 must be"),
        (lambda: semaphore("a", 0), "limit: 0 must be a whole number of holders, from 1 to 1,000"),
        (lambda: semaphore("a", True), "limit: True"),
        (lambda: rate_limit("a", "100"), "rate: '100' must be a number and a time"),
        (lambda: rate_limit("a", "0/s"), "rate: '0/s'"),
        (lambda: rate_limit("a", "1/0"), "rate: '1/0'"),
        (lambda: rate_limit("a", "5/fortnight"), "rate: '5/fortnight' must be a number and a time, such as '100/m'"),
        (
            lambda: rate_limit("a", "1/s", burst=0.5),  # type: ignore[arg-type]
            "burst: 0.5 must be",
        ),
        (lambda: rate_limit("a", "1/s", burst=0), "burst: 0 must be"),
    ],
)
def test_what_cannot_be_is_refused_by_name(make: Any, text: str) -> None:
    with pytest.raises(LockError) as raised:
        make()
    assert text in str(raised.value)


@pytest.mark.parametrize("name", ["*", "[a-c]?", "a:b::c", "lock:lock", " ", "Zoë 🔒", "{name}", "%s", "'; --", "x" * 200])
def test_any_other_name_is_one(name: str) -> None:
    with lock(name) as held, semaphore(name, 1), lock("other"):
        assert held.name == name
        assert in_use_by(name) == [held.token]
        with pytest.raises(NotAcquired):
            in_thread(lambda: lock(name, timeout=0).acquire())
    assert in_use_by(name) == []


def in_use_by(name: str) -> list[int]:
    """The tokens of the lock of this name, as the admin lists them."""
    return [holder.token for found in in_use() if (found.kind, found.name) == ("lock", name) for holder in found.holders]


def test_the_same_object_may_guard_again_also_after_an_exception() -> None:
    guard = lock("again", timeout=0)
    with pytest.raises(ZeroDivisionError), guard:
        _ = 1 / 0
    with guard as held:
        assert held.is_held()
    guard.release()
    assert not guard._in_use.locked()

    @contextlib.contextmanager
    def inside() -> Iterator[Held]:
        with guard as held:
            yield held

    with inside() as again:
        assert again.token > held.token
    generator = inside().gen
    next(generator)
    generator.close()  # a generator that nobody finishes gives it back too
    with guard:
        pass


def test_one_object_in_many_threads_guards_one_block_at_a_time() -> None:
    guard = semaphore("shared", 8)
    inside = threading.Barrier(2)

    def works() -> None:
        with guard:
            inside.wait(60)
            inside.wait(60)

    thread = threading.Thread(target=works)
    thread.start()
    inside.wait(60)
    with pytest.raises(LockError, match=r"semaphore:shared: this object guards another block already. Create a semaphore\(…\)"):
        guard.acquire()
    inside.wait(60)
    thread.join(60)
    with guard as held:
        assert held.slot == 0


def test_a_child_process_neither_holds_nor_gives_back() -> None:
    guard = lock("parent")
    with guard as held:
        assert in_a_child(lambda: (held.is_held(), said_by(held.check), guard.release())) == str(
            (
                False,
                f"lock:parent (token {held.token}) is held by the parent process {os.getpid()}; only that process "
                "notices a loss. Write there, or take a lock in this process.",
                None,
            )
        )
        assert in_a_child(lambda: said_by(lock("parent", timeout=0).acquire)) == "lock:parent is held by others."
        assert in_a_child(lambda: lock("child").acquire().is_held()) == "True"
        assert held.is_held()
        assert in_use_by("parent") == [held.token]
    assert client.run("release", of_lock("lock:child"), ["", str(in_use_by("child")[0]), "lock:child", 3000]) == 1


def said_by(function: Any) -> str:
    """The error that it raises."""
    try:
        function()
    except (LockError, LockLost) as error:
        return str(error)
    return ""


def in_a_child(function: Any) -> str:
    """What it returns in a forked child, as text."""
    reads, writes = os.pipe()
    if (child := os.fork()) == 0:
        try:
            os.write(writes, str(function()).encode())
        finally:
            os._exit(0)
    os.close(writes)
    os.waitpid(child, 0)
    with open(reads, "rb") as pipe:
        return pipe.read().decode()


def test_in_async_code_it_is_held_in_a_thread() -> None:
    async def wrong() -> None:
        async with lock("x"):
            pass

    with pytest.raises(LockError, match=r"lock:x: .* Put `with lock\(…\)` into a function and `await asyncio.to_thread"):
        asyncio.run(wrong())

    def right() -> bool:
        with lock("x", timeout=0) as held:
            return held.is_held()

    async def twice() -> list[bool]:
        return [await asyncio.to_thread(right), await asyncio.to_thread(right)]

    assert asyncio.run(twice()) == [True, True]

    async def yields() -> AsyncIterator[int]:
        yield 1

    with pytest.raises(LockError, match="take lock:x inside"):
        lock("x")(yields)


@pytest.mark.parametrize("lease", [31, 1.9, 0, -15, True, "15", float("nan")])
def test_a_lease_that_cannot_be_is_refused(lease: Any, settings: Any) -> None:
    settings.FURROW = {**settings.FURROW, "LOCK_LEASE": lease}
    with pytest.raises(
        ImproperlyConfigured, match=r"FURROW\['LOCK_LEASE'\] is .*: it must be a number of seconds from 2 to 30"
    ):
        times()


def test_when_redis_has_no_memory_left_it_says_so() -> None:
    connected = client.client()
    connected.config_set("maxmemory", "1")
    try:
        with pytest.raises(LockUnavailable, match=r"Redis refuses .*maxmemory"):
            lock("full", timeout=0).acquire()
    finally:
        connected.config_set("maxmemory", "0")
    with lock("full", timeout=0):
        pass


def test_a_lease_is_renewed_until_it_is_given_back() -> None:
    with lock("long") as held:
        first = held._holding.until
        wait_until(lambda: held._holding.until > first + times().lease)
        assert held.is_held()


def test_a_rate_is_kept() -> None:
    limit = rate_limit("mail", "50/s", burst=3)
    times = []
    for _ in range(8):
        limit.take()
        times.append(limit.permitted_at)
    assert times[2] - times[0] < 3 / 50
    assert times[7] - times[0] >= 5 / 50 - 1e-4
    strict = rate_limit("slow", "1/h", timeout=0)
    strict.take()
    with pytest.raises(RateLimited) as refused:
        strict.take()
    assert 3590 < refused.value.retry_after <= 3600


# --- losing it --------------------------------------------------------------------------------------------------------------


def holds_until_lost(name: str, began: threading.Event, swallowed: list[str]) -> str:
    """Hold a lock and work on; how it ended."""
    try:
        with lock(name):
            began.set()
            while True:
                try:
                    time.monotonic()
                except Exception as error:
                    swallowed.append(repr(error))
    except LockLost as error:
        return str(error)


@pytest.mark.parametrize("how", ["wiped", "broken"])
def test_who_loses_it_is_stopped_before_another_holds_it(how: str) -> None:
    began = threading.Event()
    swallowed: list[Any] = []
    with ThreadPoolExecutor(1) as pool:
        holder = pool.submit(holds_until_lost, "lost", began, swallowed)
        assert began.wait(60)
        (holding,) = [one for one in keeper.current().holdings if one.label == "lock:lost"]
        if how == "wiped":
            client.client().flushdb()
        else:
            assert client.run("break", [PREFIX + "state:lock:lost"], [holding.token])
        with lock("lost", timeout=60) as held:
            assert holder.done() or holding.lost
            assert held.token > holding.token
        text = holder.result(60)
    assert "lock:lost" in text
    assert "Redis does not know of it" in text
    assert swallowed == []


def test_a_frozen_redis_stops_the_holder_and_nothing_hangs() -> None:
    began = threading.Event()
    swallowed: list[Any] = []
    with ThreadPoolExecutor(1) as pool:
        holder = pool.submit(holds_until_lost, "frozen", began, swallowed)
        assert began.wait(60)
        redis.freeze()
        try:
            with pytest.raises(LockUnavailable, match="Redis is unreachable"):
                lock("other", timeout=0).acquire()
            assert "could not be renewed in time" in holder.result(60)
        finally:
            redis.thaw()
    with lock("frozen", timeout=60):
        pass


def test_a_restart_is_waited_for() -> None:
    with lock("restarted") as held:
        pass
    stopped = threading.Event()

    def restart() -> None:
        redis.kill()
        stopped.set()
        redis.start()

    thread = threading.Thread(target=restart)
    thread.start()
    assert stopped.wait(60)
    with lock("restarted", timeout=60) as again:
        assert again.token // 10**12 > held.token // 10**12
    thread.join()


def test_an_older_copy_of_redis_gives_no_token_twice() -> None:
    with lock("copied") as first:
        pass
    older: Any = client.client().hgetall(PREFIX + "epoch")
    tokens = []
    for _ in range(3):
        with lock("copied") as held:
            tokens.append(held.token)
    redis.stop()
    redis.start()
    client.client().hset(PREFIX + "epoch", mapping=older)
    with lock("copied", timeout=60) as last:
        assert first.token < min(tokens) <= max(tokens) < last.token


@override_settings(FURROW={**settings.FURROW, "REDIS_URL": "redis://127.0.0.1:1/0"})
def test_without_redis_it_says_so() -> None:
    for timeout in (0, 0.3):
        with pytest.raises(LockUnavailable, match=r"check FURROW\['REDIS_URL'\]"):
            in_thread(lambda timeout=timeout: lock("nowhere", timeout=timeout).acquire())


def test_a_wait_that_is_interrupted_leaves_the_line() -> None:
    class Stop(BaseException):
        pass

    def waits() -> None:
        with contextlib.suppress(Stop):
            lock("held").acquire()

    thread = threading.Thread(target=waits)
    with lock("held"):
        thread.start()
        wait_until(lambda: client.client().zcard(PREFIX + "line:lock:held") == 1)
        keeper._raise_in(thread, Stop)
        thread.join(60)
        assert client.client().zcard(PREFIX + "line:lock:held") == 0
