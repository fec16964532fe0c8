"""Parts of the campaign: the schedule, the records, the network that is cut, the command's errors."""

import itertools
import random
import socket
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from deploy.services import Service
from django.core.management import CommandError, call_command
from furrow.prove import records, schedule
from furrow.prove.command import Command
from furrow.prove.faults.base import FAULTS, possible
from furrow.prove.proxy import Network

ALL = list(FAULTS.values())


def drawn(seed: int, rounds: int) -> list[list[str]]:
    """The names of so many rounds."""
    return [[fault.name for fault in faults] for faults in itertools.islice(schedule.rounds(ALL, seed), rounds)]


def test_a_seed_means_the_same_again() -> None:
    assert drawn(7, 200) == drawn(7, 200)
    assert drawn(7, 200) != drawn(8, 200)


def test_every_kind_comes_before_any_comes_again_and_pairs_do_not_collide() -> None:
    rounds = drawn(random.randrange(1000), len(ALL))
    assert {names[0] for names in rounds} == set(FAULTS)
    for names in rounds:
        touched = [FAULTS[name].touches for name in names]
        assert len(names) == 1 or not touched[0] & touched[1]


def test_sqlite_has_no_database_server_to_hit() -> None:
    assert len(possible("postgresql")) >= len(possible("sqlite")) >= 12
    assert not any("postgres" in name for name in possible("sqlite"))
    assert all(fault.doc for fault in ALL)


def test_a_line_that_its_writer_did_not_finish_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(records.FOLDER, str(tmp_path))
    record = records.Record("effects")
    record.write(did="begin", job="a")
    record.write(did="end", job="a")
    (file,) = (tmp_path / "effects").iterdir()
    file.write_bytes(file.read_bytes() + b'{"did":"beg')
    assert [line["did"] for line in records.read(tmp_path, "effects")] == ["begin", "end"]


# --- the network ------------------------------------------------------------------------------------------------------------


class Wire:
    """A client and a server with a link between them."""

    def __init__(self) -> None:
        self.network = Network()
        self.server = socket.create_server(("127.0.0.1", 0))
        self.server.settimeout(5)
        upstream: Any = SimpleNamespace(port=self.server.getsockname()[1])
        self.port = self.network.connect("client", "server", cast(Service, upstream))
        self.client = self.dial()
        self.accepted, _ = self.server.accept()
        self.accepted.settimeout(5)

    def dial(self) -> socket.socket:
        """Another connection from the client."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=5)


@pytest.fixture
def wire() -> Iterator[Wire]:
    made = Wire()
    made.client.sendall(b"hello")
    assert made.accepted.recv(10) == b"hello"
    yield made
    made.network.close()


def silent(connection: socket.socket) -> bool:
    """Nothing arrives for a tenth of a second, not even an end."""
    connection.settimeout(0.1)
    try:
        return connection.recv(10) is None
    except TimeoutError:
        return True
    finally:
        connection.settimeout(5)


def test_a_reset_ends_both_and_refuses_new_ones(wire: Wire) -> None:
    wire.network.cut("reset", server="server")
    for connection in (wire.client, wire.accepted):
        with pytest.raises(ConnectionResetError):
            connection.recv(10)
    with pytest.raises(ConnectionResetError):  # while it connects, or after that
        wire.dial().recv(10)
    wire.network.heal(server="server")
    again = wire.dial()
    again.sendall(b"again")
    accepted, _ = wire.server.accept()
    assert accepted.recv(10) == b"again"


def test_what_was_held_arrives_late(wire: Wire) -> None:
    wire.network.cut("hold", server="server", client="client")
    assert silent(wire.client)  # the cut is made in another thread
    wire.client.sendall(b"late")
    assert silent(wire.accepted)
    wire.network.heal(server="server")
    assert wire.accepted.recv(10) == b"late"


def test_half_open_the_client_is_told_when_it_is_over(wire: Wire) -> None:
    wire.network.cut("half", server="server")
    with pytest.raises(ConnectionResetError):
        wire.accepted.recv(10)
    assert silent(wire.client)
    wire.network.heal(server="server")
    with pytest.raises(ConnectionResetError):
        wire.client.recv(10)


def test_only_the_chosen_link_is_cut(wire: Wire) -> None:
    wire.network.cut("reset", server="server", client="somebody else")
    wire.network.cut("reset", server="another server")
    wire.client.sendall(b"still")
    assert wire.accepted.recv(10) == b"still"


# --- the command ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"faults": "kill_wroker"}, "'kill_wroker' cannot happen on postgresql; did you mean 'kill_worker'?"),
        ({"faults": "kill_postgres", "database": "sqlite"}, "'kill_postgres' cannot happen on sqlite"),
        ({"minutes": 0}, "--minutes 0: give more than 0"),
    ],
)
def test_a_wrong_option_is_refused_by_name(options: dict[str, Any], error: str) -> None:
    with pytest.raises(CommandError, match=error.replace("?", r"\?")):
        call_command(Command(), **options)


def test_the_faults_can_be_listed() -> None:
    out = StringIO()
    call_command(Command(), faults="list", stdout=out)
    assert out.getvalue().split() == possible("postgresql")
