"""Clustering: which unknown faces are of one person."""
