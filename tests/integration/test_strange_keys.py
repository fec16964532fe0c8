"""What Redis holds may be anything: each family of keys with each wrong type and hostile value, and all that reads it.

Either it works as if nothing were, or that lock fails alone, with an error that names the key and the remedy; never anything
else. The trouble is told, other locks go on, and once the key is deleted so does this one.
"""

import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from django.test import Client, override_settings
from furrow import LockError, LockLost, LockUnavailable, RateLimited, lock, rate_limit, semaphore
from furrow.actions import locks as of_jobs
from furrow.diagnosis import troubles
from furrow.dispatcher.orphaned_locks import OrphanedLocks
from furrow.locks import keeper, line, listing, owner, strange, wakeup
from furrow.locks.keys import PREFIX, key
from redis import Redis

from tests.services import redis
from tests.stack import wait_until
from tests.thorough import first_of

pytestmark = [pytest.mark.usefixtures("live_db"), pytest.mark.filterwarnings("ignore:No directory at")]

#: Values where a number, a text or a name is expected.
VALUES: dict[str, bytes | str] = {
    "empty": "",
    "no text": b"\xff\xfe\x00\x80",
    "nan": "nan",
    "infinite": "1e999",
    "negative": "-1",
    "huge": "9" * 5_000,
    "hex": "0x7fffffff",
    "words": "a b c d e f g",
    "markup": "<script>alert(1)</script>",
    "newlines": "1 1 1 - \r\n$5\r\n",
    "slot, end far away": "999999999999999 1 1 - x/y.1",
    "slot, since far away": "{soon} 1 999999999999999 - x/y.1",
    "slot, token too long": "{soon} " + "9" * 40 + " 1 - x/y.1",
    "slot, no owner": "{soon} 1 1 - ",
    "slot, job of hyphens": "{soon} 1 1 - job:" + "-" * 36 + ":1/y.1",
    "long": "x" * 300_000,
}


def _string(r: Any, at: str, value: Any = "x") -> None:
    r.set(at, value)


def _list(r: Any, at: str, value: Any = "x") -> None:
    r.rpush(at, value)


def _set(r: Any, at: str, value: Any = "x") -> None:
    r.sadd(at, value)


def _zset(r: Any, at: str, value: Any = "x") -> None:
    r.zadd(at, {value: 1}, nx=True)


def _hash(r: Any, at: str, value: Any = "x") -> None:
    r.hset(at, "0", value)


def _stream(r: Any, at: str, value: Any = "x") -> None:
    r.xadd(at, {"field": value})


TYPES = {"string": _string, "list": _list, "set": _set, "zset": _zset, "hash": _hash, "stream": _stream}
STATE, LINE, RATE = key("state", "lock:odd"), key("line", "lock:odd"), key("rate", "odd")
FAMILIES = {STATE: "hash", LINE: "zset", RATE: "string", key("epoch"): "hash", key("index"): "set"}
EPOCH = ("number", "run", "since", "counter", "ticket", "wiped")


@pytest.fixture
def r() -> Iterator[Any]:
    """Somebody else's connection; afterwards Redis is empty."""
    connected = Redis.from_url(redis.url)
    _empty(connected)
    with lock("before", timeout=30):  # also when an epoch must be begun first
        pass
    troubles._forget()
    yield connected
    _empty(connected)
    troubles._forget()
    assert keeper.current().holdings == []


def test_a_rate_whose_key_holds_rubbish_is_not_refused_for_ever_to_who_does_not_wait(r: Any) -> None:
    limit = rate_limit("odd", "1000/s", timeout=0)
    wait_until(lambda: permitted(limit), what="the epoch has begun")
    r.set(RATE, "rubbish")
    wait_until(lambda: permitted(limit), what="there is a permit again")
    assert r.get(RATE) != b"rubbish"


def permitted(limit: Any) -> bool:
    try:
        limit.take()
    except RateLimited:
        return False
    return True


def _empty(r: Any) -> None:
    for one in r.scan_iter(PREFIX + "*"):
        if one != key("epoch").encode() or r.type(one) != b"hash":
            r.delete(one)
    _no_grace()


def _no_grace() -> None:
    """Of an epoch that was begun anew."""
    Redis.from_url(redis.url).hset(key("epoch"), mapping={"wiped": 0, "since": 0})


def told() -> list[str]:
    """The texts of what was noted."""
    return [one.text for one in troubles._noted.values()]


def use_everything() -> list[str]:
    """Call each function that reads; the errors."""
    errors: list[str] = []

    def attempt(function: Callable[[], Any]) -> None:
        try:
            function()
        except LockError as error:
            errors.append(str(error))

    def hold(guard: Any) -> None:
        with guard:
            pass

    attempt(lambda: hold(lock("odd", timeout=0)))
    attempt(lambda: hold(lock("odd", timeout=0.05)))
    attempt(lambda: hold(rate_limit("odd", "1000/s", timeout=1)))
    attempt(lambda: listing.in_use())
    attempt(lambda: listing.break_lock("lock:odd", 1))
    attempt(lambda: listing.free({"job:0:1"}))
    attempt(lambda: line.release("lock:odd", "nobody", ""))
    attempt(lambda: keeper.renew([("lock:odd", 0, 1), ("lock:even", 0, 1)]))
    attempt(lambda: OrphanedLocks().run_once())
    attempt(lambda: of_jobs.without_holder())
    return errors


def others_go_on() -> None:
    """Another lock, semaphore and rate work as ever, and are shown. (A new epoch begins with a wait for old leases.)"""
    _no_grace()
    with lock("even", timeout=2) as held, semaphore("evens", 3, timeout=2):
        assert held.is_held()
        assert {one.name for one in listing.in_use()} >= {"even", "evens"}
        assert keeper.renew([("lock:odd", 0, 1), ("lock:even", 0, held.token)])[1] is True
    assert rate_limit("even", "1000/s", timeout=2).take() < 2


@pytest.mark.parametrize("at", FAMILIES)
@pytest.mark.parametrize("kind", TYPES)
def test_a_key_of_another_type(r: Any, at: str, kind: str) -> None:
    if FAMILIES[at] == kind:
        return
    r.sadd(key("index"), "lock:odd")
    r.delete(at)
    TYPES[kind](r, at)
    errors = use_everything()
    others_go_on()
    if at == STATE:
        words = f"Redis key {at} holds a {kind.replace('zset', 'sorted set')} where Furrow keeps a hash"
        assert any(words in error and f"redis-cli DEL '{at}'" in error for error in errors)
        assert words in told()
        assert r.type(at) == kind.encode(), "who holds it is in no other place"
    else:
        assert not [error for error in errors if "anew" not in error and "held by others" not in error]
        assert any(at in text for text in told()), told()
    r.delete(STATE)
    _no_grace()
    wait_until(lambda: not use_everything(), what="with the key away the lock works")


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize(
    ("at", "field"),
    first_of(
        [(STATE, "0"), (LINE, ""), (RATE, ""), (STATE, "limit"), (STATE, "strange"), *[(key("epoch"), f) for f in EPOCH]], 3
    ),
)
def test_a_value_that_is_none_of_ours(r: Any, at: str, field: str, value: str) -> None:
    given = VALUES[value]
    if isinstance(given, str):
        given = given.replace("{soon}", str(r.time()[0] * 1000 + 5_000))
    r.sadd(key("index"), "lock:odd")
    if at == LINE:
        r.zadd(at, {given: 1})
    elif at == RATE:
        r.set(at, given)
    else:
        r.hset(at, field, given)
    errors = use_everything()
    others_go_on()
    for error in errors:
        assert "nonsense" not in error, error
        assert "script" not in error, error
        if "cannot be read" in error:
            assert STATE in error
            assert "redis-cli DEL" in error
    r.delete(STATE)
    _no_grace()
    wait_until(lambda: not use_everything(), what="with the key away the lock works")
    with lock("after", timeout=2) as held:
        assert held.token < 2**63, "it fits a fence"


@pytest.mark.parametrize("value", VALUES)
def test_names_in_the_index_that_are_none(r: Any, value: str) -> None:
    r.sadd(key("index"), VALUES[value])
    with lock("odd", timeout=2):
        assert [one.name for one in listing.in_use()] == ["odd"]
    assert "1 member of the Redis key furrow:lock:index named no lock" in told()
    assert r.smembers(key("index")) == set()


def test_the_index_is_made_anew_from_what_is_held(r: Any) -> None:
    with lock("odd", timeout=2):
        r.delete(key("index"))
        r.set(key("index"), "x")
        assert [one.name for one in listing.in_use()] == ["odd"]


def test_one_lock_that_cannot_be_renewed_does_not_cost_the_others(r: Any) -> None:
    with lock("even", timeout=2) as even:
        r.set(STATE, "x")
        assert keeper.renew([("lock:odd", 0, 1), ("lock:even", 0, even.token)]) == [False, True]
    assert told() == [f"Redis key {STATE} holds a string where Furrow keeps a hash"]


def test_a_holder_whose_key_is_overwritten_is_told_that_it_lost(r: Any) -> None:
    never = threading.Event()

    def hold() -> None:
        with lock("odd", timeout=2):
            r.delete(STATE)
            r.set(STATE, "x")
            while not never.wait(0.05):
                pass

    with pytest.raises(LockLost):
        hold()


def test_a_token_that_cannot_go_on_makes_a_new_epoch(r: Any) -> None:
    with lock("odd", timeout=2) as before:
        pass
    r.hset(key("epoch"), "counter", "nan")
    with lock("odd", timeout=30) as after:
        assert after.token > before.token


@pytest.mark.parametrize("value", VALUES)
def test_who_waits_does_not_believe_everybody(r: Any, value: str) -> None:
    took = threading.Event()

    def wait() -> None:
        with lock("odd", timeout=30):
            took.set()

    with lock("odd", timeout=2):
        thread = threading.Thread(target=wait)
        thread.start()
        wait_until(lambda: r.zcard(LINE) and r.pubsub_channels(PREFIX + "wake:*"))
        for channel in r.pubsub_channels(PREFIX + "wake:*"):  # those of earlier tests are not gone at once
            r.publish(channel, VALUES[value])
        assert not took.is_set()
    thread.join(30)
    assert took.is_set()


def test_a_flood_of_wake_ups_does_not_keep_the_dispatcher(r: Any) -> None:
    waiter, flooding = wakeup.Waiter(), True

    def flood() -> None:
        connected = Redis.from_url(redis.url).pipeline(transaction=False)
        while flooding:
            for _ in range(1_000):
                connected.publish(wakeup.CHANNEL, b"\xff")
            connected.execute()

    waiter.wait(0)
    threads = [threading.Thread(target=flood) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        assert waiter.wait(10)
    finally:
        flooding = False
        for thread in threads:
            thread.join()
        waiter.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b":abc\r\n",
        b"*9999999\r\n",
        b"$-5\r\nxx\r\n",
        b"\xff" * 100,
        b"*0\r\n" * 50,
        b"+OK\r\n" * 50,
        b"",
    ],
)
def test_a_server_that_is_no_redis(answer: bytes) -> None:
    server = socket.create_server(("127.0.0.1", 0))
    connections: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
                connections.append(connection)
                connection.recv(1)
                connection.sendall(answer)
                connection.shutdown(socket.SHUT_WR)
            except OSError:
                return

    threading.Thread(target=serve, daemon=True).start()
    with override_settings(FURROW={**settings.FURROW, "REDIS_URL": f"redis://127.0.0.1:{server.getsockname()[1]}/0"}):
        wakeup._client, wakeup._quiet_until = None, 0.0
        for use in (
            lambda: lock("odd", timeout=0).acquire(),
            lambda: rate_limit("odd", "1/s", timeout=0).take(),
            listing.in_use,
            lambda: keeper.renew([("lock:odd", 0, 1)]),
        ):
            with pytest.raises(LockUnavailable):
                use()
        wakeup.wake()
        waiter = wakeup.Waiter()
        waiter.wait(0)
        waiter.close()
        of_jobs.free([])
        assert OrphanedLocks().run_once() == 0
    wakeup._client, wakeup._quiet_until = None, 0.0
    server.close()
    for connection in connections:
        connection.close()


def test_owners_that_are_none() -> None:
    for text in ("", "job:", f"job:{'-' * 36}:1", f"job:{'0' * 36}:{'9' * 5000}", "x", "a:b", "\ud800:1:2"):
        assert owner.job_of(text) is None


def test_the_remedy_is_on_the_first_page(r: Any, admin_client: Client) -> None:
    r.sadd(key("index"), "lock:odd")
    r.set(STATE, "x")
    OrphanedLocks().run_once()
    text = admin_client.get("/admin/").content.decode()  # the request's end writes what this process noted
    text = admin_client.get("/admin/").content.decode()
    assert "Redis key furrow:lock:state:lock:odd holds a string where Furrow keeps a hash; once," in text
    assert "redis-cli DEL" in text


def test_a_script_that_fails_for_another_reason_is_not_taken_for_a_wrong_key(r: Any) -> None:
    with pytest.raises(LockUnavailable, match="Redis refuses"):
        strange.run("rate", [], [])
    assert told() == []


@pytest.mark.parametrize(("at", "field"), [(STATE, "0"), (STATE, "limit"), (STATE, "strange"), (LINE, "")])
def test_the_page_of_locks_stands_any_value(r: Any, at: str, field: str, admin_client: Client) -> None:
    for value in VALUES.values():
        given = value.replace("{soon}", str(r.time()[0] * 1000 + 5_000)) if isinstance(value, str) else value
        r.sadd(key("index"), "lock:odd")
        r.delete(STATE, LINE)
        if at == LINE:
            r.zadd(at, {given: 1})
        else:
            r.hset(at, field, given)
        assert admin_client.get("/admin/furrow/lock/").status_code == 200, value


def test_calls_that_fail_use_nothing_up(r: Any) -> None:
    r.set(STATE, "x")
    for _ in range(150):
        with pytest.raises(LockUnavailable), lock("odd", timeout=0):
            pass
    r.delete(STATE)
    with lock("odd", timeout=0):
        pass
