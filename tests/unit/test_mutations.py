"""The list of breaks must not rot: each still has its place in the engine, and its tests are there."""

import ast

from tests.mutations.breaks import BREAKS, ROOT


def test_each_break_has_its_place_and_its_tests() -> None:
    assert len({one.name for one in BREAKS}) == len(BREAKS) >= 40
    for one in BREAKS:
        text = (ROOT / one.path).read_text()
        assert text.count(one.old) == 1, f"{one.name}: {one.old!r} occurs {text.count(one.old)} times in {one.path}"
        ast.parse(text.replace(one.old, one.new))
        for test in one.tests.split():
            assert (ROOT / "tests" / test.partition("::")[0]).is_file(), f"{one.name}: there is no {test}"
