"""The pictures of the admin: each in three looks, each shown on their page."""

import re
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "screenshots"


def test_each_picture_is_there_in_light_in_dark_and_on_a_phone_and_is_shown() -> None:
    shown = set(re.findall(r"\]\(([\w-]+\.png)\)", (FOLDER / "README.md").read_text()))
    there = {path.name for path in FOLDER.glob("*.png")}
    assert there == shown
    names = {name.rpartition("-")[0] for name in there}
    assert {f"{name}-{look}.png" for name in names for look in ("light", "dark", "phone")} == there


def test_the_gallery_takes_just_these() -> None:
    pages = (FOLDER.parents[1] / "tests" / "gallery" / "pages.py").read_text()
    taken = set(re.findall(r'Picture\(\s*"([\w-]+)"', pages))
    assert taken == {path.name.rpartition("-")[0] for path in FOLDER.glob("*.png")}
