"""Checks for one's own methods: what each contract promises, drawn faces to try them on, and pinned numbers."""
