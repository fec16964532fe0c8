import logging

from celery import shared_task

from apps.orders.models import Order

logger = logging.getLogger(__name__)


@shared_task(bind=True)
def send_receipt(self, order_id: int) -> str:
    """Goes to the shop's queue with priorities."""
    Order.objects.filter(pk=order_id).update(receipt=f"sent from {self.request.delivery_info['routing_key']}")
    logger.info("receipt of order %s", order_id)
    return f"receipt {order_id}"


@shared_task
def add(a: int, b: int) -> int:
    return a + b
