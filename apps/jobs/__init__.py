"""The job engine. One job's way through these files:

``api``         the door: everything that other code may use.
``kinds``       ``@job`` makes a function a kind; ``arguments`` turns its signature into a validator and a form.
``submit``      1. validate, then one INSERT in the caller's transaction: a row in ``models.Job``, state ``pending``.
``dispatcher/`` 2. the leading dispatcher finds it due, publishes its id through ``broker`` and marks it ``queued``.
``worker/``     3. ``intake`` takes the message, ``ledger`` claims the row (``running``) and the message is acknowledged;
                4. ``crew`` hands it to a pool process, where ``runner`` runs the handler and reports;
                5. ``ledger`` settles it: ``succeeded``, ``failed``, or ``pending`` again as ``retry`` says; one row in
                   ``models.Attempt``. ``lease`` keeps the worker's right to do so.
``dispatcher/`` 6. ``rescue`` takes it back if the worker died; ``reconcile`` if the message was lost; ``prune`` deletes it.

``partitions`` says what a queue with partitions is; ``worker/partitions`` keeps the order of its keys.
``states`` is the table of legal moves; ``statements/`` holds the SQL of both databases; ``actions`` is what people may do.
"""
