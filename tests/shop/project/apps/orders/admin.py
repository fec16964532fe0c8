from django.contrib import admin
from shop.admin import site

from apps.orders.models import Order


@admin.register(Order, site=site)
class OrderAdmin(admin.ModelAdmin):
    list_display = ("customer", "receipt")
