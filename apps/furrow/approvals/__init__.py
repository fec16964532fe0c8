"""Approvals: a job asks a person, and goes on with the decision (docs/approvals.md).

``asking``    what the job does: a row, and a wait for a signal; ``mailing`` tells those who may decide.
``form``      the form of an approval, made from type hints.
``deciding``  who may decide, what is open, and the decision.
"""
