"""Embedders: crops to unit vectors of one space."""
