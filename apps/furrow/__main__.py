"""The console script ``furrow``, and ``python -m furrow``: as ``manage.py furrow``, in a project's folder."""

import os
import re
import sys
from pathlib import Path


def main() -> None:
    """Run a command in the project of this folder."""
    from django.core.management import ManagementUtility

    sys.path.insert(0, os.getcwd())
    if "DJANGO_SETTINGS_MODULE" not in os.environ:
        os.environ["DJANGO_SETTINGS_MODULE"] = _settings() or sys.exit(
            "furrow: there is no manage.py here that names the settings; run it in the project's folder, or set "
            "DJANGO_SETTINGS_MODULE."
        )
    utility = ManagementUtility(["furrow", "furrow", *sys.argv[1:]])
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
