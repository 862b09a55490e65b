"""What the columns of X become in the input layer.

By default X is the input as it is.  Otherwise each column has a kind, by which a number
becomes one unit or several:

- "number": x itself; for each of ``size`` pieces between knots, how far x has come in
  it, from 0 to 1; and ``n_waves`` waves cos(2 pi (w x + b)), whose w and b are trained;
- "one_hot": a unit for each of ``size`` categories, of which x is the code; one unit,
  1 or -1, if there are two;
- "table": a trained vector of ``width`` numbers for each of ``size`` categories.

A code that is no category's, such as -1, becomes zeros.  All waves are the last units,
so that they are computed in one loop, and may have a scale and a rate of their own.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

# Columns of the table.
KIND, AT, SIZE, WIDTH, OWN, WAVES, N_WAVES = range(7)
NUMBER, ONE_HOT, TABLE = range(3)
_KINDS = {"number": NUMBER, "one_hot": ONE_HOT, "table": TABLE}


class Column(NamedTuple):
    """What one column of X becomes; see above."""

    kind: str = "number"
    size: int = 0
    width: int = 1
    n_waves: int = 0

    @property
    def n_units(self):
        """Units beside waves."""
        if self.kind == "one_hot":
            return 1 if self.size == 2 else self.size
        return self.width if self.kind == "table" else 1 + self.size

    @property
    def n_knots(self):
        """Ends of pieces."""
        return self.size + 1 if self.kind == "number" and self.size else 0


class Columns(NamedTuple):
    """Where all columns lie.

    Attributes
    ----------
    table : ndarray of shape (n_columns, 7), int64
        Of each column: its kind; its first unit; its size; its width; where among the
        knots or the trained numbers its own begin; its first wave, and how many it has.
    n_units : int
        Of the input layer.
    n_waves, n_trained, n_knots : int
        Trained are frequency and shift of each wave, and all tables.
    """

    table: np.ndarray
    n_units: int
    n_waves: int
    n_trained: int
    n_knots: int


NO_COLUMNS = Columns(np.zeros((0, 7), np.int64), 0, 0, 0, 0)


@lru_cache(maxsize=64)
def make_columns(columns):
    """Columns of a tuple of `Column`."""
    if not columns:
        return NO_COLUMNS
    table = np.zeros((len(columns), 7), np.int64)
    n_units = n_waves = n_knots = 0
    n_trained = 2 * sum(column.n_waves for column in columns)
    for row, column in zip(table, columns):
        kind, size, width, n_own = column
        own = n_trained if kind == "table" else n_knots
        row[:] = _KINDS[kind], n_units, size, width, own, n_waves, n_own
        n_units, n_waves = n_units + column.n_units, n_waves + n_own
        n_knots += column.n_knots
        n_trained += size * width if kind == "table" else 0
    return Columns(table, n_units + n_waves, n_waves, n_trained, n_knots)
