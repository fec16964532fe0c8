"""Answers that the HTTP API gave to requests with an idempotency key."""

from django.db import models
from django.db.models.functions import Now


class ApiAnswer(models.Model):
    """Written in the transaction of the request that it answers. A second request with the same key gets it again."""

    #: Whose: the user's primary key, as text.
    user = models.CharField(max_length=64)
    key = models.CharField(max_length=255)
    #: SHA-256 of the request's address and body, in hexadecimal digits.
    request = models.CharField(max_length=64)
    status = models.SmallIntegerField(default=0)
    body = models.TextField(default="")
    at = models.DateTimeField(db_default=Now())

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="furrow_api_answer_once")]
        indexes = [models.Index(fields=["at"], name="furrow_api_answer_at")]

    def __str__(self) -> str:
        return f"answer to {self.key}"
