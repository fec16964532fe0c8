"""``/health/live`` and ``/health/ready``."""

from django.urls import path

from apps.monitoring import views

app_name = "monitoring"
urlpatterns = [path("live", views.live, name="live"), path("ready", views.ready, name="ready")]
