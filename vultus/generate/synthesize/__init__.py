"""Data sets of people who do not exist."""
