"""URLs: the admin is the site; ``/`` leads to it."""

from importlib import import_module

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView
from furrow.monitoring.flower import flower

admin.autodiscover()
import_module("config.accounts")
import_module("config.celery_results")
admin.site.index_template = "furrow/monitoring/home.html"
admin.site.index_title = "Overview"
handler400 = "furrow.web.parameters.bad_request"
urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("", include("furrow.monitoring.urls")),
    path("", include("furrow.streaming.urls")),
    path("admin/", admin.site.urls),
    path("api/", include("furrow.api.urls")),
    path("mcp", include("furrow.assistant.urls")),
    path("flower", RedirectView.as_view(pattern_name="flower")),
    path("flower/", flower, name="flower"),
    path("flower/<path:path>", flower, name="flower"),
]
