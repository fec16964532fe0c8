"""Output streams: what a run emits (``current_job.emit``), read outside while it runs, by server-sent events."""
