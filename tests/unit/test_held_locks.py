"""The table of locks that pool processes share with their worker."""

import os

from furrow.worker.held_locks import LOST, MOST, HeldLocks


def test_what_one_process_writes_another_reads() -> None:
    table = HeldLocks()
    child = os.fork()
    if child == 0:
        place = table.add(7, os.getpid(), "lock:" + "ö" * 100, 3, 12 * 10**12 + 5, 99.5)
        os._exit(0 if place is not None else 1)
    assert os.waitpid(child, 0)[1] == 0
    (row,) = table.rows()
    assert row[1:] == (12 * 10**12 + 5, 99.5, child, 3, "lock:" + "ö" * 100)
    table.extend(row, 120.0)
    assert table.until(row.place) == 120.0
    table.extend(row._replace(token=1), LOST)
    assert table.until(row.place) == 120.0, "a row that was given to another lock meanwhile is left alone"
    table.clear(row.place)
    assert list(table.rows()) == []


def test_a_process_has_so_many_rows() -> None:
    table = HeldLocks()
    places = [table.add(0, 1, f"lock:{n}", 0, n + 1, 1.0) for n in range(MOST)]
    assert table.add(0, 1, "lock:more", 0, 99, 1.0) is None
    assert table.add(1, 2, "lock:other", 0, 100, 1.0) is not None
    assert places[3] is not None
    table.clear(places[3])
    assert table.add(0, 1, "lock:more", 0, 101, 1.0) == places[3]
    assert [row.label for row in table.rows()].count("lock:more") == 1
    assert len(list(table.rows())) == MOST + 1
