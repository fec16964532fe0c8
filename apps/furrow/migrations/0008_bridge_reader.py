import django.db.models.functions.datetime
from django.db import migrations, models

from furrow.statements import guards


def guard(apps, schema_editor):
    """Writes of times that nobody could read are refused."""
    guards.install(schema_editor.connection, [apps.get_model('furrow', 'bridgereader')])


def unguard(apps, schema_editor):
    guards.remove(schema_editor.connection, [apps.get_model('furrow', 'bridgereader')])


class Migration(migrations.Migration):

    dependencies = [
        ('furrow', '0007_output_chunk'),
    ]

    operations = [
        migrations.CreateModel(
            name='BridgeReader',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('queue', models.CharField(max_length=255)),
                ('node', models.CharField(max_length=255)),
                ('pid', models.IntegerField()),
                ('trouble', models.TextField(blank=True, default='')),
                ('messages', models.BigIntegerField(db_default=0, default=0)),
                ('last_message_at', models.DateTimeField(blank=True, null=True)),
                ('started_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('seen_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                'verbose_name': 'bridge',
                'verbose_name_plural': 'bridges',
                'default_permissions': ('view',),
                'constraints': [models.UniqueConstraint(fields=('queue', 'node', 'pid'), name='furrow_bridge_reader_once')],
            },
        ),
        migrations.RunPython(guard, unguard),
        migrations.AddField(
            model_name='deadmessage',
            name='bridge',
            field=models.CharField(blank=True, db_default='', default='', max_length=255),
        ),
        migrations.AddIndex(
            model_name='deadmessage',
            index=models.Index(
                condition=models.Q(('bridge', ''), _negated=True), fields=['bridge'], name='furrow_dead_message_bridge'
            ),
        ),
    ]
