"""The statements for PostgreSQL: arrays in, sets out, one round trip each."""

from furrow.statements.postgresql.changes import let_go, move_limits, set_rules, waited_for
from furrow.statements.postgresql.clock import clock, make_due, set_back
from furrow.statements.postgresql.dispatch import due, lead, mark_queued, prune, seconds_until_due, waiting, window
from furrow.statements.postgresql.events import mark_published, prune_events, tell_of_jobs, unpublished
from furrow.statements.postgresql.graph import (
    count_lost_jobs,
    drop_lost_moves,
    fill_in,
    follow_nodes,
    free_nodes,
    moves_wait,
    take_moves,
    unfollow_nodes,
)
from furrow.statements.postgresql.guards import guard, unguard
from furrow.statements.postgresql.holds import (
    candidates,
    heads,
    leads,
    park,
    release,
    seconds_until_candidate,
    slots,
    still_free,
    sweep,
    take,
    watched,
)
from furrow.statements.postgresql.link import prepare
from furrow.statements.postgresql.locked import locked, locker, lockers
from furrow.statements.postgresql.partitions import partition_keys, unended, workers_of
from furrow.statements.postgresql.rollups import count_cancelled, roll
from furrow.statements.postgresql.runs import claim, offered, release_jobs, settle, unknown, write
from furrow.statements.postgresql.schedules import insert_ticks, move_schedules
from furrow.statements.postgresql.sessions import end_sessions, name_session
from furrow.statements.postgresql.submit import forget_keys, insert_jobs, insert_unique, keepers, replace
from furrow.statements.postgresql.times import read_any_time
from furrow.statements.postgresql.troubles import tell
from furrow.statements.postgresql.turns import take_turns, tenants
from furrow.statements.postgresql.workers import (
    answer,
    asked,
    canaries,
    owned,
    register_worker,
    renew,
    stop_requests,
    stop_worker,
)

__all__ = [
    "answer",
    "asked",
    "canaries",
    "candidates",
    "claim",
    "clock",
    "count_cancelled",
    "count_lost_jobs",
    "drop_lost_moves",
    "due",
    "end_sessions",
    "fill_in",
    "follow_nodes",
    "forget_keys",
    "free_nodes",
    "guard",
    "heads",
    "insert_jobs",
    "insert_ticks",
    "insert_unique",
    "keepers",
    "lead",
    "leads",
    "let_go",
    "locked",
    "locker",
    "lockers",
    "make_due",
    "mark_published",
    "mark_queued",
    "move_limits",
    "move_schedules",
    "moves_wait",
    "name_session",
    "offered",
    "owned",
    "park",
    "partition_keys",
    "prepare",
    "prune",
    "prune_events",
    "read_any_time",
    "register_worker",
    "release",
    "release_jobs",
    "renew",
    "replace",
    "roll",
    "seconds_until_candidate",
    "seconds_until_due",
    "set_back",
    "set_rules",
    "settle",
    "slots",
    "still_free",
    "stop_requests",
    "stop_worker",
    "sweep",
    "take",
    "take_moves",
    "take_turns",
    "tell",
    "tell_of_jobs",
    "tenants",
    "unended",
    "unfollow_nodes",
    "unguard",
    "unknown",
    "unpublished",
    "waited_for",
    "waiting",
    "watched",
    "window",
    "workers_of",
    "write",
]
