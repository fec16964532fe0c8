"""What the judge computes of each job: legal histories pass, and each sort of planted violation is found, with its job."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from furrow.prove import checks
from furrow.prove.evidence import Asked, AttemptRow, Cancel, Evidence, JobRow, Move, Run, Submit, Wanted
from furrow.prove.faults.base import Happened

JOB, OTHER = "j1", "j2"
WORKER, PARENT, POOL = "w1", 100, 101

#: Attempts: outcome, and how the handler ended (``raise``: with the class of what it raised; empty: it was cut off).
Attempts = list[tuple[str, str]]
OK: Attempts = [("succeeded", "end")]


def history(kind: str, state: str, attempts: Attempts, *, id: str = JOB, at: float = 10.0, **more: Any) -> Evidence:
    """A job with these attempts, two seconds each, from ``at`` on."""
    e: Evidence = more.pop("into", None) or Evidence()
    e.workers[WORKER] = ("worker-1@prove", PARENT)
    arguments = more.pop("arguments", {"n": 1})
    e.submits.append(Submit("submit", [id], [], "committed"))
    e.wanted[id] = Wanted([arguments], "me", **more)
    excused = sum(outcome in ("snoozed", "interrupted") for outcome, _ in attempts)
    e.jobs[id] = JobRow(kind, state, len(attempts), "", excused, "r" if state == "succeeded" else None)
    e.moves[id] = [Move(at - 1, None, "pending", None, 0, None)]
    for number, (outcome, how) in enumerate(attempts, start=1):
        began = at + 2 * (number - 1)
        ends = state if number == len(attempts) else "pending"
        e.moves[id] += [
            Move(began, "pending", "running", number - 1, number, WORKER),
            Move(began + 1.5, "running", ends, number, number, WORKER),
        ]
        error = "" if how in ("", "end") else how
        run = Run(number, POOL, PARENT, began + 0.1, began + 1.4 if how else None, "raise" if error else how, kind, arguments)
        run.error, run.result = error, "r" if how == "end" else None
        if how != "none":
            e.runs[id].append(run)
        e.attempts[id].append(AttemptRow(number, outcome, WORKER, POOL, began, began + 1.4, error))
    if not attempts and state == "cancelled":
        e.moves[id].append(Move(at, "pending", "cancelled", 0, 0, None))
    return e


def killed(e: Evidence, pid: int = POOL, at: float = 11.0) -> Evidence:
    """The campaign killed this process."""
    e.faults.append(Happened(1, "kill", at, at + 0.1, at + 0.2, pids={pid}))
    return e


def cancelled(e: Evidence, at: float, *, changed: int = 1) -> Evidence:
    """Somebody asked to cancel it, and was told that it was done."""
    e.cancels[JOB].append(Cancel(at, at + 0.01, changed))
    return e


def pair(kind: str, apart: float, **more: Any) -> Evidence:
    """Two jobs with one key, the second so many seconds after the first."""
    e = history(kind, "succeeded", OK, arguments={"key": "k", "n": 1}, **more)
    return history(kind, "succeeded", OK, id=OTHER, at=10.0 + apart, arguments={"key": "k", "n": 2}, into=e, **more)


def logged(have: list[str], outcome: str = "succeeded", how: str = "end") -> Evidence:
    """A run that logged three lines, of which the log has these."""
    e = history("prove.logs", "succeeded", [(outcome, how)] if outcome == "succeeded" else [(outcome, how), *OK])
    e.runs[JOB][0].lines = ["a", "b", "c"]
    e.lines[JOB] = [(1, text) for text in have]
    return killed(e) if outcome == "crashed" else e


def asked(e: Evidence, got: str, n: int = 1) -> Evidence:
    """A submit with the key was given this job."""
    kind = next(iter(e.jobs.values())).kind
    e.asked[f"{kind}:k"].append(Asked(got, n, 9.5))
    return e


def starts(count: int, apart: float) -> Evidence:
    """So many jobs of one key with a rate."""
    e = Evidence()
    for n in range(count):
        history("prove.paced", "succeeded", OK, id=f"p{n:03}", at=10 + n * apart, arguments={"key": 1}, into=e)
    return e


def around(*values: str) -> Evidence:
    """Runs that found their process in these folders."""
    e = Evidence()
    for n, value in enumerate(values):
        history("prove.noop", "succeeded", OK, id=f"a{n}", at=10 + 3 * n, into=e)
        e.runs[f"a{n}"][0].around = {"cwd": value}
    return e


def narrowed(healed: float, name: str = "limits") -> Evidence:
    """The second of three runs found a limit in a process that was born under it; it was lifted then."""
    e = around("/a", "/a", "/a")
    for runs, value in zip(e.runs.values(), (20000, 29, 20000), strict=True):
        runs[0].around = {name: value}
    e.runs["a1"][0] = replace(e.runs["a1"][0], pid=POOL + 1)
    e.faults.append(Happened(1, "use_up_descriptors_of_worker", 12.0, healed, healed + 1, pids={POOL + 1}, narrowed={POOL + 1}))
    return e


def remarked(text: str) -> Evidence:
    """A run that left a transaction open, and what the engine logged."""
    e = history("prove.leaves", "succeeded", OK)
    e.lines[JOB] = [(1, text)]
    return e


def wrote(e: Evidence) -> Evidence:
    """What the first run wrote was committed."""
    e.writes[JOB] = [1]
    return e


def in_a_child() -> Evidence:
    """Three jobs one after the other, the second of them in a child of the process that runs the others."""
    e = Evidence()
    for n, id in enumerate([JOB, OTHER, "j3"]):
        history("prove.noop", "succeeded", OK, id=id, at=10 + 3 * n, into=e)
    e.runs[OTHER][0] = replace(e.runs[OTHER][0], pid=POOL + 1, parent=POOL)
    return e


def changed(e: Evidence, **fields: Any) -> Evidence:
    """The first job's row says something else."""
    e.jobs[JOB] = e.jobs[JOB]._replace(**fields)
    return e


def swapped(**fields: Any) -> Evidence:
    """The first job's run was another one."""
    e = history("prove.noop", "succeeded", OK)
    e.runs[JOB][0] = replace(e.runs[JOB][0], **fields)
    return e


FAIL2: Attempts = [("failed", "ValueError"), ("failed", "ValueError")]
LEGAL: dict[str, Callable[[], Evidence]] = {
    "succeeded": lambda: history("prove.noop", "succeeded", OK),
    "failed when its attempts were used up": lambda: history("prove.fails", "failed", FAIL2),
    "an Abort that nobody heard": lambda: killed(history("prove.aborts", "failed", [("lost", "Abort"), ("failed", "Abort")])),
    "failed at once by Abort": lambda: history("prove.aborts", "failed", [("failed", "Abort")]),
    "snoozed": lambda: history("prove.snoozes", "succeeded", [("snoozed", "Snooze"), *OK]),
    "limited with its parent": lambda: narrowed(16.0),
    "killed and run again": lambda: killed(history("prove.noop", "succeeded", [("crashed", ""), *OK])),
    "lost before its handler began": lambda: killed(history("prove.noop", "succeeded", [("lost", "none"), *OK]), PARENT),
    "handed back before it began": lambda: history("prove.noop", "succeeded", [("interrupted", "none"), *OK]),
    "killed itself": lambda: history("prove.dies", "failed", [("crashed", "")] * 3),
    "timed out": lambda: history("prove.overdue", "succeeded", [("timed out", ""), *OK]),
    "cancelled before it began": lambda: cancelled(history("prove.long", "cancelled", []), 9.9),
    "cancelled while it ran": lambda: cancelled(history("prove.long", "cancelled", [("cancelled", "Cancelled")]), 10.5),
    "cancelled too late": lambda: cancelled(history("prove.long", "succeeded", OK), 10.5),
    "expired": lambda: history("prove.flaky", "cancelled", [], expires=(9.8, 9.9)),
    "begun in time": lambda: history("prove.flaky", "succeeded", OK, run_at=9.9, expires=(10.5, 10.6)),
    "logged": lambda: logged(["a", "b", "c"]),
    "cut off while it logged": lambda: logged(["a"], "crashed", ""),
    "two of three slots": lambda: pair("prove.few", 0.1),
    "one slot, in turn": lambda: pair("prove.alone", 2.0),
    "in order": lambda: pair("prove.ordered", 2.0),
    "in line": lambda: pair("prove.lined", 2.0),
    "as often as allowed": lambda: starts(60, 0.25),
    "unique, one after the other": lambda: asked(pair("prove.once", 3.0), OTHER),
    "unique until started": lambda: asked(pair("prove.debounced", 1.5), OTHER, 2),
    "unique for a time": lambda: pair("prove.lasting", 5.5),
    "as it was": lambda: around("/a", "/a", "/a"),
    "left a transaction open": lambda: remarked("A transaction was left open on the database"),
    "a wake-up that Redis did not take": lambda: remarked("No wake-up sent, Redis is unreachable"),
}

ILLEGAL: dict[str, tuple[Callable[[], Evidence], str, str]] = {
    "cancelled by nobody": (lambda: history("prove.long", "cancelled", []), "cancellations", JOB),
    "a run cancelled by nobody": (
        lambda: history("prove.long", "cancelled", [("cancelled", "Cancelled")]),
        "cancellations",
        JOB,
    ),
    "expired after it had begun": (
        lambda: history("prove.flaky", "cancelled", [("failed", "ValueError")], expires=(9.0, 9.5)),
        "cancellations",
        JOB,
    ),
    "expired too early": (lambda: history("prove.flaky", "cancelled", [], expires=(12.0, 12.1)), "cancellations", JOB),
    "cancelled and claimed after that": (
        lambda: cancelled(history("prove.long", "succeeded", OK), 9.5),
        "cancellations",
        JOB,
    ),
    "failed on the first death": (
        lambda: killed(history("prove.noop", "failed", [("crashed", "")])),
        "policy",
        JOB,
    ),
    "failed on the first error": (lambda: history("prove.flaky", "failed", [("failed", "ValueError")]), "policy", JOB),
    "an attempt too many": (lambda: history("prove.fails", "failed", [*FAIL2, FAIL2[0]]), "policy", JOB),
    "tried again after Abort": (lambda: history("prove.aborts", "succeeded", [("failed", "Abort"), *OK]), "policy", JOB),
    "an attempt not counted": (lambda: changed(history("prove.fails", "failed", FAIL2), excused=1), "policy", JOB),
    "another's result": (lambda: changed(history("prove.noop", "succeeded", OK), result="s"), "results", JOB),
    "a result lost": (lambda: changed(history("prove.noop", "succeeded", OK), result=None), "results", JOB),
    "a failed job's result": (lambda: changed(history("prove.fails", "failed", FAIL2), result="s"), "results", JOB),
    "another's arguments": (lambda: swapped(saw={"n": 2}), "results", JOB),
    "another's handler": (lambda: changed(swapped(), kind="prove.flaky"), "results", JOB),
    "a line lost": (lambda: logged(["a", "c"]), "log_lines", JOB),
    "a line twice": (lambda: logged(["a", "b", "b", "c"]), "log_lines", JOB),
    "lines out of order": (lambda: logged(["a", "c", "b"]), "log_lines", JOB),
    "the last line lost": (lambda: logged(["a", "b"]), "log_lines", JOB),
    "another's line": (lambda: logged(["x"], "crashed", ""), "log_lines", JOB),
    "crashed by nobody": (lambda: history("prove.noop", "succeeded", [("crashed", "none"), *OK]), "causes", JOB),
    "lost by nobody": (lambda: history("prove.noop", "succeeded", [("lost", "none"), *OK]), "causes", JOB),
    "timed out without a limit": (lambda: history("prove.noop", "succeeded", [("timed out", ""), *OK]), "causes", JOB),
    "snoozed by nobody": (lambda: history("prove.noop", "succeeded", [("snoozed", "ValueError"), *OK]), "causes", JOB),
    "before its time": (lambda: history("prove.noop", "succeeded", OK, run_at=11.0), "times", JOB),
    "after it expired": (lambda: history("prove.flaky", "succeeded", OK, expires=(8.0, 9.0)), "times", JOB),
    "two at once": (lambda: pair("prove.alone", 0.5), "exclusive", OTHER),
    "out of order": (lambda: pair("prove.ordered", -3.0), "order", OTHER),
    "out of line": (lambda: pair("prove.lined", -3.0), "order", OTHER),
    "too fast": (lambda: starts(60, 0.1), "rates", "p025"),
    "two with one unique key": (lambda: pair("prove.once", 1.0), "unique", OTHER),
    "two within its time": (lambda: pair("prove.lasting", 3.0), "unique", OTHER),
    "given a job that is not there": (lambda: asked(pair("prove.once", 3.0), "nobody"), "unique", "nobody"),
    "not replaced": (lambda: asked(pair("prove.debounced", 3.0), JOB, 7), "unique", JOB),
    "left in another folder": (lambda: around("/a", "/b", "/a"), "surroundings", "a1"),
    "limited after the limit was lifted": (lambda: narrowed(12.5), "surroundings", "a1"),
    "another folder where descriptors are limited": (lambda: narrowed(16.0, "cwd"), "surroundings", "a1"),
    "run by a child of a pool process": (in_a_child, "surroundings", OTHER),
    "an open transaction that was committed": (lambda: wrote(remarked("A transaction was left open")), "exactly_once", JOB),
    "a remark that nobody knows": (lambda: remarked("Something else"), "log_lines", JOB),
}


@pytest.mark.parametrize("name", LEGAL)
def test_a_legal_history_passes(name: str) -> None:
    assert checks.judge(LEGAL[name]()) == []


@pytest.mark.parametrize("name", ILLEGAL)
def test_a_planted_violation_is_found(name: str) -> None:
    evidence, check, job = ILLEGAL[name]
    assert (check, job) in [(found.check, found.job) for found in checks.judge(evidence())]


def test_a_zombie_that_the_campaign_made_excuses_two_at_once() -> None:
    e = pair("prove.alone", 0.5)
    e.faults.append(Happened(1, "freeze_worker_parent", 10.0, 12.0, 13.0, pids={PARENT}))
    assert not [found for found in checks.judge(e) if found.check == "exclusive"]


def test_the_order_of_a_partition_is_that_of_its_messages() -> None:
    e = pair("prove.lined", -3.0)
    e.faults.append(Happened(1, "wipe_rabbitmq", 6.0, 7.0, 8.0, servers={"rabbitmq"}))
    assert checks.judge(e) == []


@pytest.mark.parametrize(
    "name", ["expired too early", "before its time", "after it expired", "too fast", "two within its time"]
)
def test_a_clock_that_is_set_excuses_times_and_periods(name: str) -> None:
    e = ILLEGAL[name][0]()
    e.faults.append(Happened(1, "step_clock", 9.0, 10.0, 10.5, servers={"clock"}))
    assert checks.judge(e) == []


@pytest.mark.parametrize("name", ["two with one unique key", "cancelled by nobody"])
def test_a_clock_that_is_set_excuses_nothing_else(name: str) -> None:
    evidence, check, job = ILLEGAL[name]
    e = evidence()
    e.faults.append(Happened(1, "step_clock", 9.0, 10.0, 10.5, servers={"clock"}))
    assert (check, job) in [(found.check, found.job) for found in checks.judge(e)]
