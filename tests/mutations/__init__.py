"""Does anybody notice when the engine is broken? One-line breaks of it (``breaks``), each with the tests that must fail then.

``python -m tests.mutations`` applies each to a copy of the tree and runs its tests there; ``--list`` names them, and names
given choose. It fails when a break survives: then a test is missing.
"""
