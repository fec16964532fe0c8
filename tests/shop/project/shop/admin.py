"""The back office: the shop's own admin site; with the theme, the default site, which the theme replaces."""

from django.conf import settings
from django.contrib import admin


class BackOffice(admin.AdminSite):
    site_header = "Back office"
    index_title = "What there is to do"


site = admin.site if settings.WITH_UNFOLD else BackOffice(name="back_office")
