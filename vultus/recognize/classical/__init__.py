"""Recognizers that need no training: features by formula, people enrolled by pictures, nearest reference wins."""
