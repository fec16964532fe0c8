from django.contrib import admin
from shop.admin import site

from apps.jobs.models import Job


@admin.register(Job, site=site)
class JobAdmin(admin.ModelAdmin):
    list_display = ("title",)
