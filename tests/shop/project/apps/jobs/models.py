from django.db import models


class Job(models.Model):
    """A vacancy: the label ``jobs`` and the table ``jobs_job`` are the shop's."""

    title = models.CharField(max_length=100)

    def __str__(self) -> str:
        return self.title
