"""Backfills: one job for each row of a queryset, in the order of the rows' keys (docs/backfills.md).

``declared`` is ``furrow.backfill``; ``plan`` what becomes of the rows; ``queries`` keeps a queryset in a row;
``moving`` is what the leading dispatcher does; ``acting`` is what people do; ``progress`` what they see.
"""
