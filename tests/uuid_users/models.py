"""The user."""

import uuid

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.db import models


class Person(AbstractBaseUser, PermissionsMixin):
    """Without ``username`` and ``objects``."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    email = models.EmailField(unique=True)
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=True)

    people: BaseUserManager["Person"] = BaseUserManager()  # type: ignore[assignment]

    USERNAME_FIELD = "email"

    def __str__(self) -> str:
        return self.email
