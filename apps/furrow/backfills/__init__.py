"""Backfills: one job for each row of a queryset, in the order of the rows' keys (docs/backfills.md).

``declared`` is ``furrow.backfill``; ``queries`` keeps a queryset in a row; ``rows`` reads what a backfill's row means;
``moving`` is what the leading dispatcher does; ``acting`` is what people do; ``progress`` what they see.
"""
