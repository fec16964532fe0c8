"""Random sequences of moves of a lock, played on a real Redis by its scripts, and on a model of a dozen lines. Both must agree
after each move: who holds, under which token, and who stands in line, in which order."""

from typing import Any

import pytest
from furrow.locks import client
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

PREFIX = "furrow-model:"
KEYS = [PREFIX + part for part in ("state", "line", "epoch", "index")]
LEASE = 60_000
pytestmark = pytest.mark.engine


class Model(RuleBasedStateMachine):
    """``holders``: holder -> token, or ``None`` as long as nobody has looked; ``line``: who waits, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.redis: Any = client.client()
        self.redis.delete(*KEYS)
        self.ears: Any = self.redis.pubsub()  # type: ignore[no-untyped-call]
        self.holders: dict[str, int | None] = {}
        self.expired: set[str] = set()
        self.broken: set[str] = set()
        self.line: list[str] = []
        self.alive: set[str] = set()
        self.tickets: dict[str, str] = {}
        self.number, self.tokens, self.epochs = 0, 0, 1

    def teardown(self) -> None:
        """Leave nothing behind."""
        self.ears.close()
        self.redis.delete(*KEYS)

    @initialize(limit=st.integers(1, 3))
    def begin(self, limit: int) -> None:
        """A lock or a semaphore."""
        self.limit = limit
        client.run("begin", [KEYS[2]], [1, "1"])

    # --- moves --------------------------------------------------------------------------------------------------------------

    @rule()
    def tries(self) -> None:
        """Somebody tries to take it."""
        self._takes(self._somebody(), "")

    @rule(lives=st.lists(st.booleans(), min_size=1, max_size=4))
    def wait(self, lives: list[bool]) -> None:
        """Some stand in line for it, and some of them die there: their connections are gone, their places are not."""
        for alive in lives:
            holder = self._somebody()
            self._listens(holder)
            self._takes(holder, "0")
            if not alive:
                self._dies(holder)

    @precondition(lambda self: self.line)
    @rule(data=st.data())
    def looks(self, data: Any) -> None:
        """One of those in line looks by itself."""
        holder = data.draw(st.sampled_from(self.line))
        if holder in self.alive:
            self._takes(holder, self.tickets[holder])

    @precondition(lambda self: self.line)
    @rule(data=st.data())
    def gives_up(self, data: Any) -> None:
        """One that waits leaves the line."""
        holder = data.draw(st.sampled_from(self.line))
        self.line.remove(holder)
        assert self._release(holder, "") == 0

    @precondition(lambda self: self.holders)
    @rule(data=st.data(), by_token=st.booleans())
    def gives_back(self, data: Any, by_token: bool) -> None:
        """A holder gives it back, or somebody who knows its token does."""
        holder = data.draw(st.sampled_from(sorted(self.holders)))
        was = holder not in self.expired
        token = self._tokens().get(holder, "1")
        self.holders.pop(holder)
        self.expired.discard(holder)
        assert self._release("" if by_token else holder, token) == was

    @rule()
    def gives_back_what_it_has_not(self) -> None:
        """A token that nobody holds."""
        assert self._release("", "7") == 0

    @precondition(lambda self: self.holders)
    @rule(data=st.data())
    def expires(self, data: Any) -> None:
        """A lease ends; nobody notices until somebody looks."""
        holder = data.draw(st.sampled_from(sorted(self.holders)))
        for slot, text in self.redis.hgetall(KEYS[0]).items():
            if text.endswith(" " + holder):
                self.redis.hset(KEYS[0], slot, "1 " + text.split(" ", 1)[1])
                self.expired.add(holder)

    @precondition(lambda self: self.holders)
    @rule(data=st.data(), broken=st.booleans())
    def renews(self, data: Any, broken: bool) -> None:
        """A holder renews; perhaps somebody broke its lease before."""
        holder = data.draw(st.sampled_from(sorted(self.holders)))
        slot, token = next(((s, t[1]) for s, t in self._slots().items() if t[4] == holder), ("0", "7"))
        if broken:
            assert client.run("break", KEYS[:1], [token]) == 1
            self.broken.add(holder)
        answer = client.run("renew", KEYS[:1], [LEASE, slot, token])
        assert answer == [int(holder not in self.broken and holder not in self.expired)]
        assert client.run("renew", KEYS[:1], [LEASE, slot, "7"]) == [0]

    @rule(how=st.sampled_from(["emptied", "restarted", "older"]))
    def begins_anew(self, how: str) -> None:
        """Redis is emptied, or is another server, or an older one: no token before a new epoch, and then a greater one."""
        if how == "emptied":
            self.redis.delete(*KEYS)
            self.holders, self.line = {}, []
            self.expired, self.broken, self.tickets = set(), set(), {}
        elif how == "older":
            self.redis.hset(KEYS[2], "counter", 0)
        self.redis.hset(KEYS[2], "run", "another")
        answer = client.run("acquire", KEYS, [self._somebody(), LEASE, self.limit, "", "x"])
        assert answer[0] == -1
        self.epochs += 1
        assert client.run("begin", [KEYS[2]], [self.epochs, ""]) == 1
        assert client.run("begin", [KEYS[2]], [self.epochs + 1, ""]) == 0, "once is enough"
        waits = client.run("acquire", KEYS, [self._somebody(), LEASE, self.limit, "", "x"])
        self._look(None)
        assert waits[0] == 0, "nobody gets it until the leases from before are over"
        self.redis.hset(KEYS[2], "since", 0)

    # --- the model ----------------------------------------------------------------------------------------------------------

    def _takes(self, holder: str, ticket: str) -> None:
        answer = client.run("acquire", KEYS, [holder, LEASE, self.limit, ticket, "x"])
        if ticket and holder not in self.line:
            self.line.append(holder)
        self._look(holder)
        gets = len(self.holders) < self.limit
        if gets:
            self.holders[holder] = None
            if holder in self.line:
                self.line.remove(holder)
        else:
            self.tickets[holder] = answer[2]
        assert answer[0] == int(gets)

    def _release(self, holder: str, token: str) -> int:
        released = client.run("release", KEYS, [holder, token, "x", LEASE])
        self._look(None)
        self._serve(None)
        return int(released)

    def _look(self, whom: str | None) -> None:
        """What every look does first: forget what has expired; and serve those in line."""
        for holder in self.expired:
            self.holders.pop(holder, None)
        self.expired.clear()
        if whom is not None:
            self._serve(whom)

    def _serve(self, whom: str | None) -> None:
        while self.line and self.line[0] != whom and len(self.holders) < self.limit:
            first = self.line.pop(0)
            if first in self.alive:
                self.holders[first] = None

    def _somebody(self) -> str:
        self.number += 1
        return f"host:1:a/w{self.number}.1"

    def _listens(self, holder: str) -> None:
        self.alive.add(holder)
        self.ears.subscribe(self._channel(holder))
        self._confirmed("subscribe")

    def _dies(self, holder: str) -> None:
        self.alive.discard(holder)
        self.ears.unsubscribe(self._channel(holder))
        self._confirmed("unsubscribe")

    def _confirmed(self, what: str) -> None:
        while (message := self.ears.get_message(timeout=5)) is None or message["type"] != what:
            assert message is not None, "Redis confirms it"

    def _channel(self, holder: str) -> str:
        return PREFIX + "wake:" + holder.partition("/")[2].partition(".")[0]

    def _slots(self) -> dict[str, list[str]]:
        fields = self.redis.hgetall(KEYS[0])
        return {slot: text.split(" ", 4) for slot, text in fields.items() if slot != "limit"}

    def _tokens(self) -> dict[str, str]:
        return {text[4]: text[1] for text in self._slots().values()}

    @invariant()
    def they_agree(self) -> None:
        """The scripts did what the model says."""
        slots = self._slots()
        tokens = self._tokens()
        assert set(tokens) == set(self.holders)
        assert len(slots) <= self.limit
        assert all(0 <= int(slot) < self.limit for slot in slots)
        assert self.redis.zrange(KEYS[1], 0, -1) == self.line
        for holder, token in tokens.items():
            known = self.holders[holder]
            assert known in (None, int(token)), "a token does not change"
        new = sorted(int(tokens[holder]) for holder, known in self.holders.items() if known is None)
        assert all(token > self.tokens for token in new)
        self.tokens = max([self.tokens, *new])
        self.holders = {holder: int(tokens[holder]) for holder in self.holders}


def test_moves_of_a_lock() -> None:
    """All of the above, many times."""
    many = settings(
        max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
    )
    run_state_machine_as_test(Model, settings=many)
