"""Workflows: a list, and a page of each with its graph, its timeline and its nodes in a table."""
