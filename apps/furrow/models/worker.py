"""Workers: presence and lease."""

from django.db import models
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from furrow.conf import conf
from furrow.models.told import ToldField, names
from furrow.models.told import stats as read_stats


class Worker(models.Model):
    """One life of a Celery worker: a restart is a new row. It owns the jobs it runs while ``lease_until`` is ahead."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    #: Celery's node name, as Flower shows it.
    node = models.CharField(max_length=255)
    pid = models.IntegerField()
    processes = models.IntegerField()
    queues = ToldField(default=list, read=names)
    kinds = ToldField(default=list, read=names)
    #: Where it runs, and of which release: Furrow's, Celery's and Python's.
    host = models.CharField(max_length=255, blank=True, default="", db_default="")
    version = models.CharField(max_length=100, blank=True, default="", db_default="")
    #: ``FURROW["VERSION"]``: the version of the project's code.
    code_version = models.CharField(max_length=100, blank=True, default="", db_default="")
    #: The name of its sessions at the database: :mod:`furrow.statements.sessions`.
    session = models.CharField(max_length=8, blank=True, default="", db_default="")
    #: Told with each heartbeat: the queues it was asked not to consume; its processes, how many messages wait there for one
    #: (``waiting``) and of each partition (``lines``): :mod:`furrow.worker.pool.process_stats`; how many runs have ended here
    #: so far, and how many of them not well.
    paused = ToldField(default=list, db_default=[], read=names)
    stats = ToldField(default=dict, db_default={}, read=read_stats)
    ended = models.BigIntegerField(default=0, db_default=0)
    failed = models.BigIntegerField(default=0, db_default=0)
    started_at = models.DateTimeField(db_default=Now())
    heartbeat_at = models.DateTimeField(db_default=Now())
    lease_until = models.DateTimeField()
    #: Set when it stopped in order, or when the dispatcher took it for dead (``lost``).
    stopped_at = models.DateTimeField(null=True, blank=True)
    lost = models.BooleanField(default=False)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["lease_until"], name="furrow_worker_living", condition=models.Q(stopped_at__isnull=True))
        ]

    def __str__(self) -> str:
        return self.node

    @property
    def external(self) -> bool:
        """A program in another language, which takes jobs over HTTP."""
        return bool(self.queues) and {*self.queues} <= {*conf().external_queues}
