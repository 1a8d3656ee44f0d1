"""Losses over labels or pairs: what a recognizer is trained with."""
