"""Steps: what a handler did in earlier runs of its job is not done again.

``acts`` is what ``current_job`` offers: call a function once, sleep, wait for a signal. ``recorder`` has the rows: what earlier
runs recorded, and what this run adds, guarded by the attempt's number. ``sending`` is ``send_signal``.
"""
