"""URLs: the admin is the site; ``/`` leads to it."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("", include("apps.monitoring.urls")),
    path("admin/", admin.site.urls),
]
