"""Counts by minute, and signatures of errors."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("jobs", "0004_limits")]

    operations = []
