"""Locks, semaphores, leaderships and rate limits over Redis, with fencing tokens; and the wake-ups. The only code that talks to
Redis; other code imports them from ``furrow``. One lock's way through these files:

``guards``   ``lock``, ``semaphore``, ``leader`` as context managers and decorators (``guard``); ``held`` is what they give.
``line``     takes a slot at once, or stands in line for it; gives it back.
``scripts/`` what happens in Redis, each move in one script; ``client`` runs them, ``keys`` names what they touch.
``keeper``   keeps the leases of what is held, and stops holders that lost theirs.
``strange``  keys that hold what Furrow did not put there.
``epoch``    why tokens never go back, even if Redis lost its memory.
``fenced``   models whose rows refuse a write under an old token.
``rate``     ``rate_limit``. ``listing`` is what the admin shows.
"""
