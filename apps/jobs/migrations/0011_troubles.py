"""What goes wrong in a process; when the leader last completed a round."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("jobs", "0010_troubled_since")]

    operations = [
        migrations.AddField("leader", "progressed_at", models.DateTimeField(blank=True, null=True)),
        migrations.CreateModel(
            "Trouble",
            [
                ("name", models.CharField(max_length=200, primary_key=True, serialize=False)),
                ("text", models.TextField(blank=True, db_default="", default="")),
                ("remedy", models.TextField(blank=True, db_default="", default="")),
                ("count", models.BigIntegerField(db_default=1, default=1)),
                ("since", models.DateTimeField()),
                ("last_at", models.DateTimeField()),
            ],
            {"default_permissions": ()},
        ),
    ]
