"""``jobs/<id>/output``: include these where your project's own URLs are."""

from django.urls import path

from furrow.streaming.views import output

app_name = "furrow_streaming"
urlpatterns = [path("jobs/<uuid:job_id>/output", output, name="output")]
