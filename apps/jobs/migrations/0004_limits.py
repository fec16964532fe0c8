"""Locks, limits, uniqueness and order, declared by kinds."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("jobs", "0003_dead_messages")]

    operations = []
