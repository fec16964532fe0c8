"""The locks' tables: the epoch's number, and the permissions of the admin's page."""

from django.db import models


class Epoch(models.Model):
    """One row: the last number given to a Redis whose memory began anew. Tokens begin with it, so it never goes back."""

    number = models.BigIntegerField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.number)


class Lock(models.Model):
    """No table: locks live in Redis. It is what the admin's page and its permissions hang on."""

    class Meta:
        managed = False
        default_permissions = ("view",)
        permissions = [("break_lock", "Can break locks")]

    def __str__(self) -> str:
        return "lock"
