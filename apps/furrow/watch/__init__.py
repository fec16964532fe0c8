"""Watching ordinary Celery tasks before they are adopted (``FURROW["ADOPT"] = "watch"``): nothing of how they are sent or run
changes.

``listening``  Celery's signals, in publishers and workers, as sightings;
``recorder``   keeps sightings until its thread writes them; counts those that it drops;
``writing``    writes a batch of them;
``report``     what the rows say: calls that were lost, run twice or are stuck; tasks that ran daily and have not since.
"""
