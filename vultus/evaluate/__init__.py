"""Prove how well it works: metrics on arrays and tables, protocols that fill them, and one report page."""
