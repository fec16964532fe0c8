from django.contrib import admin
from shop.admin import site

from apps.accounts.models import User


@admin.register(User, site=site)
class UserAdmin(admin.ModelAdmin):
    list_display = ("email", "is_staff")
