"""Benchmarks of the planner: fixed inputs, an independent audit of every plan, and a table (see README.md)."""
