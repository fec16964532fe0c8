"""Tags, actions on many jobs, and who did what."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("jobs", "0006_queues")]

    operations = []
