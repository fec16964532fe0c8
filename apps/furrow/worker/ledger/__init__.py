"""A thread with a database connection of its own: ``ledger`` writes claims and results in groups, ``lease`` keeps the right to
do so."""
