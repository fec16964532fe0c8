"""The judge of events: each sort of broken promise is found; what may happen to events under faults is not."""

from collections.abc import Callable
from typing import Any

import pytest
from furrow.prove import checks
from furrow.prove.evidence import Evidence, JobRow, Move, Submit
from furrow.prove.faults.base import Happened
from furrow.prove.overheard import EventRow, Heard, Posted
from furrow.prove.spec import LOUD, QUIET

TOLD, KEPT, HEARS, SENDS = "told", "kept", "hears", "sends"


def clean() -> Evidence:
    """A job that ran twice, heard of outside; two transactions, one rolled back; one event, with a job of its subscriber and a
    delivery."""
    e = Evidence(told=frozenset({"prove.flaky"}))
    e.jobs = {TOLD: JobRow("prove.flaky", "succeeded", 2, ""), KEPT: JobRow("prove.noop", "succeeded", 1, "")}
    e.jobs |= {HEARS: JobRow("prove.hears", "succeeded", 1, ""), SENDS: JobRow("furrow.webhook", "succeeded", 1, "")}
    states = [None, "pending", "queued", "running", "pending", "queued", "running", "succeeded"]
    attempts = [0, 0, 0, 1, 1, 1, 2, 2]
    for n in range(1, len(states)):
        e.moves[TOLD].append(Move(10.0 + n, states[n - 1], states[n], attempts[n - 1], attempts[n], None))
    words = ["submitted", "queued", "began", "progress", "retried", "queued", "began", "succeeded"]
    for number, word in enumerate(words, start=1):
        tell(e, number, f"job.prove.flaky.{word}", TOLD, number)
    e.submits = [
        Submit("mixed", [KEPT], [], "committed", events=["said"], mute=["void"]),
        Submit("rolled back", ["gone"], [], "rolled back", events=["taken back"]),
        Submit("mixed", ["never"], [], events=["never said"]),
    ]
    tell(e, 100, LOUD, token="said")
    e.hearers[100], e.deliveries[100] = [HEARS], [SENDS]
    e.followed = {HEARS, SENDS}
    e.posted[100] = [Posted("evt_100", True, "badly"), Posted("evt_100", True, "well")]
    return e


def tell(e: Evidence, id: int, name: str, job: str = "", number: int | None = None, token: str = "") -> None:
    """An event, published and heard."""
    e.events[id] = EventRow(name, job, number, 20.0)
    e.heard.append(Heard(id, name, job, number, token, True, 21.0))
    if token:
        e.tokens[token] = id


def broken(e: Evidence) -> set[tuple[str, str | None]]:
    """Which checks of events name which jobs."""
    mine = ("events", "events_after_commit", "subscribed", "webhooks")
    return {(name, job) for name in mine for job, _ in checks.CHECKS[name](e)}


def lose(kind: str) -> Happened:
    """A fault after the events were published, that took what a server had."""
    return Happened(1, kind, 25.0, 30.0, 31.0)


def _unheard(e: Evidence, id: int) -> None:
    e.heard = [heard for heard in e.heard if heard.id != id]


def _heard(e: Evidence, id: int, **changes: Any) -> None:
    e.heard = [heard._replace(**changes) if heard.id == id else heard for heard in e.heard]


def test_clean_evidence_has_no_violation() -> None:
    assert broken(clean()) == set()


def test_no_other_check_accuses_what_events_lead_to() -> None:
    e = clean()
    for id in (HEARS, SENDS):
        e.moves[id] = [Move(30.0, None, "pending", None, 0, None)]
    named = {violation.job for violation in checks.judge(e) if violation.check in ("whole", "truthful", "legal_moves")}
    assert not named & {SENDS}
    assert not {job for job, text in checks.whole(e) if job in (HEARS, SENDS)}


def _not_written(e: Evidence) -> None:
    del e.events[3]
    _unheard(e, 3)


def _not_last(e: Evidence) -> None:
    del e.events[8]
    _unheard(e, 8)


def _of_another_word(e: Evidence) -> None:
    e.events[8] = e.events[8]._replace(name="job.prove.flaky.failed")
    _heard(e, 8, name="job.prove.flaky.failed")


def _out_of_order(e: Evidence) -> None:
    e.heard[1], e.heard[2] = e.heard[2], e.heard[1]


def _not_published(e: Evidence) -> None:
    e.events[5] = e.events[5]._replace(published=None)


def _said_before_a_rollback(e: Evidence) -> None:
    e.heard.append(Heard(101, QUIET, "", None, "taken back", True, 21.0))


def _said_in_a_savepoint(e: Evidence) -> None:
    tell(e, 101, QUIET, token="void")


def _said_without_its_transaction(e: Evidence) -> None:
    tell(e, 101, QUIET, token="never said")


def _said_by_nobody(e: Evidence) -> None:
    tell(e, 101, QUIET, token="of nobody")


def _not_said(e: Evidence) -> None:
    del e.tokens["said"]
    _heard(e, 100, token="")


def _of_nothing(e: Evidence) -> None:
    e.heard.append(Heard(999, "job.prove.flaky.began", TOLD, 3, "", True, 21.0))


def _two_under_one_id(e: Evidence) -> None:
    e.heard.append(e.heard[0]._replace(number=7))


BREAKS: list[tuple[Callable[[Evidence], object], str, str | None]] = [
    (_not_written, "events", TOLD),
    (_not_last, "events", TOLD),
    (_of_another_word, "events", TOLD),
    (_out_of_order, "events", TOLD),
    (_not_published, "events", TOLD),
    (lambda e: _unheard(e, 4), "events", TOLD),
    (lambda e: _unheard(e, 100), "events", None),
    (_said_before_a_rollback, "events_after_commit", None),
    (_said_in_a_savepoint, "events_after_commit", None),
    (_said_without_its_transaction, "events_after_commit", "never"),
    (_said_by_nobody, "events_after_commit", None),
    (_not_said, "events_after_commit", KEPT),
    (_of_nothing, "events_after_commit", TOLD),
    (_two_under_one_id, "events_after_commit", TOLD),
    (lambda e: _heard(e, 3, readable=False), "events_after_commit", TOLD),
    (lambda e: e.hearers.clear(), "subscribed", None),
    (lambda e: e.hearers[100].append(KEPT), "subscribed", KEPT),
    (lambda e: e.hearers[7000].append(KEPT), "subscribed", KEPT),
    (lambda e: e.deliveries.clear(), "webhooks", None),
    (lambda e: e.deliveries[100].append(KEPT), "webhooks", KEPT),
    (lambda e: e.jobs.update({SENDS: JobRow("furrow.webhook", "failed", 10, "")}), "webhooks", SENDS),
    (lambda e: e.posted[100].pop(), "webhooks", None),
    (lambda e: e.posted[100].append(Posted("evt_100", False, "well")), "webhooks", None),
    (lambda e: e.posted[100].append(Posted("evt_7", True, "well")), "webhooks", None),
]


@pytest.mark.parametrize(("damage", "check", "job"), BREAKS, ids=[str(number) for number in range(len(BREAKS))])
def test_a_broken_promise_is_found(damage: Callable[[Evidence], object], check: str, job: str | None) -> None:
    e = clean()
    damage(e)
    assert (check, job) in broken(e)


def test_what_may_happen_is_no_violation() -> None:
    """Events come twice; nobody could read the database; a queued job is pending again, told or not."""
    e = clean()
    e.heard += e.heard
    _heard(e, 2, readable=None)
    e.moves[TOLD][2:2] = [Move(12.4, "queued", "pending", 0, 0, None), Move(12.5, "pending", "queued", 0, 0, None)]
    for id in range(8, 2, -1):
        e.events[id + 1] = e.events[id]._replace(number=id + 1)
    e.events[3] = EventRow("job.prove.flaky.queued", TOLD, 3, 20.0)
    e.heard = [Heard(id, row.name, row.job, row.number, "", True, 21.0) for id, row in sorted(e.events.items())]
    assert broken(e) == set()


@pytest.mark.parametrize("kind", ["wipe_rabbitmq", "restore_rabbitmq"])
def test_what_rabbitmq_lost_with_its_data_need_not_arrive(kind: str) -> None:
    e = clean()
    _unheard(e, 4)
    _unheard(e, 100)
    e.hearers.clear()
    e.faults = [lose(kind)]
    assert broken(e) == set()


def test_a_database_that_crashed_may_have_forgotten_what_was_heard() -> None:
    """Claims commit without waiting for the disk."""
    e = clean()
    e.heard.append(Heard(999, "job.prove.flaky.began", TOLD, 9, "", False, 21.0))
    assert broken(e) != set()
    e.faults = [lose("kill_postgres")]
    assert broken(e) == set()
