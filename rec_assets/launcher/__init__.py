"""Runs of Dagster in a warm worker: the launcher's side, the worker's side, and what keeps processes running."""
