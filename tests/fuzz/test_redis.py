"""Values in Redis, in each key of a lock: it works, or that lock fails with an error that names the key; others go on."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from tests.fuzz import examples
from tests.integration import test_strange_keys
from tests.integration.test_strange_keys import EPOCH, FAMILIES, _empty, others_go_on, use_everything

pytestmark = [pytest.mark.usefixtures("live_db"), pytest.mark.filterwarnings("ignore:No directory at")]

r = test_strange_keys.r
_numbers = some.one_of(some.integers(), some.floats()).map(str)
_owners = some.sampled_from(["x/y.1", "job:01900000-0000-7000-8000-000000000000:1/y.1", "worker@node/1.2", "", "/", "job::/"])
_slots = some.tuples(_numbers, _numbers, _numbers, some.sampled_from(["-", "broken", "?"]), _owners).map(" ".join)
_values = some.one_of(
    some.binary(max_size=60),
    _numbers,
    _slots,
    _owners,
    some.text(max_size=30).map(lambda text: text.encode("utf-8", "replace")),
)
_fields = some.one_of(some.sampled_from([*EPOCH, "limit", "0", "1", "-1", "lock:odd"]), _numbers, some.binary(max_size=20))
_contents = some.one_of(
    some.tuples(some.just("string"), _values),
    some.tuples(some.sampled_from(["list", "set"]), some.lists(_values, min_size=1, max_size=4)),
    some.tuples(some.just("hash"), some.dictionaries(_fields, _values, min_size=1, max_size=4)),
    some.tuples(some.just("zset"), some.dictionaries(_values, some.floats(allow_nan=False), min_size=1, max_size=4)),
)
_keys = some.dictionaries(some.sampled_from(sorted(FAMILIES)), _contents, min_size=1)


def _put(redis: Any, at: str, kind: str, content: Any) -> None:
    redis.delete(at)
    if kind == "string":
        redis.set(at, content)
    elif kind == "hash":
        redis.hset(at, mapping=content)
    elif kind == "zset":
        redis.zadd(at, content)
    else:
        (redis.rpush if kind == "list" else redis.sadd)(at, *content)


@pytest.mark.timeout(900)
def test_values_of_others(r: Any) -> None:
    @examples(60)
    @given(_keys)
    def put(keys: dict[str, tuple[str, Any]]) -> None:
        for at, (kind, content) in keys.items():
            _put(r, at, kind, content)
        for error in use_everything():
            assert error
        _empty(r)
        others_go_on()

    put()
