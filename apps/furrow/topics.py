"""Names of events, and patterns of names as RabbitMQ's topic exchanges know them. Pure.

A name is words with dots between, such as ``order.paid``; in a pattern ``*`` stands for one word, ``#`` for any number of
words, also none. Events of jobs are called ``job.<kind>.<event>``, and a kind's name has dots of its own.
"""

import re

#: The first word of events of jobs.
JOB = "job"
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
    return _match(pattern.split("."), name.split("."))


def _match(pattern: list[str], words: list[str]) -> bool:
    if not pattern:
        return not words
    if pattern[0] == "#":
        return any(_match(pattern[1:], words[at:]) for at in range(len(words) + 1))
    return bool(words) and pattern[0] in ("*", words[0]) and _match(pattern[1:], words[1:])


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
