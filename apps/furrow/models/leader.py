"""The leader's lease and term; in the database, because dispatch must survive Redis."""

from django.db import models

#: How the dispatcher's trouble begins when RabbitMQ does not answer it.
BROKER_AWAY = "RabbitMQ is away"


class Leader(models.Model):
    """The holder of a role. The term grows with every change of holder; a leader's writes are guarded by its term."""

    role = models.CharField(max_length=50, primary_key=True)
    holder = models.CharField(max_length=255)
    term = models.BigIntegerField(default=0)
    lease_until = models.DateTimeField()
    #: What the leader says of itself in one line, for people ("RabbitMQ is away: …"); empty when all is well.
    trouble = models.TextField(blank=True, default="")
    troubled_since = models.DateTimeField(null=True, blank=True)
    #: When it last told that a round of its work was completed; empty while none was under this leader. The lease alone says
    #: only that it reaches the database.
    progressed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "leader"

    def __str__(self) -> str:
        return f"{self.role}: {self.holder} (term {self.term})"
