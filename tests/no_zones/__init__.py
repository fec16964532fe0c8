"""A project whose times have no zone."""
