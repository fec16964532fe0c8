"""The frameworks' own tests of task backends, run against Furrow's: ``python -m tests.conformance``."""
