"""The workflows of a campaign's load."""

import random


def submit_a_workflow(dice: random.Random) -> list[str]:
    """Many jobs and their join, a chain, one that fails, one that adds to the workflow, a workflow inside; returns the ids."""
    from furrow import workflow
    from furrow.models import Job, Node
    from furrow.prove import kinds

    many = 1_000 if not dice.randrange(30) else dice.randrange(40)
    with workflow(f"prove {dice.random()}") as w:
        first = w.add(kinds.noop, {"n": dice.randrange(1000)}, name="first")
        mapped = w.map(kinds.noop, [{"n": n} for n in range(many)], after=[first], name="many")
        join = w.add(kinds.joins, {"answers": mapped.results}, after=[mapped], name="join")
        last = first
        for number in range(dice.randrange(6)):
            last = w.add(kinds.links, {"before": last.result}, after=[last], name=f"link {number}")
        fails = w.add(kinds.fails, after=[join, last] if last is not first else [join], name="fails")
        skipped = w.add(kinds.noop, after=[fails], name="skipped")
        w.add(kinds.noop, after=[skipped.ended], name="cleans up")
        w.add(kinds.noop, after=[fails.failed], name="mends")
        w.add(kinds.noop, after=[mapped.first_failed], name="alarm")
        if dice.random() < 0.5:
            grows = w.add(kinds.grows, {"n": 1}, after=[first], name="grows")
            w.add(kinds.noop, after=[grows], name="after it has grown")
        inner = w.workflow("inside", after=[join])
        one = inner.add(kinds.noop, name="one")
        inner.add(kinds.links, {"before": one.result}, after=[one], name="two")
        assert inner.node is not None
        w.add(kinds.links, {"before": inner.node.result}, after=[inner.node], name="after the inside")
    nodes = Node.objects.filter(workflow__in=[w.id, inner.id])
    return [id.hex for id in Job.objects.filter(node__in=nodes.values("pk")).order_by("pk").values_list("pk", flat=True)]
