"""The one-to-one assignment that scores best: exact, by shortest augmenting paths.

The Hungarian method in the form of Jonker and Volgenant for tables that need not be square, as in Crouse, "On
Implementing 2D Rectangular Assignment Algorithms", 2016, doi:10.1109/TAES.2016.140952.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus.types import checked

__all__ = ["assign"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


def assign(scores: ArrayLike) -> I64:
    """Give every row a column of its own, or every column a row where rows are more, so that the sum is the largest.

    Scores may be negative: as many pairs as fit are made all the same. Where a pair is worth making only above a bar,
    score it max(score - bar, 0) and drop what scored 0: no choice of pairs gains more over the bar.

    Args:
        scores: (N, M), higher is better.

    Returns:
        (N,) column of each row, -1 where it got none, which only happens where N > M. Of choices that are equally good
        always the same one.

    Raises:
        InputError: if it is no table or a score is not finite.
    """
    table = checked("scores", scores, (None, None), np.float64)
    if table.shape[0] <= table.shape[1]:
        return _columns(-table)
    found = np.full(table.shape[0], -1, np.int64)
    found[_columns(-table.T)] = np.arange(table.shape[1])
    return found


def _columns(cost: F64) -> I64:
    """(N,) column of each row at the least cost, N <= M."""
    rows, columns = cost.shape
    row_price, column_price = np.zeros(rows), np.zeros(columns)
    column_of, row_of = np.full(rows, -1, np.int64), np.full(columns, -1, np.int64)
    for start in range(rows):
        nearest, via = np.full(columns, np.inf), np.full(columns, -1, np.int64)
        reached = np.zeros(columns, bool)
        tree = [start]
        row, so_far = start, 0.0
        while True:  # each turn reaches one column more
            through = so_far + cost[row] - row_price[row] - column_price
            closer = (through < nearest) & ~reached
            nearest[closer], via[closer] = through[closer], row
            column = int(np.where(reached, np.inf, nearest).argmin())
            reached[column], so_far = True, float(nearest[column])
            if row_of[column] < 0:
                break
            row = int(row_of[column])
            tree.append(row)
        row_price[start] += so_far
        others = np.array(tree[1:], np.int64)
        row_price[others] += so_far - nearest[column_of[others]]
        column_price[reached] -= so_far - nearest[reached]
        while True:  # along the path back, every row takes the column that it was reached from
            row = int(via[column])
            row_of[column], column_of[row], column = row, column, int(column_of[row])
            if row == start:
                break
    return column_of
