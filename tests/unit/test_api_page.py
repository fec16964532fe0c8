"""The reference says what the docstrings say."""

import furrow

from tests.api_page import COMMAND, PAGE, page


def test_the_reference_is_up_to_date() -> None:
    assert PAGE.read_text() == page(), f"docs/api.md is stale: run {COMMAND}"


def test_the_reference_has_every_public_name() -> None:
    headings = [line.split()[-1] for line in PAGE.read_text().splitlines() if line.startswith("### ")]
    assert sorted(headings) == sorted(furrow.__all__)
