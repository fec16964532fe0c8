"""Diagnosis: why a job waits, and figures of queues, kinds and workers.

``explain``  the situation of a job; ``blockers``, ``lockers``, ``unserved``, ``reason``: what may stand in its way.
``figures``, ``kind_figures``  numbers of queues and kinds; ``drift`` what was found amiss and repaired.
``troubles`` what goes wrong in a process; ``wording`` how all of it is said.
"""
