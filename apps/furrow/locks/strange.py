"""Foreign values in Furrow's Redis keys: reported, and replaced where nothing is lost.

The prefix is Furrow's; but anybody may have written there, and of a value no script believes more than it has looked at.
"""

import logging
import re
from collections.abc import Callable, Iterable
from typing import Any

import redis

from furrow.locks import client
from furrow.locks.errors import LockUnavailable
from furrow.locks.keys import PREFIX

logger = logging.getLogger(__name__)

#: What Redis calls the type of each family of keys, and people.
KINDS = {"state": "hash", "line": "zset", "rate": "string", "epoch": "hash", "index": "set"}
_WORDS = {"zset": "sorted set"}
#: Families whose content comes back by itself: who waits asks again, the epoch's number is in the database, labels are added
#: with each lock. What a state says of who holds a lock is nowhere else.
_REPLACED = ("line", "epoch", "index")

#: ``ends token since flag holder``, as ``write`` in common.lua has it.
_SLOT = re.compile(r"(\d{1,15}) (\d{1,19}) (\d{1,15}) (\S+) (.*)", re.ASCII | re.DOTALL)


def _log(what: str, text: str, remedy: str) -> None:
    logger.error("%s. %s", text, remedy)


#: Is told: what, a sentence without its full stop, the remedy. The job engine has it shown to people.
tell: Callable[[str, str, str], None] = _log


def run(script: str, keys: list[str], args: list[Any]) -> Any:
    """Run a script as :func:`furrow.locks.client.run`, again when its keys could be mended.

    Raises:
        LockUnavailable: also when one of the keys cannot be used; it is named, with the remedy.
    """
    try:
        return client.run(script, keys, args)
    except LockUnavailable as error:
        if not isinstance(error.__cause__, redis.ResponseError):
            raise
        said = str(error.__cause__)
        with client.explained():
            left = mend(keys)
            if not left and "UNREADABLE" in said:
                left = [unreadable(key, field) for key in keys for field in _unreadable_fields(key)][:1]
        if left:
            raise LockUnavailable(left[0]) from error
        if "WRONGTYPE" not in said:
            raise
    return client.run(script, keys, args)


def mend(keys: Iterable[str]) -> list[str]:
    """Look at the types of these keys, delete those of a wrong one whose content comes back, and tell of all.

    Returns:
        What is wrong with the others, each a sentence with its remedy; nothing when all is mended.

    Raises:
        redis.RedisError, OSError: Redis does not answer.
    """
    left = []
    for key in dict.fromkeys(keys):
        family = _family(key)
        found = kind(key)
        if found in ("none", KINDS[family]):
            continue
        text = f"Redis key {key} {{}} a {_word(found)} where Furrow keeps a {_word(KINDS[family])}"
        if family in _REPLACED:
            client.client().delete(key)
            tell(f"Redis key: {family}", text.format("held"), "It was replaced. Find out who writes there.")
        else:
            left.append(unusable(family, text.format("holds"), key))
    return left


def _unreadable_fields(key: str) -> list[str]:
    if _family(key) != "state":
        return []
    state: Any = client.client().hgetall(key)
    return [slot for slot, value in state.items() if slot != "limit" and not readable(slot, value)]


def readable(slot: str, value: str) -> bool:
    """This field of a state is a slot that one of our scripts wrote. (Its end is not looked at.)"""
    return slot.isascii() and slot.isdecimal() and len(slot) < 5 and _SLOT.fullmatch(value) is not None


def unreadable(key: str, field: str) -> str:
    """Tell of a field that is none of ours; what is wrong, with the remedy."""
    text = f"Redis key {key} has a field {field[:60]!r} that cannot be read"
    return unusable(_family(key), text, key)


def replaced_rate(key: str) -> None:
    """Tell of a rate's key that held no number of ours; the script goes on as if all that was permitted had been used up."""
    tell(
        "Redis key: rate", f"Redis key {key} held no time where Furrow keeps one", "It was replaced. Find out who writes there."
    )


def unusable(family: str, text: str, key: str) -> str:
    """Tell of a key that a person must look after; the sentence, with the remedy."""
    remedy = f"Delete it, when nobody holds the lock: redis-cli DEL '{key}'. All others go on."
    tell(f"Redis key: {family}", text, remedy)
    return f"{text}. {remedy}"


def kind(key: str) -> str:
    """The type of a key, ``none`` when it is not there."""
    return str(client.client().type(key))


def _family(key: str) -> str:
    return key.removeprefix(PREFIX).partition(":")[0]


def _word(kind: str) -> str:
    return _WORDS.get(kind, kind)
