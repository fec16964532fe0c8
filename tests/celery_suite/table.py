"""What was written down of each mode, compared: counts by file, and each test that ended otherwise than with Celery."""

import json
from collections import Counter, defaultdict
from importlib.metadata import version
from pathlib import Path

#: The place in the page that is written anew.
BEGIN, END = "<!-- written by `python -m tests.celery_suite table` -->", "<!-- the end of what is written -->"
_BY_ID = "asks the project's Redis backend for a result by its id; that of a job is in its row"
_IN_PROCESS = "looks into the memory of Celery's worker, which does not run jobs"
_STAMPS = "open: `revoke_by_stamped_headers` does not cancel jobs"
_RETRY = "open: a job that waits for its retry is not told as `RETRY`"
_SLOW = "not shown: it failed on a machine with a load of 20, as in a first run with Celery's own worker; to be repeated"
#: Why a test ends otherwise than with Celery, by mode and name. One that is not here is a mistake of ours.
REASONS = {
    "plain": {
        "test_inspect.py::test_Inspect::test_active_queues": "`inspect active_queues` tells of the worker's job queues besides "
        "the project's: it does consume them",
        "test_canvas.py::test_chord::test_disabling_flag_allow_error_cb_on_chord_header": _SLOW,
        "test_canvas.py::test_chord::test_mutable_errback_called_by_chord_from_group_fail_multiple_on_body_failure": _SLOW,
    },
    "adopted": {
        "test_group_chains.py::test_group_chains::test_pending_chord_keeps_header_errback": _BY_ID,
        "test_group_chains.py::test_group_chains::test_large_group_pipeline": "measures the messages that a canvas is sent as; "
        "there are none",
        "test_tasks.py::test_tasks::test_task_sent_event_respects_publish_retry_limit": "counts tries to publish; a submit "
        "publishes nothing",
        "test_tasks.py::test_tasks::test_send_task_without_ignore_result_uses_task_ignore_result": _IN_PROCESS,
        "test_tasks.py::test_tasks::test_send_task_without_ignore_result_stores_result": _IN_PROCESS,
        "test_tasks.py::test_tasks::test_reject_without_requeue_stores_failure": "open: the error is JobFailed, and not Reject",
        "test_tasks.py::test_tasks::test_revoked_by_headers_simple_canvas": _STAMPS,
        "test_tasks.py::test_tasks::test_revoked_by_headers_complex_canvas": _STAMPS,
        "test_tasks.py::test_tasks::test_retry": _RETRY,
        "test_tasks.py::test_tasks::test_retry_with_unpickleable_exception": _RETRY,
    },
}
Outcomes = dict[str, str]


def outcomes(path: Path) -> Outcomes:
    """How each test ended. A test that is run again counts by its last run; subtests and teardown count with their test."""
    ended: dict[str, list[str]] = {}
    now: dict[str, list[str]] = defaultdict(list)
    for line in path.read_text().splitlines():
        name, outcome, *_ = json.loads(line)
        if outcome == "began":
            ended, now = {**ended, **now}, defaultdict(list)
        elif outcome == "rerun":
            now[name].clear()
        else:
            now[name].append(outcome)
    return {name.removeprefix("t/integration/"): _of(how) for name, how in {**ended, **now}.items()}


def _of(ended: list[str]) -> str:
    return next((outcome for outcome in ("failed", "skipped", "passed") if outcome in ended), "did not end")


def write(folder: Path, page: Path) -> int:
    """Put the counts and the differences into the page; 1 when a difference has no reason."""
    modes = {path.stem: outcomes(path) for mode in ("stock", "plain", "adopted") if (path := folder / f"{mode}.jsonl").exists()}
    differences = {mode: different(modes["stock"], of_mode) for mode, of_mode in modes.items() if mode != "stock"}
    before, _, rest = page.read_text().partition(BEGIN)
    text = "\n\n".join([f"Celery {version('celery')}.", counts(modes), *map(listed, differences, differences.values())])
    page.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.partition(END)[2]}")
    unexplained = [(mode, name) for mode, found in differences.items() for name in found if not reason(mode, name)]
    for mode, name in unexplained:
        print(f"{mode}: {name} {differences[mode][name]}: no reason is known")
    return int(bool(unexplained))


def different(stock: Outcomes, other: Outcomes) -> dict[str, str]:
    """What ended otherwise, of those that ran in both, with how. What Celery itself does not pass is no measure."""
    return {
        name: f"{stock[name]} → {outcome}"
        for name, outcome in other.items()
        if stock.get(name) == "passed" and outcome != "passed"
    }


def reason(mode: str, name: str) -> str:
    """Why it differs; empty when nobody knows."""
    known = REASONS[mode]
    return known.get(name) or known.get(name.partition("[")[0]) or ""


def counts(modes: dict[str, Outcomes]) -> str:
    """Passed, failed and skipped tests of each file."""
    files = sorted({name.partition("::")[0] for of_mode in modes.values() for name in of_mode})
    lines = [f"| file | {' | '.join(modes)} |", f"|---|{'---|' * len(modes)}"]
    for file in [*files, ""]:
        cells = [
            _cell([how for name, how in of_mode.items() if name.partition("::")[0].startswith(file)])
            for of_mode in modes.values()
        ]
        lines.append(f"| {file or '**all**'} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(ended: list[str]) -> str:
    found = Counter(ended)
    return ", ".join(f"{found[how]} {how}" for how in ("passed", "failed", "skipped") if found[how]) or "not run"


def listed(mode: str, found: dict[str, str]) -> str:
    """The tests that Celery passes and this mode does not."""
    if not found:
        return f"`{mode}`: every test that stock Celery passes, passes."
    lines = [f"`{mode}`, of what stock Celery passes:", "", "| test | | reason |", "|---|---|---|"]
    return "\n".join(
        [*lines, *(f"| {name} | {how} | {reason(mode, name) or '**unknown**'} |" for name, how in sorted(found.items()))]
    )
