"""Frozen values: what is seen (Snapshot), what the site wants (Policy), what is decided (Plan)."""
