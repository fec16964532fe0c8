"""Where Django finds ``manage.py furrow``, which has all commands."""
