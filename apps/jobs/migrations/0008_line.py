"""An index of the lines that keys are handed over to."""

from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("jobs", "0007_audit")]

    operations = [
        migrations.AddIndex(
            "job",
            models.Index(
                fields=["held", "priority", "run_at", "id"], name="job_line", condition=Q(state="running") & ~Q(held="")
            ),
        )
    ]
