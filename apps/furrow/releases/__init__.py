"""Releases: a share of a kind's jobs goes to the workers of a new version of the code first, and how they fare there.

``acting`` is what people do: begin, widen and take back a canary. ``comparing`` is what they see. Which worker takes a job is
decided where it is claimed (:mod:`furrow.worker.ledger.canaries`).
"""
