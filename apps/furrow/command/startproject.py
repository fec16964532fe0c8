"""``furrow startproject``: a new Django project that uses Furrow, from ``project_template``. It needs no project to run in."""

from argparse import ArgumentParser
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.core.management.templates import TemplateCommand

TEMPLATE = Path(__file__).resolve().parents[1] / "project_template"
#: What in it is rendered besides Python.
RENDERED = ["dot-env.example"]
#: The name of the application that the new project has besides.
EXAMPLES = "examples"


class Command(TemplateCommand):
    """Writes it, as Django's ``startproject`` writes its own; nothing that is there is touched."""

    help = "Write a new Django project that uses Furrow: a small one, to be changed."
    rewrite_template_suffixes = (
        *TemplateCommand.rewrite_template_suffixes,
        ("dot-gitignore", ".gitignore"),
        ("dot-env.example", ".env.example"),
    )

    app_or_project, a_or_an = "project", "a"  # of which the name is spoken
    checked = ""

    def validate_name(self, name: str, name_or_dir: str = "name") -> None:
        """Once, before the folder is there: for Python that is a module of this name."""
        if name != self.checked:
            super().validate_name(name, name_or_dir)
            self.checked = name

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The name, and where."""
        parser.add_argument("name", help="the project's, a Python identifier such as shop")
        parser.add_argument("folder", nargs="?", help="where it is written; default: a new folder of this name")

    def handle(self, *args: Any, name: str, folder: str | None, **options: Any) -> None:  # type: ignore[override]
        """Write the project."""
        target = Path(folder or name)
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise CommandError(f"{target} is there, and it is not an empty folder: name another one.")
        self.validate_name(name)
        if name == EXAMPLES:
            raise CommandError(f"{name!r} cannot be the project's name: its first application is called so.")
        try:
            target.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CommandError(f"{target} cannot be made: {error}.") from None
        chosen = {"template": str(TEMPLATE), "extensions": ["py,md,txt,yml"], "files": RENDERED, "furrow_version": _version()}
        super().handle("project", name, str(target), **options | chosen)
        self.stdout.write(f"{target} has a new project. Next: cd {target} && make demo")


def _version() -> str:
    try:
        return version("furrow-jobs")
    except PackageNotFoundError:  # run from its folder, not installed
        return "*"
