"""Finding source files: what is listed, what is entered, what is passed over and said."""

import os
import sysconfig
from pathlib import Path

import pytest

from tasks.source.listing import Source, default_folders, list_sources


def make(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def names(root: Path, *folders: Path, limit: int | None = None) -> list[str]:
    return [os.path.relpath(source.path, root) for source in list_sources([str(f) for f in folders or [root]], limit).sources]


def test_files_and_their_packages(tmp_path: Path) -> None:
    make(tmp_path, "single.py", "pack/__init__.py", "pack/deep/er/a.py", "readme.txt", "b.pyc", "pack/c.PY")
    assert list_sources([str(tmp_path)]).sources == [
        Source(str(tmp_path / "pack/__init__.py"), "pack"),
        Source(str(tmp_path / "pack/deep/er/a.py"), "pack"),
        Source(str(tmp_path / "single.py"), "single"),
    ]


def test_a_folder_that_is_a_package_is_one_package(tmp_path: Path) -> None:
    make(tmp_path, "pack/__init__.py", "pack/sub/a.py", "pack/b.py")
    assert {source.package for source in list_sources([str(tmp_path / "pack")]).sources} == {"pack"}


def test_overlapping_folders_list_a_file_once(tmp_path: Path) -> None:
    make(tmp_path, "a/x.py", "a/b/y.py")
    assert names(tmp_path, tmp_path / "a/b", tmp_path, tmp_path / "a", tmp_path / "a" / ".." / "a") == ["a/b/y.py", "a/x.py"]


def test_relative_folders_become_absolute_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "a/x.py")
    monkeypatch.chdir(tmp_path)
    assert [source.path for source in list_sources(["a"]).sources] == [str(tmp_path / "a/x.py")]


@pytest.mark.parametrize(("limit", "expected"), [(1, ["a.py"]), (2, ["a.py", "b.py"]), (9, ["a.py", "b.py", "c.py"])])
def test_limit(tmp_path: Path, limit: int, expected: list[str]) -> None:
    make(tmp_path, "c.py", "a.py", "b.py")
    assert names(tmp_path, limit=limit) == expected


def test_hidden_and_linked_folders_are_not_entered(tmp_path: Path) -> None:
    make(tmp_path, "a/x.py", ".venv/y.py")
    (tmp_path / "a/loop").symlink_to(tmp_path)
    assert names(tmp_path) == ["a/x.py"]


def test_what_only_has_the_name_of_a_source_is_listed(tmp_path: Path) -> None:
    make(tmp_path, "folder.py/inside.py")
    (tmp_path / "dangling.py").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe.py")
    assert names(tmp_path) == ["dangling.py", "folder.py", "folder.py/inside.py", "pipe.py"]


def test_a_name_that_is_no_text_is_passed_over_and_said(tmp_path: Path) -> None:
    make(tmp_path, "good.py")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff.py")).touch()
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/bad\xfe"))
    folder.mkdir()
    make(folder, "inner.py")
    listing = list_sources([str(tmp_path)])
    assert [source.path for source in listing.sources] == [str(tmp_path / "good.py")]
    assert listing.skipped == [
        f"{tmp_path}/bad\\xfe/inner.py: the name is not text, so it cannot be stored",
        f"{tmp_path}/bad\\xff.py: the name is not text, so it cannot be stored",
    ]


def test_odd_names_that_are_text(tmp_path: Path) -> None:
    make(tmp_path, "new\nline.py", "späße 🐄.py", "[bold]x.py", ".py")
    assert len(names(tmp_path)) == 4


def test_a_folder_that_cannot_be_listed_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "a/x.py", "b/y.py")
    real = os.scandir

    def scandir(path: str) -> object:
        if path.endswith("/b"):
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    listing = list_sources([str(tmp_path)])
    assert [source.package for source in listing.sources] == ["a"]
    assert listing.skipped == [f"{tmp_path}/b: the folder cannot be listed (Permission denied)"]


def test_a_thousand_folders_deep(tmp_path: Path) -> None:
    path = tmp_path
    for _ in range(1_000):
        path = path / "d"
        os.mkdir(path)
    (path / "deep.py").touch()
    assert len(names(tmp_path)) == 1
    # Not left to pytest: its clean-up is recursive.
    (path / "deep.py").unlink()
    while path != tmp_path:
        path.rmdir()
        path = path.parent


def test_by_default_the_standard_library_without_what_is_installed_inside_it() -> None:
    library, *others = default_folders()
    assert library == sysconfig.get_path("stdlib")
    assert others
    found = list_sources([library]).sources
    assert not [source for source in found if "-packages" in source.path]
    assert {"json", "email", "ast", "asyncio"} <= {source.package for source in found}
