"""Settings of a project with that user."""

import os

from config.settings import *  # noqa: F403
from config.settings import INSTALLED_APPS as GIVEN

INSTALLED_APPS = [*GIVEN, "tests.uuid_users"]
AUTH_USER_MODEL = "uuid_users.Person"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["OTHER_DATABASE"]}}
