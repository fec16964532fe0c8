"""Loaded by ``FURROW_MODULES`` into a worker: its pool processes get stuck at their start or end (``FURROW_TEST_STUCK``)."""

import os
import threading
from typing import Any

from celery import signals


def _wait(**_: Any) -> None:
    threading.Event().wait()


signal = {"start": signals.worker_process_init, "end": signals.worker_process_shutdown}[os.environ["FURROW_TEST_STUCK"]]
signal.connect(_wait)
