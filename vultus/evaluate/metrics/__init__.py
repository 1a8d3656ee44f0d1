"""Metrics: pure functions on arrays and tables; every number is a Metric with interval, unit and count."""
