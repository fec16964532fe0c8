"""The console script ``furrow``, and ``python -m furrow``: as ``manage.py furrow``, in a project's folder."""

import os
import re
import sys
from pathlib import Path

from furrow.command.remote import is_asked_for

#: What needs no project.
ANYWHERE = ("startproject", "--help", "-h")


def main() -> None:
    """Run a command in the project of this folder."""
    words = sys.argv[1:]
    sys.path.insert(0, os.getcwd())
    is_remote = words[:1] in (["jobs"], ["schedules"]) and is_asked_for(words)
    if is_remote:
        os.environ.pop("DJANGO_SETTINGS_MODULE", None)  # nothing of a project is looked at
    elif "DJANGO_SETTINGS_MODULE" not in os.environ and (settings := _settings()):
        os.environ["DJANGO_SETTINGS_MODULE"] = settings
    if not words or words[0] in ANYWHERE or is_remote:
        from furrow.management.commands.furrow import Command

        Command().run_from_argv(["furrow", "furrow", *words])
        return
    if "DJANGO_SETTINGS_MODULE" not in os.environ:
        sys.exit(
            "furrow: no manage.py in this folder names the settings. Run furrow in the project's folder, or set "
            "DJANGO_SETTINGS_MODULE. To create a project: furrow startproject shop"
        )
    from django.core.management import ManagementUtility

    utility = ManagementUtility(["furrow", "furrow", *words])
    utility.prog_name = "furrow"
    utility.execute()


def _settings() -> str:
    """What the folder's manage.py names."""
    try:
        text = Path("manage.py").read_text()
    except OSError:
        return ""
    found = re.search(r"""DJANGO_SETTINGS_MODULE["'], *["']([\w.]+)["']""", text)
    return found[1] if found else ""


if __name__ == "__main__":
    main()
