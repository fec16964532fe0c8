from apps.orders import views
from django.contrib import admin
from django.urls import path

from shop.admin import site

admin.autodiscover()
urlpatterns = [
    path("orders/", views.place, name="place"),
    path("staff/", views.staff, name="staff"),
    path("back-office/", site.urls),
]
