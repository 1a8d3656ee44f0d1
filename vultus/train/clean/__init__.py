"""Cleaning of collections: what is kept, what is not, and why, as a table; no file is deleted or moved."""
