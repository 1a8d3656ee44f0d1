"""Loaders of data sets in their published layouts. Pictures are read lazily and never re-encoded."""

from __future__ import annotations

from vultus.io.datasets.folders import folder
from vultus.io.datasets.pairs import cross_lfw_pairs, lfw_pairs
from vultus.io.datasets.records import Dataset, Pairs
from vultus.io.datasets.tables import csv_table

__all__ = ["Dataset", "Pairs", "cross_lfw_pairs", "csv_table", "folder", "lfw_pairs"]
