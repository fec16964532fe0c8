"""Kinds of job: declaration, arguments, registry. Nothing here knows how a job is submitted.

``kind``        what a kind is, and the registry of them; ``declaration`` refuses options that cannot work.
``arguments``   turns a handler's signature into a validator and a form; ``hints`` are the types of ours that it may name.
``handlers``    which functions can be handlers, and where they are found.
``canvas_parts`` its signatures, for Celery's canvas.
``task``        the Celery task that each kind is registered as.
``retry``       what becomes of a failed run; ``secret``, ``tags``: values that jobs carry.
"""
