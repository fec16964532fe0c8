"""Errors of one sort have one fingerprint; different ones do not."""

import pytest
from furrow.fingerprint import fingerprint

STORY = """Traceback (most recent call last):
  File "/srv/{release}/tasks/billing.py", line {line}, in charge
    card.charge(amount)
  File "/srv/{release}/tasks/cards.py", line 7, in {function}
    requests.post(url)
  File "/srv/venv/lib/python3.11/site-packages/requests/api.py", line {line}, in post
    raise
ValueError: no
"""


def story(*, release: str = "v1", line: int = 12, function: str = "charge") -> str:
    return STORY.format(release=release, line=line, function=function)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("order 17 was refused", "order 18,250.10 was refused"),
        ("no customer 'Anna'", "no customer 'Bob'"),
        ('key "a b" is missing', 'key "" is missing'),
        ("job 0198c1de-6f3a-7b4e-9a51-0f2d3c4b5a69 is away", "job 0198c1de-6f3a-7b4e-9a51-0f2d3c4b5a70 is away"),
        ("<Card object at 0x7f12ab>", "<Card object at 0x7fffee>"),
        ("digest 3a7bd3e2360a3d29 is known", "digest 94b2c8e01f24aa17 is known"),
        ("timed out after 1.5s at 2026-01-02 03:04:05", "timed out after 30s at 2027-11-12 13:14:15"),
        ("many   spaces", "many spaces"),
    ],
)
def test_what_varies_does_not_count(one: str, other: str) -> None:
    assert fingerprint("ValueError", one) == fingerprint("ValueError", other)


@pytest.mark.parametrize(
    "other",
    [
        fingerprint("KeyError", "no card", story()),
        fingerprint("ValueError", "no money", story()),
        fingerprint("ValueError", "no card", story(function="refund")),
        fingerprint("ValueError", "no card"),
    ],
)
def test_type_message_and_own_frames_count(other: str) -> None:
    assert fingerprint("ValueError", "no card", story()) != other


def test_lines_places_and_foreign_frames_do_not_count() -> None:
    assert fingerprint("ValueError", "no card", story()) == fingerprint("ValueError", "no card", story(release="v2", line=99))


def test_of_a_chain_the_last_part_counts() -> None:
    chain = story(function="other") + "\nDuring handling of the above exception, another exception occurred:\n\n" + story()
    assert fingerprint("ValueError", "no card", chain) == fingerprint("ValueError", "no card", story())


@pytest.mark.parametrize("text", ["", "\x00", "\ud800", "'" * 10_000, "a" * 1_000_000, "7" * 100_000, "‮ ʘ"])
def test_any_text_has_one(text: str) -> None:
    found = fingerprint(text[:200], text, text)
    assert len(found) == 16
    assert int(found, 16) >= 0
