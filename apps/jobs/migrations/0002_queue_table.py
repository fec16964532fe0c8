"""What keeps the job table quick when it is large and busy; docs/queue_table.md has the figures."""

from django.db import migrations, models

from apps.jobs.states import State

#: A job leaves three dead rows behind. By PostgreSQL's defaults they would be removed once they are a fifth of all rows, which
#: with millions of finished jobs is hours away; here from 20,000 on, or a hundredth of the table.
STORAGE = {
    "jobs_job": {"autovacuum_vacuum_scale_factor": 0.01, "autovacuum_vacuum_threshold": 20000},
    "jobs_attempt": {"autovacuum_vacuum_scale_factor": 0.01, "autovacuum_vacuum_threshold": 20000},
    "jobs_logline": {"autovacuum_vacuum_scale_factor": 0.01, "autovacuum_vacuum_threshold": 20000},
}


def set_storage(apps, schema_editor):
    """On PostgreSQL; SQLite has nothing of the kind."""
    if schema_editor.connection.vendor == "postgresql":
        for table, parameters in STORAGE.items():
            given = ", ".join(f"{name} = {value}" for name, value in parameters.items())
            schema_editor.execute(f"ALTER TABLE {table} SET ({given})")


def reset_storage(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        for table, parameters in STORAGE.items():
            schema_editor.execute(f"ALTER TABLE {table} RESET ({', '.join(parameters)})")


class Migration(migrations.Migration):
    dependencies = [("jobs", "0001_initial")]

    operations = [
        migrations.RunPython(set_storage, reset_storage),
        migrations.AddIndex(
            model_name="job",
            index=models.Index(
                fields=["worker"],
                name="job_stopping",
                condition=models.Q(state=State.RUNNING, cancel_requested_at__isnull=False),
            ),
        ),
    ]
