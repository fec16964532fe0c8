#!/usr/bin/env python
"""Django's command line for this project."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
for source_root in (str(ROOT / "platform"), str(ROOT / "apps"), str(ROOT)):
    if source_root not in sys.path:
        sys.path.insert(0, source_root)


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        if "--traceback" in sys.argv:
            raise
        sys.exit(f"The settings are wrong: {error}")


if __name__ == "__main__":
    main()
