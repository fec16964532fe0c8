"""Users with just these permissions."""

from django.contrib.auth.models import Permission, User
from django.test import Client


def somebody(*permissions: str) -> User:
    """A staff member who may just this: permissions by their codenames.

    Raises:
        AssertionError: there is no such permission, or more than one.
    """
    user = User.objects.create(username="somebody", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    assert user.user_permissions.count() == len(permissions)
    return user


def login(client: Client, *permissions: str) -> Client:
    """Logged in as :func:`somebody`."""
    client.force_login(somebody(*permissions))
    return client
