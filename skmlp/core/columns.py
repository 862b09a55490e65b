"""What the columns of X become in the input layer.

By default X is the input as it is.  Otherwise each column has a kind, by which a number
becomes one unit or several:

- "number": x itself;
- "periodic": x, and ``size`` waves cos(2 pi (w x + b)), whose w and b are trained;
- "piecewise": for each of ``size`` bins, how far x has come in it, from 0 to 1;
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
KIND, AT, SIZE, WIDTH, OWN = range(5)
NUMBER, PERIODIC, PIECEWISE, ONE_HOT, TABLE = range(5)
_KINDS = {
    "number": NUMBER,
    "periodic": PERIODIC,
    "piecewise": PIECEWISE,
    "one_hot": ONE_HOT,
    "table": TABLE,
}


class Column(NamedTuple):
    """What one column of X becomes; see above."""

    kind: str = "number"
    size: int = 1
    width: int = 1

    @property
    def n_units(self):
        """Units beside waves."""
        if self.kind == "one_hot":
            return 1 if self.size == 2 else self.size
        return {"piecewise": self.size, "table": self.width}.get(self.kind, 1)

    @property
    def n_waves(self):
        return self.size if self.kind == "periodic" else 0


class Columns(NamedTuple):
    """Where all columns lie.

    Attributes
    ----------
    table : ndarray of shape (n_columns, 5), int64
        Of each column: its kind; its first unit; its size; its width; where among the
        waves, the knots, or the trained numbers its own begin.
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


NO_COLUMNS = Columns(np.zeros((0, 5), np.int64), 0, 0, 0, 0)


@lru_cache(maxsize=64)
def make_columns(columns):
    """Columns of a tuple of `Column`."""
    if not columns:
        return NO_COLUMNS
    table = np.zeros((len(columns), 5), np.int64)
    n_units = n_waves = n_knots = 0
    n_trained = 2 * sum(column.n_waves for column in columns)
    for row, column in zip(table, columns):
        own = 0
        if column.kind == "periodic":
            own, n_waves = n_waves, n_waves + column.size
        elif column.kind == "piecewise":
            own, n_knots = n_knots, n_knots + column.size + 1
        elif column.kind == "table":
            own, n_trained = n_trained, n_trained + column.size * column.width
        row[:] = _KINDS[column.kind], n_units, column.size, column.width, own
        n_units += column.n_units
    return Columns(table, n_units + n_waves, n_waves, n_trained, n_knots)
