from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse

from apps.orders import tasks
from apps.orders.models import Order


class CardRefused(Exception):
    pass


def place(request: HttpRequest) -> HttpResponse:
    """Take an order, in one transaction; a card that is refused rolls it back."""
    customer = request.POST["customer"]
    try:
        with transaction.atomic():
            order = Order.objects.create(customer=customer)
            transaction.on_commit(lambda: tasks.send_receipt.apply_async([order.pk], priority=7))
            # here a job is submitted
            if customer == "thief":
                raise CardRefused
    except CardRefused:
        return JsonResponse({"refused": order.pk}, status=402)
    return JsonResponse({"order": order.pk})


def staff(request: HttpRequest) -> HttpResponse:
    raise PermissionDenied
