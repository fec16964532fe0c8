"""A rate's slot may be taken before it is free."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("jobs", "0012_guards")]

    operations = [migrations.AddField("hold", "not_before", models.DateTimeField(null=True))]
