"""The table of moves: against itself, against the database's CHECKs and against the page that draws it."""

import re
from pathlib import Path

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone
from furrow import Job
from furrow.models.job import new_id
from furrow.states import EXCUSED, FINAL, MEANINGS, MOVES, UNSTARTED, Outcome, State, sources

PAGE = Path(__file__).resolve().parents[2] / "docs" / "job_lifecycle.md"


def test_every_state_has_its_row_and_no_state_moves_to_itself() -> None:
    assert set(MOVES) == set(State)
    assert all(state not in targets for state, targets in MOVES.items())


def test_the_groups_of_states_follow_from_the_moves() -> None:
    assert sources(State.RUNNING) == {State.PENDING, State.QUEUED}
    assert sources(State.CANCELLED) - {State.RUNNING} == UNSTARTED
    # Only a person's retry leaves a final state, and it leads to pending; what was skipped because of that job waits again.
    assert {state for state in State if MOVES[state] <= {State.PENDING, State.WAITING}} == FINAL
    assert {state for state in FINAL if State.WAITING in MOVES[state]} == {State.CANCELLED}
    assert UNSTARTED | {State.RUNNING} | FINAL == set(State)
    assert sources(State.SUCCEEDED) == {State.RUNNING}


def test_every_state_can_be_reached_and_can_be_left() -> None:
    reached, edge = {State.PENDING, State.WAITING}, {State.PENDING, State.WAITING}
    while edge:
        edge = {target for state in edge for target in MOVES[state]} - reached
        reached |= edge
    assert reached == set(State)
    assert all(MOVES.values())


def test_sources_is_the_table_read_backwards() -> None:
    for target in State:
        assert sources(target) == {state for state in State if target in MOVES[state]}


def test_every_outcome_has_its_row_and_a_colour() -> None:
    assert list(MEANINGS) == list(Outcome)
    assert {meaning.colour for meaning in MEANINGS.values()} <= {"success", "danger", "warning", "info"}


def test_no_statement_names_an_outcome_by_hand() -> None:
    """Both dialects take the groups of outcomes from the table."""
    only_outcomes = "|".join(set(Outcome) - {str(state) for state in State})
    for path in (PAGE.parents[1] / "apps" / "furrow" / "statements").rglob("*.py"):
        assert not re.findall(f"'({only_outcomes})'", path.read_text()), path


def test_what_is_excused_is_an_outcome_without_an_error_of_the_job() -> None:
    assert {Outcome.SNOOZED, Outcome.INTERRUPTED} == EXCUSED


def test_the_columns_hold_every_state_and_outcome() -> None:
    from furrow.models import Attempt

    assert max(map(len, State)) <= (Job._meta.get_field("state").max_length or 0)
    assert max(map(len, Outcome)) <= (Attempt._meta.get_field("outcome").max_length or 0)


# --- the database ---------------------------------------------------------------------------------------------------------


def columns_of(state: State) -> dict[str, object]:
    """What a row in this state must have."""
    now = timezone.now()
    running = {"worker": new_id(), "started_at": now} if state is State.RUNNING else {}
    return {"kind": "a.kind", "state": state, **running, **({"finished_at": now} if state in FINAL else {})}


@pytest.mark.django_db
@pytest.mark.engine
@pytest.mark.parametrize("state", State)
def test_the_database_takes_a_row_in_every_state(state: State) -> None:
    Job.objects.create(**columns_of(state))
    assert Job.objects.get().state == state


@pytest.mark.django_db
@pytest.mark.engine
@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ({"state": "asleep"}, "job_state_known"),
        ({"state": ""}, "job_state_known"),
        ({"priority": -1}, "job_priority_range"),
        ({"priority": 10}, "job_priority_range"),
        ({"attempt": -1}, "job_attempt_counts"),
        ({"excused": -1}, "job_attempt_counts"),
        ({"max_attempts": 0}, "job_attempt_counts"),
        ({"state": State.RUNNING}, "job_running_has_worker"),
        ({"state": State.RUNNING, "worker": new_id()}, "job_running_has_worker"),
        ({"state": State.RUNNING, "started_at": timezone.now()}, "job_running_has_worker"),
        *(({"state": state}, "job_final_is_finished") for state in FINAL),
        *(({"state": state, "finished_at": timezone.now()}, "job_final_is_finished") for state in sorted(UNSTARTED)),
    ],
)
def test_the_database_refuses_what_cannot_be(change: dict[str, object], constraint: str) -> None:
    job = Job.objects.create(kind="a.kind")
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        Job.objects.filter(pk=job.pk).update(**change)
    assert Job.objects.get() == job


# --- the page -------------------------------------------------------------------------------------------------------------


def test_the_diagram_of_the_page_is_the_table() -> None:
    drawn = re.findall(r"^ *(\w+) --> (\w+)(?:: .*)?$", PAGE.read_text(), flags=re.MULTILINE)
    assert sorted(drawn) == sorted((str(state), str(target)) for state, targets in MOVES.items() for target in targets)


def test_the_page_describes_every_state_and_outcome_once() -> None:
    text = PAGE.read_text()
    for state in State:
        assert text.count(f"\n| `{state}` |") == 1, state
    for outcome in Outcome:
        [counts] = re.findall(rf"^\| {outcome} \|.*\| (yes|no) \|$", text, flags=re.MULTILINE)
        assert (counts == "yes") == MEANINGS[outcome].counts, outcome


def test_the_page_says_which_moves_into_and_out_of_each_state_exist() -> None:
    for state in State:
        row = next(line for line in PAGE.read_text().splitlines() if line.startswith(f"| `{state}` |"))
        _, _, _meaning, comes, goes, _ = row.split("|")
        assert set(re.findall(r"`(\w+)`", comes)) == {str(source) for source in sources(state)}, state
        assert set(re.findall(r"`(\w+)`", goes)) == {str(target) for target in MOVES[state]}, state
