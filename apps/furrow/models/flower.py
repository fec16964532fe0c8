"""No table: the permission to view Flower."""

from django.db import models


class Flower(models.Model):  # noqa: DJ008
    """Flower's pages, which are not ours."""

    class Meta:
        managed = False
        default_permissions = ()
        permissions = [("view_flower", "Can see Flower")]
