"""Tokens of the HTTP API."""

import hashlib
import secrets
from enum import StrEnum

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from furrow.models.json_field import JSONField
from furrow.models.users import user_field

#: What every secret begins with, so that scanners of repositories and logs recognise one; characters of it that are shown.
PREFIX, SHOWN = "fw_", 9


class Scope(StrEnum):
    """What a token may be used for."""

    READ = "read"
    SUBMIT = "submit"
    ACT = "act"
    WORK = "work"


class ApiToken(models.Model):
    """A token acts for its user, who must be active: never more than that user may, within its scopes and kinds."""

    name = models.CharField(max_length=100)
    user = user_field()
    #: SHA-256 of the secret, in hexadecimal digits; and the secret's beginning, to tell tokens apart.
    hash = models.CharField(max_length=64, unique=True, editable=False)
    beginning = models.CharField(max_length=SHOWN, editable=False)
    #: Of ``Scope``.
    scopes = JSONField(shape=list, default=list)
    #: Names of the kinds that it is for; empty: all.
    kinds = JSONField(shape=list, default=list, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    created_by = user_field()
    expires_at = models.DateTimeField(null=True, blank=True)
    #: To the minute.
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view", "add")
        permissions = [("revoke_apitoken", "Can revoke API tokens")]
        verbose_name = "API token"
        constraints = [
            models.UniqueConstraint(fields=["user", "name"], name="furrow_api_token_name", condition=Q(revoked_at__isnull=True))
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.beginning}…)"


def new_secret() -> str:
    """A fresh secret: 256 random bits."""
    return PREFIX + secrets.token_urlsafe(32)


def hash_of(secret: str) -> str:
    """What is stored of a secret. It has 256 random bits, so a plain hash cannot be guessed."""
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()
