"""Queues that can be paused; what workers say of themselves and are asked to do."""

import uuid_utils.compat
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("jobs", "0005_rollups")]

    operations = [
        migrations.AddField(
            model_name='worker',
            name='ended',
            field=models.BigIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name='worker',
            name='failed',
            field=models.BigIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name='worker',
            name='host',
            field=models.CharField(blank=True, db_default='', default='', max_length=255),
        ),
        migrations.AddField(
            model_name='worker',
            name='paused',
            field=models.JSONField(db_default=[], default=list),
        ),
        migrations.AddField(
            model_name='worker',
            name='version',
            field=models.CharField(blank=True, db_default='', default='', max_length=100),
        ),
        migrations.AddField(
            model_name='worker',
            name='vitals',
            field=models.JSONField(db_default={}, default=dict),
        ),
        migrations.CreateModel(
            name='Queue',
            fields=[
                ('name', models.CharField(max_length=100, primary_key=True, serialize=False)),
                ('paused_at', models.DateTimeField(blank=True, null=True)),
                ('draining', models.BooleanField(db_default=False, default=False)),
                ('paused_by', models.CharField(blank=True, db_default='', default='', max_length=150)),
                ('reason', models.CharField(blank=True, db_default='', default='', max_length=500)),
            ],
            options={
                'ordering': ['name'],
                'indexes': [models.Index(condition=models.Q(('draining', False), ('paused_at__isnull', False)), fields=['name'], name='queue_closed')],
            },
        ),
        migrations.CreateModel(
            name='WorkerRequest',
            fields=[
                ('id', models.UUIDField(default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False)),
                ('worker', models.UUIDField()),
                ('action', models.CharField(choices=[('pause', 'stop consuming a queue'), ('resume', 'consume a queue again'), ('stack', 'say where a job is'), ('restart', 'replace its pool processes'), ('shutdown', 'shut down')], max_length=10)),
                ('subject', models.CharField(blank=True, default='', max_length=100)),
                ('asked_at', models.DateTimeField()),
                ('asked_by', models.CharField(blank=True, default='', max_length=150)),
                ('taken_at', models.DateTimeField(blank=True, null=True)),
                ('answered_at', models.DateTimeField(blank=True, null=True)),
                ('succeeded', models.BooleanField(blank=True, null=True)),
                ('answer', models.TextField(blank=True, default='')),
            ],
            options={
                'ordering': ['-id'],
                'indexes': [models.Index(condition=models.Q(('taken_at__isnull', True)), fields=['worker'], name='worker_request_open'), models.Index(fields=['worker', '-id'], name='worker_request_worker')],
                'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('answered_at__isnull', True), ('succeeded__isnull', True)), models.Q(('answered_at__isnull', False), ('succeeded__isnull', False), ('taken_at__isnull', False)), _connector='OR'), name='worker_request_answer')],
            },
        ),
    ]
