"""What the documentation names exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?://)([^)#\s]+)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_test_that_proves_a_guarantee_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs" / "guarantees.md").read_text()))
    text = "\n".join(file.read_text() for file in (ROOT / "tests").rglob("test_*.py"))
    known = set(re.findall(r"^\s*(?:async )?def (test_\w+)", text, re.MULTILINE)) | set(
        re.findall(r"^(test_\w+) =", text, re.MULTILINE)
    )
    assert named
    assert named - known == set()


def test_the_readme_names_every_variable_and_no_other() -> None:
    settings = (ROOT / "platform" / "config" / "settings.py").read_text()
    read = set(re.findall(r'(?:env\.\w+|_number|environ\.get)\(\s*"(\w+)"', settings))
    table = (ROOT / "README.md").read_text().partition("## Configuration")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE)) == read
