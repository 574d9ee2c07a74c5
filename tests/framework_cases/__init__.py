"""Nets of other frameworks, and what has to hold of each: used by tests and by benchmarks/framework_table.py."""
