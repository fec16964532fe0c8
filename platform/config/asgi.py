"""ASGI entry point, for servers that speak it: ``config.asgi:application``."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup(set_prefix=False)

from furrow.web.asgi import BoundedHandler  # noqa: E402

application = BoundedHandler()
