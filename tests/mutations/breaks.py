"""The breaks: in which file, which text (it occurs once) becomes which, and which tests notice."""

from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]


class Break(NamedTuple):
    """A one-line break of the engine."""

    name: str
    file: str  #: below ``apps/furrow``
    old: str
    new: str
    tests: str  #: below ``tests``, separated by blanks, as pytest takes them

    @property
    def path(self) -> str:
        """The file, below the root."""
        return f"apps/furrow/{self.file}"


PG = "statements/postgresql"
RUNS, DISPATCH, HOLDS, SUBMIT, WORKERS, TURNS, LINES = (
    f"{PG}/{name}.py" for name in ("runs", "dispatch", "holds", "submit", "workers", "turns", "lines")
)
T_RUNS = "integration/test_statements_runs.py"
T_MOVES = "integration/test_statements_moves.py"
T_DISPATCH = "integration/test_statements_dispatch.py"
T_RACES = "integration/test_statements_races.py"
T_WORKERS = "integration/test_statements_workers.py"
T_HOLDS = "integration/test_holds.py integration/test_holds_turns.py"
T_UNIQUE = "integration/test_unique.py"
T_LINES = "integration/test_lines.py"
T_RETRY = "unit/test_retry.py"
T_RUNNER = "unit/test_runner_results.py"
T_ASSIGNED = "unit/test_assignments.py"
T_SUBMIT = "unit/test_submit.py"
T_WAKE = "integration/test_submit_wakeup.py"
T_RESCUE = "integration/test_rescue_verdicts.py"
T_CLOCK = "integration/test_clock_steps.py"
T_LOCKED = "integration/test_locked_rows.py"
T_CHANGED = "integration/test_limits_change.py"
T_AFRESH = "unit/test_afresh.py"
T_MASKS = "unit/test_masks.py"
T_EVENTS = "integration/test_events.py"
T_FLOWS = "integration/test_workflows.py integration/test_workflows_growing.py integration/test_workflows_ends.py"
T_STEPS = "integration/test_steps.py integration/test_steps_signals.py integration/test_steps_changed.py"
T_BACKFILLS = "integration/test_backfills.py"
T_APPROVALS = "integration/test_approvals.py"

BREAKS = [
    Break(
        "a claim of any state",
        RUNS,
        "AND (state || '' = 'queued' OR state || '' = 'pending' AND run_at <=",
        "AND (run_at <=",
        T_MOVES,
    ),
    Break("a claim before its time", RUNS, "AND run_at <= clock_timestamp())\n", ")\n", T_RUNS),
    Break("a claim without its slots", RUNS, "h.key = l->>'key')) = 0)", "h.key = l->>'key')) >= 0)", T_HOLDS),
    Break("a claim of a paused queue", RUNS, "paused_at IS NOT NULL AND NOT draining", "false", "integration/test_queues.py"),
    Break("a claim that counts no attempt", RUNS, "'running', attempt = attempt + 1,", "'running', attempt = attempt,", T_RUNS),
    Break(
        "a settle without the fence",
        RUNS,
        "AND j.attempt = given.attempt AND j.state || '' = 'running'\n  RETURNING",
        "AND j.state || '' = 'running'\n  RETURNING",
        T_RUNS,
    ),
    Break(
        "a settle of any state",
        RUNS,
        "j.attempt = given.attempt AND j.state || '' = 'running'\n  RETURNING",
        "j.attempt = given.attempt\n  RETURNING",
        T_MOVES,
    ),
    Break(
        "a settle that drops the delay",
        RUNS,
        "given.delay * interval '1 second' END,",
        "given.delay * interval '0' END,",
        T_RUNS,
    ),
    Break("a settle that drops the result", RUNS, "result = given.result::jsonb,", "result = NULL,", T_RUNS),
    Break(
        "a cancel that a retry forgets",
        RUNS,
        "(given.state = 'pending' OR given.outcome IN {ENDS_CANCELLED})",
        "given.outcome IN {ENDS_CANCELLED}",
        T_RUNS,
    ),
    Break("a snooze that counts", RUNS, "(given.outcome IN {EXCUSED})::int", "0", T_RUNS),
    Break("a retry that does not count", RUNS, "(given.outcome IN {EXCUSED})::int", "1", T_RUNS),
    Break(
        "progress of a stale run",
        RUNS,
        "j.id = given.id AND j.attempt = given.attempt AND j.state || '' = 'running'\"\"\"",
        'j.id = given.id"""',
        T_RUNS,
    ),
    Break(
        "a mark without the term",
        DISPATCH,
        "WHERE role = 'dispatcher') = %s",
        "WHERE role = 'dispatcher') <= %s + 99",
        T_DISPATCH,
    ),
    Break("a mark of any state", DISPATCH, "AND state || '' = 'pending' AND run_at <=", "AND run_at <=", T_MOVES),
    Break(
        "due without its time",
        DISPATCH,
        "> (since.run_at, since.id) AND run_at <= statement_timestamp()",
        "> (since.run_at, since.id)",
        T_DISPATCH,
    ),
    Break(
        "due without its order",
        DISPATCH,
        "AND run_at <= statement_timestamp()\n                  ORDER BY run_at, id LIMIT %s",
        "AND run_at <= statement_timestamp()\n                  ORDER BY id DESC LIMIT %s",
        T_DISPATCH,
    ),
    Break("a term that never grows", DISPATCH, "l.lease_until < clock_timestamp())::int", "false)::int", T_DISPATCH),
    Break("two that lead", DISPATCH, "OR l.lease_until = %(over)s", "OR true", T_DISPATCH),
    Break(
        "pruning what has just ended",
        DISPATCH,
        "finished_at < statement_timestamp() - %s * interval '1 second'",
        "finished_at < statement_timestamp() - %s * interval '0'",
        T_DISPATCH,
    ),
    Break(
        "attempts that outlive their job",
        DISPATCH,
        "DELETE FROM {ATTEMPT} WHERE job_id = ANY(ARRAY(SELECT id FROM old))",
        "DELETE FROM {ATTEMPT} WHERE false AND job_id = ANY(ARRAY(SELECT id FROM old))",
        T_DISPATCH,
    ),
    Break(
        "a lost lease renewed", WORKERS, 'AND stopped_at IS NULL""",\n            [lease', '""",\n            [lease', T_WORKERS
    ),
    Break(
        "a request taken twice",
        WORKERS,
        "WHERE worker = %s AND taken_at IS NULL\n               RETURNING",
        "WHERE worker = %s\n               RETURNING",
        T_WORKERS,
    ),
    Break(
        "slots without the term", HOLDS, 'AND term = %s FOR SHARE", [term])', 'AND term >= %s - 99 FOR SHARE", [term])', T_HOLDS
    ),
    Break("a hold not freed", HOLDS, "AND freed.free AND freed.period IS NULL AND freed.heir IS NULL", "AND false", T_HOLDS),
    Break(
        "a place in the order given up",
        HOLDS,
        "OR NOT (h.ordered OR moved.outcome IN {KEEPS_SLOTS}) AS free",
        "OR true AS free",
        T_HOLDS,
    ),
    Break(
        "an end that lets nobody go",
        HOLDS,
        "WHERE id = ANY(%s::uuid[]) AND limits IS NOT NULL\n), freed",
        "WHERE id = ANY(%s::uuid[]) AND false\n), freed",
        T_HOLDS,
    ),
    Break(
        "a rate's slot free at once",
        HOLDS,
        "clock_timestamp() + (h.period - given.ago) * interval '1 second'",
        "clock_timestamp()",
        T_HOLDS,
    ),
    Break(
        "a sweep that finds nothing",
        HOLDS,
        "WHERE h.job IS NOT NULL AND (j.id IS NULL OR",
        "WHERE false AND (j.id IS NULL OR",
        T_HOLDS,
    ),
    Break(
        "an order by luck",
        HOLDS,
        "AND state IN {UNFINISHED} ORDER BY id LIMIT 1",
        "AND state IN ('pending', 'queued', 'running', 'waiting') ORDER BY id DESC LIMIT 1",
        T_HOLDS,
    ),
    Break(
        "turns without shares",
        TURNS,
        "ORDER BY found.priority, found.run_at, found.id LIMIT given.share",
        "ORDER BY found.priority, found.run_at, found.id",
        T_HOLDS,
    ),
    Break("a line that skips its second", LINES, "'{{ordered,period}}'", "'{{period}}'", T_LINES),
    Break("a unique key that is never free", SUBMIT, "AND NOT ({_KEEPS})", "AND false", T_UNIQUE),
    Break(
        "a unique key that is always free",
        SUBMIT,
        "unique_key IS NOT NULL AND NOT ({_KEEPS})",
        "unique_key IS NOT NULL",
        T_UNIQUE,
    ),
    Break("an attempt too many", "kinds/retry.py", "or failures >= limit", "or failures > limit", T_RETRY),
    Break("an attempt too few", "kinds/retry.py", "or failures >= limit", "or failures >= limit - 1", T_RETRY),
    Break(
        "Abort tried again",
        "kinds/retry.py",
        "FINAL_ERRORS = (Abort, ArgumentError, ",
        "FINAL_ERRORS = (ArgumentError, ",
        T_RETRY,
    ),
    Break("a backoff that does not grow", "kinds/retry.py", "** (failures - 1))", "** 0)", T_RETRY),
    Break("a cancel of what runs", "actions/jobs.py", "if state != State.RUNNING]), reason)", "]), reason)", T_MOVES),
    Break(
        "a running job not asked",
        "actions/jobs.py",
        "for id, state in found if state == State.RUNNING]",
        "for id, state in found if state == State.WAITING]",
        T_MOVES,
    ),
    Break(
        "a retry by hand without an attempt",
        "actions/jobs.py",
        'F("attempt") - F("excused") + 1)',
        'F("attempt") - F("excused"))',
        T_MOVES,
    ),
    Break(
        "an expiry of what has begun",
        "dispatcher/expire.py",
        'f"NOT {HAS_BEGUN}"',
        '"1 = 1"',
        "integration/test_expiry.py",
    ),
    Break(
        "a snooze taken for a failure",
        "worker/child/verdict.py",
        "(State.PENDING, Outcome.SNOOZED, error.seconds,",
        "(State.PENDING, Outcome.FAILED, error.seconds,",
        T_RUNNER,
    ),
    Break(
        "a failure taken for a success",
        "worker/child/verdict.py",
        "state = State.FAILED if delay is None else State.PENDING",
        "state = State.SUCCEEDED if delay is None else State.PENDING",
        T_RUNNER,
    ),
    Break(
        "a job that was left forgotten",
        "worker/pool/assignments.py",
        "lost = self.give_up(self.rest(pid))",
        "lost: list[Claimed] = []",
        T_ASSIGNED,
    ),
    Break(
        "a transaction settled by nobody",
        "worker/child/runner.py",
        "elif not statements.on(connection).settle(connection, [_success(current, started, result)]):",
        "elif False:",
        "integration/test_transactional.py",
    ),
    Break(
        "a wake-up before the commit",
        "submission/submit.py",
        "transaction.on_commit(wake, using=router.db_for_write(Job), robust=True)",
        "wake()",
        T_WAKE,
    ),
    Break("a wake-up lost", "locks/wakeup.py", "_client.publish(CHANNEL, why)", "_client.ping()", T_WAKE),
    Break(
        "a submit beside the transaction",
        "submission/submit.py",
        "return connections[router.db_for_write(Job)]",
        "return connections[router.db_for_write(Job)].copy()",
        T_SUBMIT,
    ),
    Break(
        "failed on the first death",
        "dispatcher/rescue.py",
        "State.FAILED if delay is None else State.PENDING",
        "State.FAILED",
        T_RESCUE,
    ),
    Break(
        "a rescue without an end",
        "dispatcher/rescue.py",
        "State.FAILED if delay is None else State.PENDING",
        "State.PENDING",
        T_RESCUE,
    ),
    Break(
        "a rescue of the living",
        "dispatcher/rescue.py",
        "~Exists(living), state=State.RUNNING",
        "state=State.RUNNING",
        T_RESCUE,
    ),
    Break(
        "a rescue that forgets",
        "dispatcher/rescue.py",
        "self._settle([self._verdict(job) for job in orphans])",
        "self._settle([])",
        T_RESCUE,
    ),
    Break(
        "a silenced logger left",
        "worker/child/afresh.py",
        "(logging.NOTSET, False, now[2])",
        "now",
        "unit/test_afresh.py",
    ),
    Break(
        "a process left as a handler left it",
        "worker/child/afresh.py",
        "if read() != first:",
        "if False:",
        "unit/test_afresh.py",
    ),
    Break(
        "a broker lost while connecting slept through",
        "worker/celery/consumer.py",
        "except c.connection_errors:\n                raise",
        "except ZeroDivisionError:\n                raise",
        "unit/test_delayed_delivery.py",
    ),
    Break(
        "a lowered limit exceeded",
        "dispatcher/admission.py",
        "if len(taken) >= limit.slots:",
        "if False:",
        "integration/test_limits_model.py",
    ),
    Break("a changed limit that reaches nobody", "dispatcher/changes.py", "if _changed(one):", "if False:", T_CHANGED),
    Break(
        "a clock set back that mends nothing",
        "dispatcher/clock.py",
        "changed = statements.on(connection).set_back(connection, before) + self._make_due(before)",
        "changed = 0",
        T_CLOCK,
    ),
    Break(
        "a step between two leaders missed",
        "dispatcher/clock.py",
        "return -behind if behind > TOLERANCE else 0.0",
        "return 0.0",
        T_CLOCK,
    ),
    Break(
        "pruning by a clock set forward",
        "dispatcher/clock.py",
        "return time.monotonic() < self._leapt_at + SHOWN",
        "return False",
        T_CLOCK,
    ),
    Break(
        "a lease ended by a step of the clock",
        "dispatcher/rescue.py",
        "if now - self._seen[id][1] >= (until - heartbeat).total_seconds():",
        "if (Worker.objects.filter(pk=id, lease_until__lt=Now()).exists()):",
        T_CLOCK,
    ),
    Break(
        "no grace after an outage",
        "dispatcher/rescue.py",
        "            self._seen = {}\n        over",
        "            pass\n        over",
        T_CLOCK,
    ),
    Break("a secret told by a handler", "kinds/masks.py", "else self._pattern.sub(MASK, text)", "else text", T_MASKS),
    Break(
        "a secret told in JSON",
        "kinds/masks.py",
        "return [self._value(part) for part in value]",
        "return value",
        T_MASKS,
    ),
    Break(
        "a locked row that holds all up",
        "worker/ledger/put_off.py",
        "suspects = batch.jobs if all else batch.jobs & self._locked if self._locked else set()",
        "suspects: set[str] = set()",
        f"{T_LOCKED}::test_a_worker_puts_off_what_is_locked",
    ),
    Break(
        "a lock forgotten before it is gone",
        "worker/ledger/put_off.py",
        "self._locked = (self._locked - suspects) | locked",
        "self._locked = locked",
        f"{T_LOCKED}::test_a_lock_is_remembered_until_the_row_is_seen_free",
    ),
    Break(
        "a shortage taken for the message's fault",
        "worker/shortage.py",
        "isinstance(error, OSError) and error.errno in _USED_UP",
        "False",
        "unit/test_handling.py unit/test_turns.py",
    ),
    Break(
        "times that nobody guards",
        "statements/guards.py",
        "if isinstance(field, DateTimeField):",
        "if False:",
        "integration/test_guards.py",
    ),
    Break(
        "what has begun expires",
        RUNS,
        "expires_at > clock_timestamp() OR {HAS_BEGUN})",
        "expires_at > clock_timestamp())",
        "integration/test_expiry.py",
    ),
    Break(
        "a released job's cancel forgotten",
        RUNS,
        "state = CASE WHEN cancel_requested_at IS NULL THEN 'pending' ELSE 'cancelled' END,",
        "state = 'pending',",
        T_MOVES,
    ),
    Break(
        "an environment left behind",
        "worker/child/afresh.py",
        '    ("environment", lambda: (id(os.environ), dict(os.environ)), _put_back_environment),\n',
        "",
        T_AFRESH,
    ),
    Break(
        "children left behind",
        "worker/child/afresh.py",
        "if self._left_children > MOST_LEFT:",
        "if False:",
        T_AFRESH,
    ),
    Break(
        "somebody else's queue deleted",
        "rabbitmq/broker.py",
        "except TimeoutError:\n            self._stuck[queue.name] += 1",
        "except (TimeoutError, amqp.ChannelError):\n            self._stuck[queue.name] += 1",
        "integration/test_foreign_queues.py",
    ),
    Break(
        "a permission that stays with a bulk action",
        "actions/bulk.py",
        "if (user is not None and not may_act(user)) or",
        "if",
        "integration/test_bulk.py",
    ),
    Break(
        "a secret that may be searched",
        "actions/selection.py",
        "if KEY in json.dumps(value, ensure_ascii=False):",
        "if False:",
        "integration/test_selection.py",
    ),
    Break(
        "a duty that bars those after it",
        "dispatcher/process.py",
        "            except BrokerError as error:\n                away = error\n",
        "            except BrokerError:\n                raise\n",
        "integration/test_duties.py",
    ),
    Break(
        "a duty that ends the round",
        "dispatcher/process.py",
        'troubles.failed(f"{name} of the dispatcher", error)\n            return 0',
        'troubles.failed(f"{name} of the dispatcher", error)\n            raise',
        "integration/test_duties.py",
    ),
    Break(
        "a bridge that acknowledges first",
        "bridges/process.py",
        "            self.take(arrived)\n            self._inbox.acknowledge(arrived)\n",
        "            self._inbox.acknowledge(arrived)\n            self.take(arrived)\n",
        "integration/test_bridges.py",
    ),
    Break(
        "an event before its commit",
        "events/publish.py",
        "    return int(newest.pk)\n",
        "    import datetime\n    from furrow.rabbitmq.events import EventPublisher\n"
        "    from furrow.statements import Outgoing\n    now = datetime.datetime.now(datetime.UTC)\n"
        "    EventPublisher({}).send([Outgoing(newest.pk, newest.name, None, None, '{}', depth, now)])\n"
        "    return int(newest.pk)\n",
        f"{T_EVENTS}::test_nobody_hears_of_an_event_before_its_commit",
    ),
    Break(
        "an event dropped at a dispatcher's death",
        "dispatcher/outbox.py",
        "            confirmed = self._publisher.send(found)\n",
        "            sql.mark_published(connection, [event.id for event in found], term)\n"
        "            confirmed = self._publisher.send(found)\n",
        f"{T_EVENTS}::test_who_dies_before_rabbitmq_has_an_event_loses_none",
    ),
    Break(
        "an event without its delivery",
        "dispatcher/outbox.py",
        "                deliveries.of([event for event in found if event.id in done])\n",
        "",
        "integration/test_webhooks.py::test_each_event_that_matches_is_delivered_once_and_signed",
    ),
    Break("log lines that a crash loses", RUNS, "durable=ends or bool(group.logs or group.output)", "durable=ends", T_RACES),
    Break(
        "a join that counts twice",
        "workflows/round.py",
        "child.unmet -= fates[edge.pk]",
        "child.unmet -= 2 * fates[edge.pk]",
        T_FLOWS,
    ),
    Break(
        "a node that runs though what it waits for cannot come",
        "workflows/round.py",
        "            if not fates[edge.pk]:\n",
        "            if False:\n",
        T_FLOWS,
    ),
    Break(
        "a move that is counted again", f"{PG}/graph.py", "DELETE FROM {MOVE} WHERE", "UPDATE {MOVE} SET id = id WHERE", T_FLOWS
    ),
    Break(
        "a stale run that adds",
        "workflows/current.py",
        "if not Job.objects.filter(pk=run.id,",
        "if False and Job(pk=run.id,",
        T_FLOWS,
    ),
    Break(
        "a retry that leaves what was skipped",
        "workflows/round.py",
        "self._nodes[edge.child].unmet += edge.met is True",
        "pass",
        T_FLOWS,
    ),
    Break(
        "a tick that fires twice",
        "schedules/firing.py",
        "for job in one.jobs.values() if job in won]",
        "for job in one.jobs.values()]",
        "integration/test_schedules.py::test_a_time_that_had_its_job_gets_no_second_one_when_the_clock_is_set_back",
    ),
    Break(
        "a backfill that two leaders move",
        "backfills/moving.py",
        "        if here.first() is None:\n",
        "        if False and here.first() is None:\n",
        f"{T_BACKFILLS}::test_two_that_believe_to_lead_give_each_row_one_job",
    ),
    Break(
        "a backfill that repeats the last row",
        "backfills/moving.py",
        "found.filter(pk__gt=key_of",
        "found.filter(pk__gte=key_of",
        f"{T_BACKFILLS}::test_rows_are_put_together_and_the_rate_and_the_jobs_ahead_are_kept",
    ),
    Break(
        "a tick that is left out",
        "schedules/plan.py",
        "        return [Due(at) for at in islice(times.between(first - TINY, end), MOST)]\n",
        "        return [Due(at) for at in islice(times.between(first, end), MOST)]\n",
        "integration/test_schedules.py::test_a_time_that_has_come_is_one_job_and_the_next_one_follows",
    ),
    Break(
        "a zombie's step that is recorded",
        "steps/recorder.py",
        "        if not (mine if self._transactional else",
        "        if False and not (mine if self._transactional else",
        T_STEPS,
    ),
    Break("a step in another's place", "steps/recorder.py", "if row.position == place and", "if row.position < 0 and", T_STEPS),
    Break(
        "a signal that is taken twice",
        "steps/recorder.py",
        "signal.consumed_at, signal.step = self.now(), row.name",
        "signal.step = row.name",
        T_STEPS,
    ),
    Break(
        "a sleep that is none", "steps/acts.py", "(left := self._left(row)) > 0:", "(left := self._left(row)) > 1e9:", T_STEPS
    ),
    Break(
        "a signal that comes while a run ends",
        "statements/postgresql/runs.py",
        'given["awaken"] = _AWAKEN, (plain(snoozed),)',
        "pass",
        "integration/test_steps_races.py",
    ),
    Break(
        "a caller that nobody wakes",
        "workflows/calls.py",
        "Job.objects.filter(pk__in=due, run_at__gt=Now()).update(run_at=Now())",
        "pass",
        T_STEPS,
    ),
    Break(
        "a decision by anybody",
        "approvals/deciding.py",
        "if is_user and (reason :=",
        "if not is_user and (reason :=",
        T_APPROVALS,
    ),
    Break(
        "a first person decides",
        "approvals/deciding.py",
        "approval.second_person and approval.asked_by_id is not None",
        "not approval.second_person and approval.asked_by_id is not None",
        T_APPROVALS,
    ),
    Break(
        "a decision for a job that has ended",
        "approvals/deciding.py",
        'if state in FINAL:\n        return f"its job',
        'if not state:\n        return f"its job',
        T_APPROVALS,
    ),
    Break(
        "a restart that is told the old rejection",
        "approvals/asking.py",
        "if _WAITS.format(name) not in ended:",
        "if _WAITS.format(name) not in ended or ended:",
        T_APPROVALS,
    ),
]
