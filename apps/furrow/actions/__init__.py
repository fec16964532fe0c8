"""Actions of people on jobs, queues, workers, locks and dead letters.

``jobs``  cancel, retry, run now, snooze, change, delete; ``bulk`` the same for many, chosen by a ``selection``.
``queues``, ``workers``, ``locks``, ``dead_letters``  what may be done to these.
``permissions`` says who may; ``audit`` writes down who did.
"""
