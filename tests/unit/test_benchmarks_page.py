"""The page of the benchmarks' results, and its picture."""

import xml.etree.ElementTree as ET
from pathlib import Path

from benchmarks import page
from benchmarks.report import Row

BAR = "{http://www.w3.org/2000/svg}path"
ABOUT = {
    "date": "2026-11-22",
    "cores": 2,
    "memory_gib": 24,
    "system": "Linux 6",
    "others_percent": 0,
    "seconds": 9,
    "versions": {},
}


def row(peer: str, metric: str, median: float) -> Row:
    return Row(peer=peer, metric=metric, unit="", median=median, min=median / 2, max=median * 2, runs=3)


def test_a_run_is_put_between_the_marks_with_its_picture(tmp_path: Path) -> None:
    text = tmp_path / "benchmarks.md"
    text.write_text(f"before\n{page.BEGIN}\nold\n{page.END}\nafter\n")
    rows = [row("furrow", "drain", 8_000), row("celery-early", "drain", 2_000), row("furrow", "end_to_end", 5_000)]
    left_out = {"bullmq": "could not install bullmq==1: no such thing\nat length"}
    page.update(text, rows, {**ABOUT, "left_out": left_out})

    written = text.read_text()
    assert written.startswith("before\n")
    assert written.endswith("after\n")
    assert "old" not in written
    assert "| drain, furrow | celery-early | 2.5 x | 4.00 x | reached |" in written
    assert "Left out: `bullmq`, could not install bullmq==1: no such thing." in written
    assert page.PICTURE in written
    picture = ET.parse(tmp_path / page.PICTURE)
    assert len(list(picture.iter(BAR))) == len(rows), "a bar for each that was measured, none for what was not"


def test_without_any_result_there_is_still_a_page(tmp_path: Path) -> None:
    text = tmp_path / "benchmarks.md"
    text.write_text(page.BEGIN + page.END)
    page.update(text, [], {**ABOUT, "left_out": {}})
    assert str(ABOUT["date"]) in text.read_text()
