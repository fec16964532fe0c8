from django.db import models


class Order(models.Model):
    customer = models.CharField(max_length=100)
    receipt = models.CharField(max_length=100, blank=True)
    asked = models.BooleanField(default=False)

    def __str__(self) -> str:
        return f"order of {self.customer}"
