"""Roll: add up counts of seconds to minutes, then hours; forget errors whose jobs are gone."""

from furrow import statements
from furrow.conf import conf
from furrow.models import ErrorCount, ErrorGroup
from furrow.models.database import atomic, connection


class Roll:
    """Small tables stay small. Without it nothing is wrong with the counts, they are only read more slowly."""

    interval = 15.0

    def run_once(self) -> int:
        """Roll what is old; returns how many rows."""
        with atomic():
            rolled = statements.on(connection).roll(connection)
        forgotten = int(statements.on(connection).clock(connection).timestamp() - conf().keep_failed)
        if ErrorCount.objects.filter(at__lt=forgotten).delete()[0]:
            ErrorGroup.objects.exclude(fingerprint__in=ErrorCount.objects.values("fingerprint")).delete()
        return rolled
