from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('furrow', '0010_webhook'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='event',
            index=models.Index(
                condition=models.Q(('published_at__isnull', False)), fields=['published_at', 'id'], name='furrow_event_published'
            ),
        ),
    ]
