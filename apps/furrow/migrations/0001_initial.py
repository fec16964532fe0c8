"""The tables, and what no model says: storage, the index of tags, guards."""

import django.db.models.deletion
import django.db.models.functions.datetime
import uuid_utils.compat
from django.conf import settings
from django.db import migrations, models

import furrow.models.users
import furrow.models.webhook
import furrow.states
from furrow.statements import guards

#: A job leaves three dead rows behind. By PostgreSQL's defaults they would be removed once they are a fifth of all rows, which
#: with millions of finished jobs is hours away; here from 20,000 on, or a hundredth of the table (docs/queue_table.md).
_BUSY = "autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 20000"
#: Each commit makes new versions of a few rows: with room beside them they stay in their page, and no index changes.
_COUNTED = "fillfactor = 50"
STORAGE = {"job": _BUSY, "attempt": _BUSY, "logline": _BUSY, "rollup": _COUNTED, "errorcount": _COUNTED}


def set_storage(apps, schema_editor):
    """On PostgreSQL; SQLite has nothing of the kind."""
    if schema_editor.connection.vendor == "postgresql":
        for model, parameters in STORAGE.items():
            schema_editor.execute(f"ALTER TABLE {apps.get_model('furrow', model)._meta.db_table} SET ({parameters})")


def index_tags(apps, schema_editor):
    """Only jobs that have tags are in it. SQLite looks through the rows."""
    if schema_editor.connection.vendor == "postgresql":
        table = apps.get_model("furrow", "job")._meta.db_table
        schema_editor.execute(f"CREATE INDEX furrow_job_tags ON {table} USING gin (tags jsonb_path_ops) WHERE tags IS NOT NULL")


def guard(apps, schema_editor):
    """Writes of times and JSON that nobody could read are refused."""
    guards.install(schema_editor.connection, apps.get_models())


def unguard(apps, schema_editor):
    guards.remove(schema_editor.connection, apps.get_models())


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Flower',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
            ],
            options={
                'permissions': [('view_flower', 'Can see Flower')],
                'managed': False,
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='Lock',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
            ],
            options={
                'permissions': [('break_lock', 'Can break locks')],
                'managed': False,
                'default_permissions': ('view',),
            },
        ),
        migrations.CreateModel(
            name='Drift',
            fields=[
                ('name', models.CharField(max_length=50, primary_key=True, serialize=False)),
                ('found', models.IntegerField(default=0)),
                ('repaired', models.BigIntegerField(default=0)),
                ('looked_at', models.DateTimeField()),
                ('found_at', models.DateTimeField(blank=True, null=True)),
                ('repaired_at', models.DateTimeField(blank=True, null=True)),
            ],
            options={
                'verbose_name_plural': 'drift',
                'ordering': ['name'],
                'default_permissions': ('view',),
            },
        ),
        migrations.CreateModel(
            name='Epoch',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.BigIntegerField()),
            ],
            options={
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='ErrorCount',
            fields=[
                ('at', models.BigIntegerField()),
                ('seconds', models.IntegerField()),
                ('kind', models.CharField(max_length=200)),
                ('writer', models.IntegerField()),
                ('pk', models.CompositePrimaryKey('at', 'seconds', 'kind', 'fingerprint', 'writer', blank=True, editable=False, primary_key=True, serialize=False)),
                ('fingerprint', models.CharField(max_length=16)),
                ('runs', models.BigIntegerField()),
                ('jobs', models.BigIntegerField()),
            ],
            options={
                'abstract': False,
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='ErrorGroup',
            fields=[
                ('pk', models.CompositePrimaryKey('kind', 'fingerprint', blank=True, editable=False, primary_key=True, serialize=False)),
                ('kind', models.CharField(max_length=200)),
                ('fingerprint', models.CharField(max_length=16)),
                ('error_type', models.CharField(max_length=200)),
                ('message', models.CharField(max_length=500)),
                ('first_seen', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='Leader',
            fields=[
                ('role', models.CharField(max_length=50, primary_key=True, serialize=False)),
                ('holder', models.CharField(max_length=255)),
                ('term', models.BigIntegerField(default=0)),
                ('lease_until', models.DateTimeField()),
                ('trouble', models.TextField(blank=True, default='')),
                ('troubled_since', models.DateTimeField(blank=True, null=True)),
                ('progressed_at', models.DateTimeField(blank=True, null=True)),
            ],
            options={
                'verbose_name': 'leader',
            },
        ),
        migrations.CreateModel(
            name='Rollup',
            fields=[
                ('at', models.BigIntegerField()),
                ('seconds', models.IntegerField()),
                ('kind', models.CharField(max_length=200)),
                ('writer', models.IntegerField()),
                ('pk', models.CompositePrimaryKey('at', 'seconds', 'kind', 'queue', 'worker', 'writer', 'measure', 'bucket', blank=True, editable=False, primary_key=True, serialize=False)),
                ('queue', models.CharField(max_length=100)),
                ('worker', models.UUIDField()),
                ('measure', models.CharField(max_length=10)),
                ('bucket', models.SmallIntegerField()),
                ('count', models.BigIntegerField()),
                ('total', models.FloatField()),
            ],
            options={
                'abstract': False,
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='Trouble',
            fields=[
                ('name', models.CharField(max_length=200, primary_key=True, serialize=False)),
                ('text', models.TextField(blank=True, db_default='', default='')),
                ('remedy', models.TextField(blank=True, db_default='', default='')),
                ('count', models.BigIntegerField(db_default=1, default=1)),
                ('since', models.DateTimeField()),
                ('last_at', models.DateTimeField()),
            ],
            options={
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='DeadMessage',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('received_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('reason', models.TextField()),
                ('worker', models.CharField(blank=True, default='', max_length=255)),
                ('exchange', models.CharField(blank=True, default='', max_length=255)),
                ('routing_key', models.CharField(blank=True, default='', max_length=255)),
                ('properties', models.TextField(default='{}')),
                ('body', models.BinaryField(default=b'')),
                ('size', models.BigIntegerField(default=0)),
                ('bridge', models.CharField(blank=True, db_default='', default='', max_length=255)),
            ],
            options={
                'ordering': ['-id'],
                'permissions': [('replay_deadmessage', 'Can replay dead messages')],
                'default_permissions': ('view', 'delete'),
                'indexes': [models.Index(fields=['received_at'], name='furrow_dead_message_received'), models.Index(condition=models.Q(('bridge', ''), _negated=True), fields=['bridge'], name='furrow_dead_message_bridge')],
            },
        ),
        migrations.CreateModel(
            name='Hold',
            fields=[
                ('pk', models.CompositePrimaryKey('key', 'slot', blank=True, editable=False, primary_key=True, serialize=False)),
                ('key', models.CharField(max_length=210)),
                ('slot', models.IntegerField()),
                ('job', models.UUIDField(null=True)),
                ('period', models.FloatField(null=True)),
                ('free_at', models.DateTimeField(null=True)),
                ('not_before', models.DateTimeField(null=True)),
                ('ordered', models.BooleanField(default=False)),
            ],
            options={
                'indexes': [models.Index(fields=['job'], name='furrow_hold_job'), models.Index(condition=models.Q(('free_at__isnull', False)), fields=['free_at'], name='furrow_hold_free')],
            },
        ),
        migrations.CreateModel(
            name='Job',
            fields=[
                ('id', models.UUIDField(default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False)),
                ('kind', models.CharField(max_length=200)),
                ('queue', models.CharField(db_default='default', default='default', max_length=100)),
                ('state', models.CharField(choices=[('waiting', 'waiting'), ('pending', 'pending'), ('queued', 'queued'), ('running', 'running'), ('succeeded', 'succeeded'), ('failed', 'failed'), ('cancelled', 'cancelled')], db_default=furrow.states.State['PENDING'], default=furrow.states.State['PENDING'], max_length=10)),
                ('priority', models.SmallIntegerField(db_default=5, default=5)),
                ('arguments', models.JSONField(db_default={}, default=dict)),
                ('batch', models.UUIDField(blank=True, null=True)),
                ('tags', models.JSONField(blank=True, null=True)),
                ('meta', models.JSONField(blank=True, null=True)),
                ('again_of', models.UUIDField(blank=True, null=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('run_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('expires_at', models.DateTimeField(blank=True, null=True)),
                ('queued_at', models.DateTimeField(blank=True, null=True)),
                ('started_at', models.DateTimeField(blank=True, null=True)),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
                ('attempt', models.IntegerField(db_default=0, default=0)),
                ('excused', models.IntegerField(db_default=0, default=0)),
                ('max_attempts', models.IntegerField(db_default=5, default=5)),
                ('worker', models.UUIDField(blank=True, null=True)),
                ('result', models.JSONField(blank=True, null=True)),
                ('error', models.TextField(blank=True, db_default='', default='')),
                ('fingerprint', models.CharField(blank=True, db_default='', default='', editable=False, max_length=16)),
                ('progress', models.FloatField(blank=True, null=True)),
                ('progress_note', models.CharField(blank=True, db_default='', default='', max_length=200)),
                ('cancel_requested_at', models.DateTimeField(blank=True, null=True)),
                ('limits', models.JSONField(blank=True, null=True)),
                ('held', models.CharField(blank=True, db_default='', default='', max_length=210)),
                ('order_key', models.CharField(blank=True, max_length=210, null=True)),
                ('fair_key', models.CharField(blank=True, max_length=210, null=True)),
                ('unique_key', models.CharField(blank=True, max_length=210, null=True)),
                ('unique_until', models.CharField(blank=True, db_default='', default='', max_length=7)),
                ('unique_expires_at', models.DateTimeField(blank=True, null=True)),
                ('submitted_by', models.ForeignKey(blank=True, db_constraint=False, db_index=False, null=True, on_delete=furrow.models.users.forget_user, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['-id'],
                'permissions': [('submit_job', 'Can submit jobs'), ('act_on_job', 'Can cancel and retry jobs')],
            },
        ),
        migrations.CreateModel(
            name='Attempt',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.IntegerField()),
                ('outcome', models.CharField(choices=[('succeeded', 'succeeded'), ('failed', 'failed'), ('snoozed', 'snoozed'), ('timed out', 'timed out'), ('crashed', 'crashed'), ('lost', 'lost'), ('interrupted', 'interrupted'), ('cancelled', 'cancelled')], max_length=12)),
                ('worker', models.UUIDField(blank=True, null=True)),
                ('pid', models.IntegerField(default=0)),
                ('started_at', models.DateTimeField()),
                ('finished_at', models.DateTimeField()),
                ('error_type', models.CharField(blank=True, default='', max_length=200)),
                ('error', models.TextField(blank=True, default='')),
                ('traceback', models.TextField(blank=True, default='')),
                ('job', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='attempts', to='furrow.job')),
            ],
            options={
                'ordering': ['job', 'number'],
            },
        ),
        migrations.CreateModel(
            name='LogLine',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('attempt', models.IntegerField()),
                ('at', models.DateTimeField()),
                ('level', models.SmallIntegerField()),
                ('logger', models.CharField(blank=True, default='', max_length=200)),
                ('message', models.TextField()),
                ('job', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='log_lines', to='furrow.job')),
            ],
            options={
                'ordering': ['id'],
            },
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
                'indexes': [models.Index(condition=models.Q(('draining', False), ('paused_at__isnull', False)), fields=['name'], name='furrow_queue_closed')],
            },
        ),
        migrations.CreateModel(
            name='Worker',
            fields=[
                ('id', models.UUIDField(default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False)),
                ('node', models.CharField(max_length=255)),
                ('pid', models.IntegerField()),
                ('processes', models.IntegerField()),
                ('queues', models.JSONField(default=list)),
                ('kinds', models.JSONField(default=list)),
                ('host', models.CharField(blank=True, db_default='', default='', max_length=255)),
                ('version', models.CharField(blank=True, db_default='', default='', max_length=100)),
                ('session', models.CharField(blank=True, db_default='', default='', max_length=8)),
                ('paused', models.JSONField(db_default=[], default=list)),
                ('stats', models.JSONField(db_default={}, default=dict)),
                ('ended', models.BigIntegerField(db_default=0, default=0)),
                ('failed', models.BigIntegerField(db_default=0, default=0)),
                ('started_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('heartbeat_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('lease_until', models.DateTimeField()),
                ('stopped_at', models.DateTimeField(blank=True, null=True)),
                ('lost', models.BooleanField(default=False)),
            ],
            options={
                'ordering': ['-id'],
                'indexes': [models.Index(condition=models.Q(('stopped_at__isnull', True)), fields=['lease_until'], name='furrow_worker_living')],
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
                'indexes': [models.Index(condition=models.Q(('taken_at__isnull', True)), fields=['worker'], name='furrow_worker_request_open'), models.Index(fields=['worker', '-id'], name='furrow_worker_request_worker')],
                'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('answered_at__isnull', True), ('succeeded__isnull', True)), models.Q(('answered_at__isnull', False), ('succeeded__isnull', False), ('taken_at__isnull', False)), _connector='OR'), name='furrow_worker_request_answer')],
            },
        ),
        migrations.CreateModel(
            name='AuditEntry',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('who', models.CharField(blank=True, default='', max_length=200)),
                ('origin', models.CharField(choices=[('admin', 'admin'), ('API', 'API'), ('assistant', 'assistant'), ('command line', 'command line'), ('Flower', 'Flower')], max_length=12)),
                ('action', models.CharField(max_length=40)),
                ('target', models.CharField(blank=True, default='', max_length=300)),
                ('job', models.UUIDField(blank=True, null=True)),
                ('selection', models.JSONField(blank=True, default=dict)),
                ('count', models.BigIntegerField(default=1)),
                ('detail', models.CharField(blank=True, default='', max_length=500)),
                ('reached', models.UUIDField(blank=True, editable=False, null=True)),
                ('user', models.ForeignKey(blank=True, db_constraint=False, db_index=False, null=True, on_delete=furrow.models.users.forget_user, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('token', models.CharField(blank=True, db_default='', default='', max_length=120)),
            ],
            options={
                'verbose_name': 'audit log entry',
                'verbose_name_plural': 'audit log entries',
                'ordering': ['-id'],
                'indexes': [models.Index(condition=models.Q(('job__isnull', False)), fields=['job'], name='furrow_audit_job')],
            },
        ),
        migrations.CreateModel(
            name='BridgedMessage',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('queue', models.CharField(max_length=255)),
                ('key', models.CharField(max_length=64)),
                ('job', models.UUIDField()),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                'default_permissions': (),
                'indexes': [models.Index(fields=['at'], name='furrow_bridged_at')],
                'constraints': [models.UniqueConstraint(fields=('queue', 'key'), name='furrow_bridged_once')],
            },
        ),
        migrations.CreateModel(
            name='StreamPlace',
            fields=[
                ('queue', models.CharField(max_length=255, primary_key=True, serialize=False)),
                ('next_offset', models.BigIntegerField(db_default=0, default=0)),
            ],
            options={
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='Reply',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('job', models.UUIDField(null=True)),
                ('refused', models.TextField(blank=True, default='')),
                ('reply_to', models.CharField(max_length=255)),
                ('correlation_id', models.CharField(blank=True, default='', max_length=255)),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('form', models.CharField(blank=True, db_default='', default='', max_length=8)),
            ],
            options={
                'default_permissions': (),
                'constraints': [models.UniqueConstraint(fields=('job', 'reply_to', 'correlation_id'), name='furrow_reply_once')],
            },
        ),
        migrations.CreateModel(
            name='Event',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=255)),
                ('job', models.UUIDField(blank=True, null=True)),
                ('number', models.IntegerField(blank=True, null=True)),
                ('data', models.JSONField(db_default={}, default=dict)),
                ('depth', models.SmallIntegerField(db_default=0, default=0)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('published_at', models.DateTimeField(blank=True, editable=False, null=True)),
            ],
            options={
                'ordering': ['-id'],
                'default_permissions': ('view',),
                'indexes': [models.Index(condition=models.Q(('published_at__isnull', True)), fields=['id'], name='furrow_event_unpublished'), models.Index(condition=models.Q(('published_at__isnull', False)), fields=['published_at', 'id'], name='furrow_event_published')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('job__isnull', False)), fields=('job', 'number'), name='furrow_event_number')],
            },
        ),
        migrations.CreateModel(
            name='ApiAnswer',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('user', models.CharField(max_length=64)),
                ('key', models.CharField(max_length=255)),
                ('request', models.CharField(max_length=64)),
                ('status', models.SmallIntegerField(default=0)),
                ('body', models.TextField(default='')),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                'default_permissions': (),
                'indexes': [models.Index(fields=['at'], name='furrow_api_answer_at')],
                'constraints': [models.UniqueConstraint(fields=('user', 'key'), name='furrow_api_answer_once')],
            },
        ),
        migrations.CreateModel(
            name='ApiToken',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=100)),
                ('hash', models.CharField(editable=False, max_length=64, unique=True)),
                ('beginning', models.CharField(editable=False, max_length=9)),
                ('scopes', models.JSONField(default=list)),
                ('kinds', models.JSONField(blank=True, default=list)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('expires_at', models.DateTimeField(blank=True, null=True)),
                ('last_used_at', models.DateTimeField(blank=True, null=True)),
                ('revoked_at', models.DateTimeField(blank=True, null=True)),
                ('created_by', models.ForeignKey(blank=True, db_constraint=False, db_index=False, null=True, on_delete=furrow.models.users.forget_user, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('user', models.ForeignKey(blank=True, db_constraint=False, db_index=False, null=True, on_delete=furrow.models.users.forget_user, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'API token',
                'ordering': ['-id'],
                'permissions': [('revoke_apitoken', 'Can revoke API tokens')],
                'default_permissions': ('view', 'add'),
                'constraints': [models.UniqueConstraint(condition=models.Q(('revoked_at__isnull', True)), fields=('user', 'name'), name='furrow_api_token_name')],
            },
        ),
        migrations.CreateModel(
            name='OutputChunk',
            fields=[
                ('pk', models.CompositePrimaryKey('job_id', 'attempt', 'number', blank=True, editable=False, primary_key=True, serialize=False)),
                ('attempt', models.IntegerField()),
                ('number', models.IntegerField()),
                ('at', models.DateTimeField()),
                ('value', models.TextField()),
                ('cut', models.BooleanField(db_default=False, default=False)),
                ('job', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='output', to='furrow.job')),
            ],
            options={
                'ordering': ['job', 'attempt', 'number'],
            },
        ),
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
        migrations.CreateModel(
            name='Webhook',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=100, unique=True)),
                ('url', models.CharField(max_length=500, verbose_name='URL')),
                ('patterns', models.JSONField(default=list)),
                ('secret', models.CharField(default=furrow.models.webhook.new_secret, editable=False, max_length=100)),
                ('active', models.BooleanField(default=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('failures', models.IntegerField(default=0, editable=False)),
                ('failing_since', models.DateTimeField(editable=False, null=True)),
                ('disabled_reason', models.CharField(blank=True, default='', editable=False, max_length=300)),
            ],
            options={
                'ordering': ['name'],
                'default_permissions': ('add', 'change', 'delete', 'view'),
            },
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(condition=models.Q(('limits__isnull', True), ('state', furrow.states.State['PENDING'])), fields=['queue', 'priority', 'run_at', 'id'], name='furrow_job_due'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(condition=models.Q(('held', ''), ('limits__isnull', False), ('state', furrow.states.State['PENDING'])), fields=['queue', 'priority', 'run_at', 'id'], name='furrow_job_limited'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(condition=models.Q(('state', furrow.states.State['PENDING']), models.Q(('held', ''), _negated=True)), fields=['held', 'priority', 'run_at', 'id'], name='furrow_job_held'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(condition=models.Q(('state', furrow.states.State['RUNNING']), models.Q(('held', ''), _negated=True)), fields=['held', 'priority', 'run_at', 'id'], name='furrow_job_line'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(condition=models.Q(('held', 'fair'), ('state', furrow.states.State['PENDING'])), fields=['queue', 'fair_key', 'priority', 'run_at', 'id'], name='furrow_job_fair'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(condition=models.Q(('order_key__isnull', False), ('state__in', [furrow.states.State['PENDING'], furrow.states.State['QUEUED'], furrow.states.State['RUNNING'], furrow.states.State['WAITING']])), fields=['order_key', 'id'], name='furrow_job_order'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(condition=models.Q(('state', furrow.states.State['QUEUED'])), fields=['queue', 'queued_at'], name='furrow_job_queued'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(condition=models.Q(('state', furrow.states.State['RUNNING'])), fields=['worker'], name='furrow_job_running'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(condition=models.Q(('cancel_requested_at__isnull', False), ('state', furrow.states.State['RUNNING'])), fields=['worker'], name='furrow_job_stopping'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(condition=models.Q(('expires_at__isnull', False), ('state__in', [furrow.states.State['PENDING'], furrow.states.State['QUEUED']])), fields=['expires_at'], name='furrow_job_expiring'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(condition=models.Q(('finished_at__isnull', False)), fields=['state', 'finished_at'], name='furrow_job_finished'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(condition=models.Q(('batch__isnull', False)), fields=['batch', 'state'], name='furrow_job_batch'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(fields=['kind', '-id'], name='furrow_job_kind'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(condition=models.Q(('state__in', [furrow.states.State['FAILED'], furrow.states.State['CANCELLED'], furrow.states.State['WAITING']])), fields=['state', '-id'], name='furrow_job_unwell'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(condition=models.Q(('submitted_by__isnull', False)), fields=['submitted_by', '-id'], name='furrow_job_submitter'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(condition=models.Q(('again_of__isnull', False)), fields=['again_of'], name='furrow_job_again'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(condition=models.Q(('state', furrow.states.State['FAILED'])), fields=['fingerprint', '-id'], name='furrow_job_fingerprint'),
        ),
        migrations.AddConstraint(
            model_name='job',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['waiting', 'pending', 'queued', 'running', 'succeeded', 'failed', 'cancelled'])), name='furrow_job_state_known'),
        ),
        migrations.AddConstraint(
            model_name='job',
            constraint=models.CheckConstraint(condition=models.Q(('priority__gte', 0), ('priority__lte', 9)), name='furrow_job_priority_range'),
        ),
        migrations.AddConstraint(
            model_name='job',
            constraint=models.CheckConstraint(condition=models.Q(('attempt__gte', 0), ('excused__gte', 0), ('max_attempts__gte', 1)), name='furrow_job_attempt_counts'),
        ),
        migrations.AddConstraint(
            model_name='job',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state', furrow.states.State['RUNNING']), _negated=True), models.Q(('started_at__isnull', False), ('worker__isnull', False)), _connector='OR'), name='furrow_job_running_has_worker'),
        ),
        migrations.AddConstraint(
            model_name='job',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('finished_at__isnull', False), ('state__in', [furrow.states.State['CANCELLED'], furrow.states.State['FAILED'], furrow.states.State['SUCCEEDED']])), models.Q(models.Q(('state__in', [furrow.states.State['CANCELLED'], furrow.states.State['FAILED'], furrow.states.State['SUCCEEDED']]), _negated=True), ('finished_at__isnull', True)), _connector='OR'), name='furrow_job_final_is_finished'),
        ),
        migrations.AddConstraint(
            model_name='job',
            constraint=models.UniqueConstraint(condition=models.Q(('unique_key__isnull', False)), fields=('unique_key',), name='furrow_job_unique'),
        ),
        migrations.AddConstraint(
            model_name='attempt',
            constraint=models.UniqueConstraint(fields=('job', 'number'), name='furrow_attempt_job_number'),
        ),
        migrations.AddIndex(
            model_name='logline',
            index=models.Index(fields=['job', 'id'], name='furrow_log_line_job'),
        ),
        migrations.RunPython(set_storage, migrations.RunPython.noop),
        migrations.RunPython(index_tags, migrations.RunPython.noop),
        migrations.RunPython(guard, unguard),
    ]
