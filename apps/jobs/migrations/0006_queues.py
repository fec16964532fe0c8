"""Queues that can be paused; what workers say of themselves and are asked to do."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("jobs", "0005_rollups")]

    operations = []
