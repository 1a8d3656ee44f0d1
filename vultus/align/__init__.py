"""Align: from rough points to better points, and to the crop that a model wants."""
