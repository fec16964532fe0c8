"""Sweep: files that were uploaded for jobs that are gone are deleted."""

import logging

from django.db import Error
from django.utils import timezone

from apps.jobs import uploads

logger = logging.getLogger(__name__)


class Sweep:
    """Once an hour, beginning with the first. A storage that fails is tried again in an hour: nothing depends on it."""

    interval = 3600.0

    def run_once(self) -> int:
        """Returns how many jobs' files were deleted."""
        try:
            return uploads.sweep(timezone.now())
        except Error:
            raise
        except Exception as error:  # each storage has errors of its own
            logger.warning("The files of jobs that are gone could not be deleted (%s).", error)
            return 0
