"""The name of a worker's sessions at the database."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("jobs", "0008_line")]

    operations = [
        migrations.AddField(
            "worker", "session", models.CharField(blank=True, db_default="", default="", max_length=8)
        )
    ]
