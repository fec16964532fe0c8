"""Settings of a project whose times have no zone; in that of its own, clocks are put back once a year."""

from config.settings import *  # noqa: F403

USE_TZ = False
TIME_ZONE = "America/New_York"
