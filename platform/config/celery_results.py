"""The results of plain Celery tasks (django-celery-results), read-only and in this site's style."""

from django.contrib import admin
from django_celery_results.admin import GroupResultAdmin as CeleryGroupResultAdmin
from django_celery_results.admin import TaskResultAdmin as CeleryTaskResultAdmin
from django_celery_results.models import GroupResult, TaskResult
from furrow.admin.filters import TaskStatusFilter
from furrow.admin.readonly import ReadOnlyAdmin
from furrow.diagnosis.wording import moment
from unfold.decorators import display

for model in (TaskResult, GroupResult):
    if admin.site.is_registered(model):
        admin.site.unregister(model)

_LABELS = {"SUCCESS": "success", "FAILURE": "danger", "STARTED": "primary", "RETRY": "info", "REVOKED": "warning"}


@admin.register(TaskResult)
class TaskResultAdmin(ReadOnlyAdmin):
    """Results of tasks."""

    empty_title = "No results"
    empty_text = "What plain Celery tasks return is kept here; the results of jobs are on their own pages."
    fieldsets = CeleryTaskResultAdmin.fieldsets
    list_display = ("task_id", "task_name", "status_label", "worker", "done")
    list_filter = (TaskStatusFilter,)
    ordering = ("-id",)
    search_fields = ("task_id",)
    search_texts = ("task_id", "task_name", "task_args", "task_kwargs")
    search_ids = ("task_id",)
    search_help_text = "Task id, name or arguments"

    @display(description="status", label=_LABELS)
    def status_label(self, result: TaskResult) -> str:
        """The status, coloured."""
        return str(result.status)

    @display(description="done")
    def done(self, result: TaskResult) -> str:
        """When it was done."""
        return moment(result.date_done)


@admin.register(GroupResult)
class GroupResultAdmin(ReadOnlyAdmin):
    """Results of groups."""

    fields = ("group_id", "date_created", "date_done", "result")
    list_display = CeleryGroupResultAdmin.list_display
    ordering = ("-id",)
    search_fields = ("group_id",)
    search_texts = search_ids = ("group_id",)
    search_help_text = "Group id"
