"""The ledger's own connection to the database, outside of Django's registry, which forked processes would close."""

import logging
import os
import threading
from collections.abc import Callable
from typing import Any

from django.db import Error, OperationalError, connections

from furrow import statements
from furrow.models.database import alias

logger = logging.getLogger(__name__)


class Link:
    """Used by one thread, which holds ``busy`` meanwhile: a fork waits for that, so that no child inherits a half-sent
    statement."""

    def __init__(self) -> None:
        self.busy = threading.Lock()
        self._connection = connections[alias()].copy()
        self._connection.inc_thread_sharing()
        self._fork_waited = False
        os.register_at_fork(before=self._before_fork, after_in_parent=self._after_fork, after_in_child=self._after_fork)

    def open(self) -> Any:
        """The connection; connects when there is none.

        Raises:
            OperationalError: there is no database, or this process has no descriptor left for it.
        """
        connection = self._connection
        if connection.connection is None:
            try:
                connection.ensure_connection()
            except OSError as error:  # of the system, while the driver waits
                raise OperationalError(str(error)) from error
            statements.on(connection).prepare(connection, statements.BRIEF)
        return connection

    def ask(self, question: Callable[[Any], Any]) -> Any:
        """Read something; ``None`` when the database does not answer. What was written before stays written."""
        try:
            return question(self.open())
        except Error as error:
            logger.warning("A question could not be answered: %s", str(error).strip())
            self.forget()
            return None

    def roll_back(self) -> None:
        """End a transaction that failed; the connection is dropped if that fails too."""
        try:
            self._connection.connection.rollback()
        except Exception as error:  # the driver's, which Django does not translate here
            logger.debug("rolling back: %s", error)
            self.forget()

    def forget(self) -> None:
        """Drop it, also a broken one."""
        try:
            self._connection.close()
        except Error as error:
            logger.debug("closing the ledger's connection: %s", error)
        self._connection.connection = None

    def _before_fork(self) -> None:
        # Not for ever: with a database that hangs the thread waits in the kernel, where a fork does no harm.
        self._fork_waited = self.busy.acquire(timeout=1.0)

    def _after_fork(self) -> None:
        if self._fork_waited:
            self.busy.release()
