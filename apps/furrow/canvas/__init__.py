"""Celery's canvas for kinds: a chain, group or chord of them is a workflow, submitted whole in the caller's transaction.

``adoption``    takes a canvas up where Celery's classes would send it, if it consists of kinds.
``signatures``  Celery's signatures, taken apart.
``makeup``      what a canvas consists of: kinds, ordinary tasks, or a mixture that is refused by name.
``building``    the parts as nodes of a workflow, with what each is given, and with Celery's results.
"""
