"""Submitting: validate, then one INSERT in the caller's transaction.

``job``      ``@job``, which makes a function a kind that can be submitted.
``submit``   the functions; ``options`` what may be said of a job; ``columns`` what its rules come to in the row.
``uploads``  files that jobs are given.
``eager``    jobs that run at their submit: in tests, and where Celery's tasks do.
"""
