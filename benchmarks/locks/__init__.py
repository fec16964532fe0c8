"""What a lock costs: ours against redis-py's ``Lock`` and python-redis-lock, in one run."""
