"""Messages that could not be used are kept."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("jobs", "0002_queue_table")]

    operations = []
