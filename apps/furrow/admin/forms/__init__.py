"""Forms made from type hints: ``forms`` and ``table`` for one job and for many, ``fields`` and its neighbours for their inputs.

The command line reads its arguments through the same fields.
"""
