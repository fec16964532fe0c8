"""Claims and results, in one transaction each: ``ledger`` is what any thread adds to, ``thread`` writes it.

``lease`` keeps the right to do so.
"""
