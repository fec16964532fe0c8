"""``/health/…``, ``/metrics``, and the pages of this application below ``/admin/``, before the admin's own."""

from django.contrib import admin
from django.urls import path

from furrow.monitoring import errors, home, metrics, views

app_name = "furrow"
_inside = admin.site.admin_view
urlpatterns = [
    path("health/live", views.live, name="live"),
    path("health/ready", views.ready, name="ready"),
    path("metrics", metrics.metrics, name="metrics"),
    path("admin/search/", _inside(views.search)),  # the theme's, with its parameter looked at
    path("admin/home/", _inside(home.home), name="home"),
    path("admin/home/live/", _inside(home.home_live), name="home_live"),
    path("admin/errors/", _inside(errors.errors), name="errors"),
    path("admin/errors/live/", _inside(errors.errors_live), name="errors_live"),
]
