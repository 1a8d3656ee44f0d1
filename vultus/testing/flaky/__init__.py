"""Flaky tests: found by rerunning under changed circumstances, named by cause, kept in a history, never hidden."""
