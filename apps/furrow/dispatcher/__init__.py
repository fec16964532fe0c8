"""The dispatcher: the process that decides what may run. One role a file, each with a ``run_once`` that returns counts.

``process`` is the loop; ``leader`` says whether this one leads; ``dispatch`` sends due jobs to RabbitMQ; ``admission`` gives
jobs the slots of their limits (``limited``: of one queue; ``turns``: between tenants; ``slot_reaper``: what was
left over; ``changes``: limits that are others now); ``pauses`` knows the paused queues; ``rescue`` takes jobs back from dead
workers, in a thread of its own (``lookout``); ``reconcile`` finds messages that were lost,
``orphaned_locks`` locks that nobody holds; ``expire`` cancels what is too late; ``prune`` deletes what ended long ago,
``sweep`` the files that were uploaded for it; ``roll`` adds counts up.
"""
