"""The judge of a campaign: clean evidence has no violation, and every kind of broken promise is named, once, with its job."""

from collections.abc import Callable

import pytest
from furrow.prove import checks, page, report
from furrow.prove.campaign import drained
from furrow.prove.evidence import AttemptRow, Evidence, JobRow, Move, Published, Run, Submit
from furrow.prove.faults.base import Happened
from furrow.prove.program import Exit
from furrow.prove.story import story

DONE, FAILED, TWICE, GONE = "done", "failed", "twice", "gone"
WORKER, PARENT, POOL = "w1", 100, 101


def clean() -> Evidence:
    """One job that succeeded, one that failed, one whose first run was cut off by a kill, one that was rolled back."""
    e = Evidence()
    e.workers = {WORKER: ("worker-1@prove", PARENT), "w2": ("worker-2@prove", 200)}
    e.submits = [
        Submit("many", [DONE, FAILED, TWICE], [], "committed"),
        Submit("rolled back", [GONE], [], "rolled back"),
        Submit("mixed", ["never came"], []),
    ]
    e.faults = [Happened(1, "kill_worker", 10.5, 12.0, 13.0, "worker-1", {PARENT, POOL})]
    add(e, DONE, "succeeded", [(1, "succeeded", "end", 10.0)])
    add(e, FAILED, "failed", [(1, "failed", "raise", 10.0), (2, "failed", "raise", 11.0)])
    add(e, TWICE, "succeeded", [(1, "lost", "", 10.0), (2, "succeeded", "end", 20.0)])
    return e


def add(e: Evidence, id: str, state: str, attempts: list[tuple[int, str, str, float]], kind: str = "") -> None:
    """A job with these attempts: number, outcome, how the handler ended, when it began."""
    kind = kind or ("prove.fails" if state == "failed" else "prove.noop")
    e.jobs[id] = JobRow(kind, state, len(attempts), "")
    e.moves[id] = [Move(9.0, None, "pending", None, 0, None)]
    for number, outcome, how, began in attempts:
        last = number == len(attempts)
        e.moves[id] += [
            Move(began - 0.2, "pending", "queued", number - 1, number - 1, None),
            Move(began - 0.1, "queued", "running", number - 1, number, WORKER),
            Move(began + 1.0, "running", state if last else "pending", number, number, WORKER),
        ]
        e.runs[id].append(Run(number, POOL, PARENT, began, began + 0.5 if how else None, how, kind))
        e.attempts[id].append(AttemptRow(number, outcome, WORKER, POOL, began, began + 0.9))


def broken(e: Evidence) -> list[tuple[str, str | None]]:
    """Which checks name which jobs."""
    return [(violation.check, violation.job) for violation in checks.judge(e)]


def test_clean_evidence_has_no_violation() -> None:
    assert broken(clean()) == []


def _lose(e: Evidence) -> None:
    del e.jobs[DONE], e.moves[DONE], e.runs[DONE], e.attempts[DONE]


def _forget(e: Evidence) -> None:
    e.jobs[DONE] = e.jobs[DONE]._replace(state="queued")
    e.attempts[DONE].clear()
    e.runs[DONE].clear()


def _keep_what_was_rolled_back(e: Evidence) -> None:
    add(e, GONE, "succeeded", [(1, "succeeded", "end", 10.0)])


def _run_what_was_rolled_back(e: Evidence) -> None:
    e.faults.append(Happened(2, "kill_postgres", 9.0, 10.0, 11.0, servers={"postgres"}))
    e.runs[GONE].append(Run(1, POOL, PARENT, 10.0, 10.5, "end"))


def _commit_half(e: Evidence) -> None:
    e.submits[0] = Submit("many", [DONE, FAILED, TWICE, "missing"], [], "")


def _make_a_stranger(e: Evidence) -> None:
    add(e, "stranger", "succeeded", [(1, "succeeded", "end", 10.0)])


def _skip_a_state(e: Evidence) -> None:
    e.moves[DONE] = [Move(9.0, None, "pending", None, 0, None), Move(9.5, "pending", "succeeded", 0, 1, WORKER)]


def _delete(e: Evidence) -> None:
    e.moves[DONE].append(Move(12.0, "succeeded", None, 1, None, None))


def _settle_again(e: Evidence) -> None:
    e.moves[DONE].append(Move(12.0, "succeeded", "failed", 1, 1, WORKER))


def _settle_again_alike(e: Evidence) -> None:
    e.moves[DONE].append(Move(12.0, "succeeded", "succeeded", 1, 1, WORKER))


def _succeed_twice(e: Evidence) -> None:
    e.attempts[TWICE][0] = e.attempts[TWICE][0]._replace(outcome="succeeded")
    e.runs[TWICE][0].how, e.runs[TWICE][0].ended = "end", 10.5


def _settle_by_a_stale_run(e: Evidence) -> None:
    e.attempts[TWICE].pop()


def _claim_success_without_a_run(e: Evidence) -> None:
    e.runs[DONE].clear()


def _claim_success_before_the_end(e: Evidence) -> None:
    e.runs[DONE][0].ended = 12.0


def _claim_failure_without_a_raise(e: Evidence) -> None:
    e.runs[FAILED][0].how = "end"
    e.faults.append(Happened(2, "kill_postgres", 9.0, 10.0, 11.0, servers={"postgres"}))


def _lose_a_handlers_commit(e: Evidence) -> None:
    e.jobs[DONE] = e.jobs[DONE]._replace(kind="prove.writes")


def _write_twice(e: Evidence) -> None:
    e.jobs[TWICE] = e.jobs[TWICE]._replace(kind="prove.transactional")
    e.writes[TWICE] = [1, 2]


def _run_twice_without_a_reason(e: Evidence) -> None:
    e.faults.clear()


def _run_twice_while_another_was_killed(e: Evidence) -> None:
    e.faults[0].pids = {200, 201}


def _run_twice_long_after_the_kill(e: Evidence) -> None:
    e.faults[0].began, e.faults[0].healed, e.faults[0].recovered = -100.0, -99.0, -98.0


def _run_the_same_attempt_twice(e: Evidence) -> None:
    e.faults.clear()
    _lose(e)
    e.submits[0].ids = [DONE, FAILED]
    del e.jobs[TWICE], e.moves[TWICE], e.runs[TWICE], e.attempts[TWICE]
    add(e, DONE, "succeeded", [(1, "succeeded", "end", 10.0)])
    e.runs[DONE].append(Run(1, 201, 200, 10.2, 10.4, "end", "prove.noop"))


def _lose_a_message(e: Evidence) -> None:
    e.published["m1"] = Published(9.0)


def _lose_a_message_long_before_the_broker(e: Evidence) -> None:
    e.published["m1"] = Published(9.0)
    e.faults.append(Happened(2, "wipe_rabbitmq", 109.0, 110.0, 111.0, servers={"rabbitmq"}))


def _make_two_jobs_of_a_message(e: Evidence) -> None:
    _bridge(e, "m1", ["b1", "b2"])


def _forget_the_job_of_a_message(e: Evidence) -> None:
    _bridge(e, "m1", ["b1"])
    e.jobs["b1"] = e.jobs["b1"]._replace(state="queued")
    e.attempts["b1"].clear()
    e.runs["b1"].clear()


def _bridge(e: Evidence, message: str, jobs: list[str]) -> None:
    """A message that was confirmed, and the jobs that were made of it."""
    e.published[message] = Published(9.0, jobs)
    for job in jobs:
        add(e, job, "succeeded", [(1, "succeeded", "end", 10.0)], "prove.bridged")


def test_a_message_may_be_one_job_or_gone_with_the_brokers_data() -> None:
    e = clean()
    _bridge(e, "m1", ["b1"])
    e.published["m2"], e.published["m3"] = Published(), Published(9.0)
    e.faults.append(Happened(2, "restore_rabbitmq", 20.0, 30.0, 31.0, servers={"rabbitmq"}))
    assert broken(e) == []


BREAKS: list[tuple[Callable[[Evidence], None], str, str | None]] = [
    (_lose, "lost", DONE),
    (_forget, "lost", DONE),
    (_keep_what_was_rolled_back, "rolled_back", GONE),
    (_run_what_was_rolled_back, "rolled_back", GONE),
    (_commit_half, "whole", DONE),
    (_make_a_stranger, "whole", "stranger"),
    (_lose_a_message, "bridged", None),
    (_lose_a_message_long_before_the_broker, "bridged", None),
    (_make_two_jobs_of_a_message, "bridged", "b2"),
    (_forget_the_job_of_a_message, "bridged", "b1"),
    (_skip_a_state, "legal_moves", DONE),
    (_delete, "legal_moves", DONE),
    (_settle_again, "settled_twice", DONE),
    (_settle_again_alike, "settled_twice", DONE),
    (_succeed_twice, "settled_twice", TWICE),
    (_settle_by_a_stale_run, "settled_twice", TWICE),
    (_claim_success_without_a_run, "truthful", DONE),
    (_claim_success_before_the_end, "truthful", DONE),
    (_claim_failure_without_a_raise, "truthful", FAILED),
    (_lose_a_handlers_commit, "truthful", DONE),
    (_write_twice, "exactly_once", TWICE),
    (_run_twice_without_a_reason, "unexplained_duplicates", TWICE),
    (_run_twice_while_another_was_killed, "unexplained_duplicates", TWICE),
    (_run_twice_long_after_the_kill, "unexplained_duplicates", TWICE),
    (_run_the_same_attempt_twice, "unexplained_duplicates", DONE),
]


@pytest.mark.parametrize(("damage", "check", "job"), BREAKS, ids=[damage.__name__.strip("_") for damage, _, _ in BREAKS])
def test_a_broken_promise_is_found(damage: Callable[[Evidence], None], check: str, job: str | None) -> None:
    e = clean()
    damage(e)
    assert (check, job) in broken(e)


def test_drift_a_stack_that_does_not_recover_and_a_process_that_ends_are_found() -> None:
    e = clean()
    e.drift.append("left in queue default: 3 messages")
    e.faults[0].recovered = None
    e.exits = [Exit("worker-1", 100, -9, 10.5, asked=True), Exit("dispatcher-1", 7, 1, 11.0, asked=False)]
    assert broken(e) == [("drift", None), ("recovered", None), ("died", None)]


def test_a_database_that_forgot_a_claim_explains_two_runs_of_one_attempt() -> None:
    """Claims commit without waiting for the disk; docs/guarantees.md says so."""
    e = clean()
    _run_the_same_attempt_twice(e)
    e.faults = [Happened(1, "kill_postgres", 10.1, 12.0, 13.0, servers={"postgres"})]
    assert broken(e) == []
    e.faults = [Happened(1, "kill_rabbitmq", 10.1, 12.0, 13.0, servers={"rabbitmq"})]
    assert broken(e) == [("unexplained_duplicates", DONE)]


def test_a_transaction_that_cannot_begin_fails_without_its_handler() -> None:
    e = clean()
    e.runs[FAILED].clear()
    assert broken(e) == [("truthful", FAILED), ("truthful", FAILED)]  # that is: of each attempt
    e.jobs[FAILED] = e.jobs[FAILED]._replace(kind="prove.transactional")
    assert ("truthful", FAILED) not in broken(e)


def test_a_submit_of_unknown_outcome_may_be_there_or_not_but_it_ends() -> None:
    e = clean()
    e.submits[0].outcome = ""
    assert broken(e) == []
    e.jobs[DONE] = e.jobs[DONE]._replace(state="pending")
    assert ("whole", DONE) in broken(e)


def test_a_violation_is_told_with_its_story() -> None:
    e = clean()
    _settle_again(e)
    verdict = report.summary(e, checks.judge(e), seed=7, database="postgresql", minutes=1.0, took_s=60)
    assert list(verdict)[:8] == [
        *("seed", "jobs", "faults", "lost", "settled_twice", "unexplained_duplicates", "drift", "violations")
    ]
    assert verdict["faults"] == [{"kind": "kill_worker", "count": 1, "recovery_p50_s": 1.0, "recovery_max_s": 1.0}]
    assert (verdict["jobs"], verdict["settled_twice"], verdict["duplicates"]) == (3, 1, 1)
    (violation,) = verdict["violations"]
    assert violation["seed"] == 7
    assert "it had ended (succeeded)" in violation["text"]
    told = "\n".join(violation["story"])
    for word in ("prove.noop", "many, committed", "succeeded -> failed", "handler: attempt 1 began", "kill_worker worker-1"):
        assert word in told
    assert story(e, GONE)[0].startswith(f"job {GONE}: nothing is known")
    html = page.render(verdict)
    assert "1 violation<" in html.replace("\n", "")
    assert "succeeded -&gt; failed" in html


def test_ending_is_judged_by_progress() -> None:
    """However slow: as long as fewer are left each time it looks; and an answer that is not there is no progress."""
    slow = iter([5, None, 5, 4, 3, None, 2, 1, 0])
    assert drained(lambda: next(slow), stuck=60, pause=0)
    assert not drained(lambda: 1, stuck=0.01, pause=0)
    assert not drained(lambda: None, stuck=0.01, pause=0)
