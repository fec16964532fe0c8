"""``manage.py furrow dev``: all processes of a project for its developer, in one terminal.

``child`` is one of the processes, ``watch`` sees code change, ``group`` keeps them running, ``command`` chooses what runs.
"""
