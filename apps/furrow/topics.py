"""Names of events, and patterns of names as RabbitMQ's topic exchanges know them. Pure.

A name is words with dots between, such as ``order.paid``; in a pattern ``*`` stands for one word, ``#`` for any number of
words, also none. Events of jobs are called ``job.<kind>.<event>``, and a kind's name has dots of its own.
"""

import re
from collections.abc import Iterable

#: The first word of events of jobs.
JOB = "job"
#: An event that one webhook gets, and nobody else.
TEST = "furrow.test"
#: The longest routing key of AMQP, in bytes; a name of one's own is in ASCII.
LONGEST = 255
_NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
_WORD = re.compile(r"[\w-]+|\*|#")


def name_problem(name: object) -> str:
    """What is wrong with the name of an event of one's own, and the remedy; empty when nothing is."""
    if not isinstance(name, str) or not _NAME.fullmatch(name) or len(name) > LONGEST:
        return f"{name!r:.80} must be words of letters (a to z), digits, '-' and '_' with dots between, such as 'order.paid'"
    if name.split(".")[0] == JOB:
        return f"{name!r} begins with 'job', as the events of jobs do, which Furrow writes: choose another first word"
    if name == TEST:
        return f"{name!r} is what the test of a webhook sends: choose another name"
    return ""


def pattern_problem(pattern: object) -> str:
    """What is wrong with a pattern, and the remedy; empty when nothing is."""
    if not isinstance(pattern, str) or len(pattern.encode(errors="replace")) > LONGEST or not pattern:
        return f"{pattern!r:.80} must be a text of 1 to {LONGEST} bytes, such as 'order.*'"
    for word in pattern.split("."):
        if not _WORD.fullmatch(word):
            return (
                f"{pattern!r}: {word!r} is no word of a pattern: '*' stands for one whole word, '#' for any number of words, "
                "as in 'order.*' or 'job.#.failed'"
            )
    return ""


def matches(pattern: str, name: str) -> bool:
    """Whether RabbitMQ would route an event of this name to a queue that is bound with this pattern."""
    words = name.split(".")
    reached = {0}  # how many words the pattern up to here may stand for
    for one in pattern.split("."):
        if one == "#":
            reached = set(range(min(reached, default=len(words) + 1), len(words) + 1))
        else:
            reached = {at + 1 for at in reached if at < len(words) and one in ("*", words[at])}
    return len(words) in reached


def wanted(patterns: Iterable[str], name: str, depth: int) -> bool:
    """Whether who has these patterns gets an event of this name. Those that tell of jobs of subscribers and webhooks themselves
    (``depth``), only if a pattern names the kind in full: else two that want all events would never come to an end."""
    found = [pattern for pattern in patterns if matches(pattern, name)]
    if depth and name.startswith(f"{JOB}."):
        kind = name.removeprefix(f"{JOB}.").rpartition(".")[0]
        found = [pattern for pattern in found if names_kind(pattern, kind)]
    return bool(found)


def of_jobs(pattern: str) -> bool:
    """Whether events of jobs may match it."""
    return pattern.split(".")[0] in (JOB, "*", "#")


def like(pattern: str) -> str:
    """SQL's pattern (with the escape character ``\\``) that all names match which match this one, and perhaps some more."""
    escaped = pattern.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
    return re.sub(r"%+", "%", re.sub(r"\.?#\.?", "%", escaped).replace("*", "%"))


def names_kind(pattern: str, kind: str) -> bool:
    """Whether it names this kind in full, and does not only meet it by ``*`` or ``#``."""
    return pattern.startswith(f"{JOB}.{kind}.")
