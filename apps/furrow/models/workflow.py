"""Workflows: jobs that wait for each other. A workflow is a graph of nodes; a node is one job, or many of one kind."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from furrow.models.json_field import JSONField
from furrow.models.users import forget_user
from furrow.states import Condition, NodeState, WorkflowState


class Workflow(models.Model):
    """A graph of nodes that was submitted whole, and to which its own running jobs may add."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=200)
    state = models.CharField(
        max_length=10,
        choices=[(s.value, s.value) for s in WorkflowState],
        db_default=WorkflowState.RUNNING.value,
        default=WorkflowState.RUNNING.value,
    )
    #: Nothing more is let go until it goes on.
    paused_at = models.DateTimeField(null=True, blank=True)
    #: When it was cancelled, and why; the leading dispatcher then ends what has not begun, and asks what runs to stop.
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    reason = models.CharField(max_length=500, blank=True, db_default="", default="")
    #: It is cancelled when it has not ended by then.
    expires_at = models.DateTimeField(null=True, blank=True)
    #: The node whose result is the workflow's; null: it has none.
    result_node = models.UUIDField(null=True, blank=True)
    #: The node of another workflow that this one is.
    parent = models.UUIDField(null=True, blank=True)
    #: The workflow that this one repeats from a node on.
    fork_of = models.UUIDField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    finished_at = models.DateTimeField(null=True, blank=True)
    submitted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=forget_user,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )

    class Meta:
        ordering = ["-id"]
        permissions = [("act_on_workflow", "Can cancel, pause, restart and fork workflows")]
        constraints = [
            models.CheckConstraint(condition=Q(state__in=[s.value for s in WorkflowState]), name="furrow_workflow_state_known"),
            models.CheckConstraint(
                condition=Q(state=WorkflowState.RUNNING.value, finished_at__isnull=True)
                | (~Q(state=WorkflowState.RUNNING.value) & Q(finished_at__isnull=False)),
                name="furrow_workflow_final_is_finished",
            ),
        ]
        indexes = [
            models.Index(fields=["state", "-id"], name="furrow_workflow_state"),
            models.Index(fields=["finished_at"], name="furrow_workflow_finished", condition=Q(finished_at__isnull=False)),
            models.Index(fields=["parent"], name="furrow_workflow_parent", condition=Q(parent__isnull=False)),
            models.Index(fields=["fork_of"], name="furrow_workflow_fork", condition=Q(fork_of__isnull=False)),
            models.Index(
                fields=["expires_at"],
                name="furrow_workflow_expiring",
                condition=Q(state=WorkflowState.RUNNING.value, cancel_requested_at__isnull=True, expires_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.id}"


class Node(models.Model):
    """A part of a workflow. Who moves it holds its workflow's row locked; how many of its jobs have not ended, failed or were
    cancelled is kept by :class:`Move`."""

    class Sort(models.TextChoices):
        """What it is."""

        JOB = "job"
        #: Many jobs of one kind, which may be none.
        MAP = "map"
        #: Many jobs of any kinds, which are added one after the other until it is closed.
        BATCH = "batch"
        #: Another workflow, whose ``parent`` this node is.
        WORKFLOW = "workflow"

    class Role(models.TextChoices):
        """What it is there for, if not for the workflow's result."""

        #: Runs when the workflow has failed, and that which it compensates had succeeded.
        COMPENSATION = "compensation"
        #: Runs when the workflow has failed.
        ON_FAILURE = "on failure"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    workflow = models.ForeignKey(Workflow, on_delete=models.CASCADE, related_name="nodes", db_constraint=False, db_index=False)
    #: Unique in its workflow.
    name = models.CharField(max_length=200)
    sort = models.CharField(max_length=10, choices=Sort.choices, db_default=Sort.JOB, default=Sort.JOB)
    #: Of its jobs; empty where it has none of its own.
    kind = models.CharField(max_length=200, blank=True, db_default="", default="")
    state = models.CharField(
        max_length=10,
        choices=[(s.value, s.value) for s in NodeState],
        db_default=NodeState.WAITING.value,
        default=NodeState.WAITING.value,
    )
    #: Edges to it of which nothing is known yet.
    unmet = models.IntegerField(db_default=0, default=0)
    #: How many jobs it has, and how many of these have not ended, failed, were cancelled. A batch that is not closed counts as
    #: one more that has not ended.
    jobs = models.IntegerField(db_default=0, default=0)
    open = models.IntegerField(db_default=0, default=0)
    failed = models.IntegerField(db_default=0, default=0)
    cancelled = models.IntegerField(db_default=0, default=0)
    #: Arguments that are known when it is let go, by name (:mod:`furrow.workflows.references`).
    deferred = JSONField(shape=dict, null=True, blank=True)
    role = models.CharField(max_length=12, choices=Role.choices, blank=True, db_default="", default="")
    #: The node whose effects it takes back.
    compensates = models.UUIDField(null=True, blank=True)
    #: Nothing more may be added to this batch.
    closed_at = models.DateTimeField(null=True, blank=True)
    #: The node whose running job added it.
    added_by = models.UUIDField(null=True, blank=True)
    #: Why it was skipped.
    reason = models.TextField(blank=True, db_default="", default="")
    #: The node of another workflow whose results are this one's: it was not run again.
    result_of = models.UUIDField(null=True, blank=True)
    #: In the order in which they were added.
    position = models.IntegerField(db_default=0, default=0)
    let_go_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["workflow", "position"]
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(fields=["workflow", "name"], name="furrow_node_name"),
            models.CheckConstraint(condition=Q(state__in=[s.value for s in NodeState]), name="furrow_node_state_known"),
        ]
        indexes = [
            models.Index(fields=["workflow", "position"], name="furrow_node_order"),
            models.Index(
                fields=["workflow"],
                name="furrow_node_open",
                condition=Q(state__in=[NodeState.WAITING.value, NodeState.RUNNING.value]),
            ),
        ]

    def __str__(self) -> str:
        return f"node {self.name} of workflow {self.workflow_id}"


class Edge(models.Model):
    """That a node waits for another."""

    workflow = models.ForeignKey(Workflow, on_delete=models.CASCADE, related_name="edges", db_constraint=False)
    parent = models.UUIDField()
    child = models.UUIDField()
    condition = models.CharField(
        max_length=13,
        choices=[(c.value, c.value) for c in Condition],
        db_default=Condition.SUCCESS.value,
        default=Condition.SUCCESS.value,
    )
    #: What came of it; null: not known yet.
    met = models.BooleanField(null=True, blank=True)

    class Meta:
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(fields=["parent", "child"], name="furrow_edge_once"),
            models.CheckConstraint(condition=Q(condition__in=[c.value for c in Condition]), name="furrow_edge_condition_known"),
        ]
        indexes = [models.Index(fields=["child"], name="furrow_edge_child")]

    def __str__(self) -> str:
        return f"{self.child} after {self.condition} of {self.parent}"


class Move(models.Model):
    """What became of a node's jobs, and was not counted at the node yet: an outbox. A trigger writes it in the transaction that
    ends a job, however it ends, or takes it up again; the leading dispatcher adds it up."""

    id = models.BigAutoField(primary_key=True)
    node = models.UUIDField()
    open = models.SmallIntegerField(db_default=0, default=0)
    failed = models.SmallIntegerField(db_default=0, default=0)
    cancelled = models.SmallIntegerField(db_default=0, default=0)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"move of node {self.node}"
