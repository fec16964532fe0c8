"""Celery tasks of the project as durable jobs, unchanged (``FURROW["ADOPT"]``): sent by an INSERT, run by Celery's own tracer.

``tasks``      the class below every task of the application, and the kinds that are made of tasks; ``choosing`` says of which.
``kind``       a task as a kind; ``arguments``: its arguments by the names of its parameters, as Celery's JSON has them.
``sending``    a call, with Celery's options, as a submit; ``publishing``: Celery's signals of a publish.
``running``    a run in the pool process; ``request`` is what the task reads of it, ``backend`` what Celery tells of its end.
"""
