"""Celery's canvas of kinds, on both databases: a workflow with Celery's results."""

import json
import uuid
from collections import Counter
from typing import Any

import pytest
from celery import Celery, chain, chord, group, signature
from celery.exceptions import ChordError, TimeoutError
from celery.result import AsyncResult, GroupResult
from django.db import transaction
from django.db.models.functions import Now
from furrow import ArgumentError, Job, JobCancelled, JobFailed, OptionError, WorkflowError, cancel
from furrow.celery_results import JobResultBackend
from furrow.kinds.kind import _kinds
from furrow.kinds.results import JobBackend
from furrow.models import Edge, Move, Node, Workflow
from furrow.states import State, WorkflowState
from furrow.testing import drain
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import kinds
from tests.kinds import flows
from tests.services import ROOT

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("nobody_runs")]

add, total, any_total = kinds.add, flows.total, flows.any_total


def got(canvas: Any, *args: Any) -> Any:
    """What it comes to."""
    result = canvas.delay(*args)
    drain(limit=5_000)
    return result.get(timeout=1)


@pytest.mark.parametrize(
    ("canvas", "value"),
    [
        pytest.param(lambda: chain(add.s(1, 2), add.s(3), add.s(4)), 10, id="chain"),
        pytest.param(lambda: add.s(1, 2) | add.s(3), 6, id="operator"),
        pytest.param(lambda: add.s(1, 2) | add.si(3, 4) | add.s(1), 8, id="immutable"),
        pytest.param(lambda: group(add.s(1, 2), add.s(3, 4)), [3, 7], id="group"),
        pytest.param(lambda: group(add.s(n) for n in range(5)), [1, 2, 3, 4, 5], id="generator"),
        pytest.param(lambda: chord([add.s(n, n) for n in range(4)], total.s()), 12, id="chord"),
        pytest.param(lambda: chord([add.s(1), total.s([2])], total.s(more=5)), 9, id="chord of different kinds"),
        pytest.param(lambda: group(add.s(1), add.s(2)) | total.s() | add.s(1), 6, id="chord by operator"),
        pytest.param(lambda: add.s(1) | group(add.s(1), add.s(2)), [3, 4], id="chain that ends in a group"),
        pytest.param(lambda: add.s(1) | group(add.s(n) for n in range(3)) | total.s(), 9, id="group within"),
        pytest.param(lambda: group(add.s(1), add.s(2)) | group(total.s(), total.s(1)), [5, 6], id="group after group"),
        pytest.param(lambda: chord([chord([add.s(1)], total.s()), add.s(5)], total.s()), 8, id="chord in a header"),
        pytest.param(lambda: chord([add.s(1)], chord([total.s(), total.s(1)], total.s())), 5, id="chord as a body"),
        pytest.param(lambda: chord([add.s(1)], total.s() | add.s(3)), 5, id="chain as a body"),
        pytest.param(lambda: group(group(add.s(1), add.s(2)), add.s(3)), [2, 3, 4], id="group in a group is flat"),
        pytest.param(lambda: group(add.s(1) | group(add.s(1), add.s(2)), add.s(9)), [[3, 4], 10], id="chain's group is not"),
        pytest.param(lambda: add.map([1, 2, 3]), [2, 3, 4], id="map"),
        pytest.param(lambda: add.starmap([(1, 2), (3, 4)]), [3, 7], id="starmap"),
        pytest.param(lambda: add.chunks([(n, n) for n in range(5)], 2), [[0, 2], [4, 6], [8]], id="chunks"),
        pytest.param(lambda: add.s(7) | add.map([1, 2]) | total.s(), 5, id="map within"),
        pytest.param(lambda: chord([], total.s(more=7)), 7, id="no header"),
        pytest.param(lambda: chain(add.s(1), group(), add.s(1)), 3, id="empty group"),
        pytest.param(lambda: group(add.s(1)) | total.s(), 2, id="header of one"),
        pytest.param(lambda: chain(group(add.s(1)), add.s(1)), 3, id="group of one in a chain"),
        pytest.param(lambda: group(add.s(n, n) for n in range(4)) | flows.sums.s(), 12, id="results read one by one"),
        pytest.param(lambda: group(add.s(1), total.s([1])) | flows.sums.s(), 3, id="a list for results"),
        pytest.param(lambda: signature(json.loads(json.dumps(add.s(1) | group(add.s(1), add.s(2)) | total.s()))), 7, id="JSON"),
    ],
)
def test_a_canvas_comes_to_what_celery_says(canvas: Any, value: Any) -> None:
    assert got(canvas()) == value
    assert {*Workflow.objects.values_list("state", flat=True)} <= {WorkflowState.SUCCEEDED}
    assert not Move.objects.exists()


def test_partial_arguments_are_given_to_the_first_parts() -> None:
    assert got(chain(add.s(), add.s(10)), 1) == 12
    assert got(group(add.s(1), add.s(2)), 5) == [6, 7]
    assert got(chord([add.s(1), add.s(2)], total.s()), 5) == 13
    result = (add.s() | add.s(1)).apply_async((1,), {"b": 4})
    drain()
    assert result.get(timeout=1) == 6


def test_the_pages_example_runs_as_it_stands() -> None:
    page = (ROOT / "docs" / "from_celery.md").read_text()
    names: dict[str, Any] = {"__name__": "example"}
    try:
        exec(page.partition("```python\n")[2].partition("```")[0], names)
        drain()
        assert names["result"].get(timeout=1) == "census: 4950"
    finally:
        for name in ("fetch", "add_up", "report"):
            _kinds.pop(f"example.{name}", None)
            add.task.app.tasks.pop(f"example.{name}", None)


# --- Celery itself, as an oracle ----------------------------------------------------------------------------------------------

oracle = Celery("oracle", set_as_current=False)
oracle.conf.task_always_eager = True
plain = {name: oracle.task(name=f"oracle.{name}")(kind.handler) for name, kind in {"any_total": any_total}.items()}
leaves = st.tuples(st.just("call"), st.integers(0, 9), st.booleans())


def _nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    many = st.lists(inner, min_size=2, max_size=3)
    return st.one_of(
        st.tuples(st.just("chain"), many),
        st.tuples(st.just("group"), many),
        st.tuples(st.just("chord"), many, inner),
        st.tuples(st.just("or"), inner, inner),
    )


def _made(tree: Any, task: Any) -> Any:
    """The canvas of a tree, of calls of this task."""
    sort, *parts = tree
    if sort == "call":
        number, is_immutable = parts
        return task.si(number, 1) if is_immutable else task.s(number)
    if sort == "or":
        return _made(parts[0], task) | _made(parts[1], task)
    members = [_made(part, task) for part in parts[0]]
    if sort == "chord":
        return chord(members, _made(parts[1], task))
    return chain(*members) if sort == "chain" else group(members)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=st.recursive(leaves, _nested, max_leaves=9))
def test_any_canvas_comes_to_what_celerys_own_evaluation_does(tree: Any) -> None:
    # The first calls are given a number; what comes later is given what came before.
    with transaction.atomic():
        expected = _made(tree, plain["any_total"]).apply_async((3,)).get()
        assert got(_made(tree, any_total), 3) == expected
        transaction.set_rollback(True)


# --- results ------------------------------------------------------------------------------------------------------------------


def test_results_are_celerys() -> None:
    result = (add.s(1, 2) | group(add.s(1), add.s(2)) | total.s()).apply_async()
    header, first = result.parent, result.parent.parent
    assert isinstance(header, GroupResult)
    assert (result.ready(), header.ready(), result.state) == (False, False, "PENDING")
    drain()
    assert (result.get(timeout=1), header.join(timeout=1), first.get(timeout=1)) == (9, [4, 5], 3)
    assert all(one.successful() for one in (result, header, first))
    assert header.completed_count() == 2
    assert [child.id for child in first.children] == [one.id for one in header.results]
    assert [child.id for child in header[0].children] == [result.id]
    assert result.children == []
    assert AsyncResult(result.id, backend=JobBackend(add.task.app)).get() == add.AsyncResult(result.id).get() == 9
    assert {one.get() for _, one in first.iterdeps()} == {3, 4, 5, 9}


def test_a_group_is_found_again_by_its_id() -> None:
    result = group(add.s(1), add.s(2), total.s([7]) | add.s(1)).apply_async()
    result.save()
    drain()
    found = type(result).restore(result.id)
    assert found is not None
    assert found.get(timeout=1) == result.get(timeout=1) == [2, 3, 8]
    assert GroupResult.restore(result.id, backend=JobResultBackend(add.task.app)).get(timeout=1) == [2, 3, 8]
    assert type(result).restore(str(uuid.uuid4())) is None


def test_a_group_is_read_many_at_once(django_assert_max_num_queries: Any) -> None:
    with django_assert_max_num_queries(8):
        result = group(add.s(n, 0) for n in range(200)).apply_async()
    with django_assert_max_num_queries(1):
        assert not result.ready()
    with pytest.raises(TimeoutError):
        result.get(timeout=0)
    Job.objects.filter(pk__in=[one.id for one in result.results[:100]]).update(state=State.SUCCEEDED, finished_at=Now())
    assert (result.ready(), result.failed()) == (False, False)
    Job.objects.filter(state=State.PENDING).update(state=State.CANCELLED, finished_at=Now(), error="gone")
    with django_assert_max_num_queries(2):  # the jobs, and whether their node was skipped
        assert (result.ready(), result.successful(), result.failed()) == (True, False, False)
    with pytest.raises(JobCancelled, match="gone"):
        result.get(timeout=1)


def test_options_of_parts_are_their_jobs() -> None:
    id = str(uuid.uuid4())
    first = add.s(1).set(priority=1, queue="other")
    first.stamp(customer="ada")
    result = chain(first, add.s(1)).apply_async(task_id=id)
    assert result.id == id
    job = Job.objects.get(pk=result.parent.id)
    assert (job.priority, job.queue, job.meta) == (1, "other", {"celery": {"stamps": {"customer": "ada"}}})
    assert Job.objects.get(pk=id).queue == "default"
    for frozen in (add.s(1) | add.s(2), group(add.s(1), add.s(2)) | total.s(), chord([add.s(1)], total.s() | add.s(1))):
        expected = frozen.freeze()
        result = frozen.apply_async()
        assert (result.id, result.parent.id) == (expected.id, expected.parent.id)
    assert group(add.s(n) for n in range(3)).apply_async(queue="other").results
    assert Job.objects.filter(queue="other").count() == 4


def test_a_group_of_one_kind_is_one_node_and_a_workflows_name_says_no_argument() -> None:
    group(flows.secretive.s("hush", n) for n in range(30)).apply_async()
    assert Node.objects.get().jobs == 30
    assert Workflow.objects.get().name == "group of secretive"
    group(add.s(1), add.s(2).set(priority=0)).apply_async()
    assert Node.objects.filter(kind="kinds.add").count() == 2


def test_it_is_written_in_the_callers_transaction() -> None:
    with transaction.atomic():
        (add.s(1) | group(add.s(1), add.s(2)) | total.s()).apply_async()
        transaction.set_rollback(True)
    assert not any(model._default_manager.exists() for model in (Workflow, Node, Edge, Job))


# --- what follows, and failures -----------------------------------------------------------------------------------------------


def test_a_link_is_called_with_the_result_and_changes_nothing_of_its_own() -> None:
    first = add.apply_async((1, 2), link=[add.s(10), add.si(5, 5), add.s(1) | add.s(1)])
    assert got(chain(add.s(1).set(link=any_total.s(40)), add.s(1))) == 3
    drain()
    assert first.get(timeout=1) == 3
    results = Counter(Job.objects.filter(state=State.SUCCEEDED).values_list("result", flat=True))
    assert results == Counter([3, 13, 10, 4, 5, 2, 42, 3])


def test_an_errback_is_called_with_the_id_of_the_job_that_failed() -> None:
    failing = kinds.fails.s("no luck").set(link_error=flows.tells_failure.s())
    alone = failing.apply_async()
    within = chain(add.s(1), kinds.fails.si("again"), add.si(1)).on_error(flows.tells_failure.s()).apply_async()
    drain(raise_on_failure=False, with_scheduled=True)
    told = Job.objects.filter(kind="kinds.tells_failure", state=State.SUCCEEDED)
    assert {*told.values_list("result", flat=True)} == {alone.id, within.parent.id}
    assert not Job.objects.filter(kind="kinds.tells_failure").exclude(state__in=[State.SUCCEEDED, State.CANCELLED]).exists()


def test_what_waits_for_a_failure_fails_by_name() -> None:
    result = (kinds.fails.si("no luck") | add.si(1) | add.s(2)).apply_async()
    drain(raise_on_failure=False, with_scheduled=True)
    failed = result.parent.parent
    assert (failed.state, result.state, result.failed(), result.ready()) == ("FAILURE", "FAILURE", True, True)
    with pytest.raises(JobFailed, match=r"no luck"):
        result.get(timeout=1)
    with pytest.raises(JobFailed, match=rf"kinds.fails {failed.id} failed: ValueError: no luck"):
        result.get(timeout=1, follow_parents=False)


@pytest.mark.parametrize("more", [[], [kinds.fails.si("no luck")]])
def test_a_chord_whose_header_fails_raises_chord_error_and_calls_the_bodys_errback(more: list[Any]) -> None:
    body = total.s().on_error(flows.tells_failure.s()) if more else total.s()
    result = chord([add.s(1), kinds.fails.si("no luck"), *more], body).apply_async()
    then = result.parent
    drain(raise_on_failure=False, with_scheduled=True)
    with pytest.raises(ChordError, match="no luck"):
        result.get(timeout=1, follow_parents=False)
    assert [one.successful() for one in then.results][:2] == [True, False]
    told = Job.objects.filter(kind="kinds.tells_failure", state=State.SUCCEEDED).values_list("result", flat=True)
    assert {*told} == ({one.id for one in then.results[1:]} if more else set())


def test_a_part_that_was_cancelled_is_revoked() -> None:
    result = (add.s(1) | add.s(2)).apply_async()
    cancel(Job.objects.filter(pk=result.parent.id))
    drain()
    assert (result.parent.state, result.state) == ("REVOKED", "REVOKED")
    with pytest.raises(JobCancelled, match="cancelled"):
        result.get(timeout=1)


# --- what cannot be -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("canvas", "error", "text"),
    [
        (lambda: add.s(1) | kinds.ordinary.s(), WorkflowError, "a kind is followed by .*ordinary, which is no kind"),
        (lambda: group(add.s(1), kinds.ordinary.s(1)), WorkflowError, "whose results are in different places"),
        (lambda: chord([add.s(1)], kinds.ordinary.s()), WorkflowError, "its body is .*ordinary, which is no kind"),
        (lambda: chord([kinds.ordinary.s(1), add.s(1)], total.s()), WorkflowError, "different places"),
        (lambda: chord([kinds.ordinary.s(1) | add.s()], total.s()), WorkflowError, "whose ends Celery cannot count"),
        (lambda: add.s(1).set(link=kinds.ordinary.s()), WorkflowError, "kinds.add links to .*ordinary"),
        (lambda: add.s(1).set(link_error=kinds.ordinary.s()), WorkflowError, "kinds.add links to .*ordinary"),
        (lambda: add.s(1) | add.s(1).set(link=kinds.ordinary.s()), WorkflowError, "kinds.add links to .*ordinary"),
        (lambda: add.s(1).set(chord=total.s()), WorkflowError, "in the header of a chord of ordinary tasks"),
        (lambda: add.s(1) | add.s(1).set(countdown=3), OptionError, "countdown: would count from the submit.*give eta"),
        (lambda: add.s(1) | add.s(1).set(expires=3), OptionError, "expires: would count from the submit"),
        (lambda: add.s(1) | add.s(1).set(routing_key="x"), OptionError, "routing_key: is an option of Celery's"),
        (lambda: add.s(1) | add.s("many"), ArgumentError, "b: input should be a valid integer"),
        (lambda: add.s(1) | add.s(1, 2), ArgumentError, "3 given by position"),
        (lambda: total.s([1]) | total.s(), ArgumentError, "takes a JSON array, but .* is a JSON integer"),
        (lambda: group(add.s("a"), add.s(2)), ArgumentError, "row 0: a"),
        (lambda: add.s(1) | kinds.once.s("k"), OptionError, "unique"),
        (lambda: add.s(1).set(link_error=total.s(1, 2)), ArgumentError, "an errback is called with the id"),
    ],
)
def test_what_cannot_be_is_refused_by_name_and_nothing_is_written(canvas: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        canvas().apply_async()
    assert not any(model._default_manager.exists() for model in (Workflow, Node, Job))


def test_an_id_that_a_job_has_is_refused() -> None:
    id = add.delay(1).id
    with pytest.raises(WorkflowError, match="is the id of another job"):
        (add.s(1) | add.s(2)).apply_async(task_id=id)
    assert not Workflow.objects.exists()
