"""Categories of a column: what there is, and the code of each."""

from decimal import Decimal
from numbers import Real

import numpy as np


class Categories:
    """The categories of a column, and what becomes of them in the output.

    Parameters
    ----------
    column : Column
    weight : ndarray of shape (n_rows,) or None, default=None
        Rows of weight zero do not count.
    max_categories : int or None, default=None
        So many are kept, those of the largest weight.

    Attributes
    ----------
    values : ndarray
        Categories in rising order.
    has_rest : bool
        Whether a row has none of them.
    """

    def __init__(self, column, weight=None, max_categories=None):
        levels, codes = column.levels()
        # The last place counts the rows whose value is missing.
        weights = np.bincount(codes % (len(levels) + 1), weight, len(levels) + 1)
        weight_of = dict(zip(levels, weights.tolist()))
        kept = _in_order([level for level in levels if weight_of[level] > 0])
        n_present = len(kept)
        if max_categories is not None and n_present > max_categories:
            heaviest = sorted(kept, key=weight_of.get, reverse=True)[:max_categories]
            kept = _in_order(heaviest)
        self.has_rest = bool(weights[-1] > 0) or len(kept) < n_present
        self._set_values(_as_array(kept))

    def _set_values(self, values):
        self.values = values
        self._code_of = {own: code for code, own in enumerate(values.tolist())}

    def __getstate__(self):
        """Without the dict: some formats change the types of its keys."""
        return {"values": self.values, "has_rest": self.has_rest}

    def __setstate__(self, state):
        self.has_rest = state["has_rest"]
        self._set_values(state["values"])

    def __len__(self):
        return len(self.values)

    def encode(self, column):
        """Each row's index into ``values``, -1 if it has none of them."""
        levels, codes = column.levels()
        code_of = self._code_of
        table = [code_of.get(level, -1) for level in levels]
        return np.array([*table, -1], np.intp)[codes]


def _in_order(categories):
    """Numbers by value, then others by type and value."""
    groups = {}
    names = {kind: _name_of(kind) for kind in set(map(type, categories))}
    for category in categories:
        groups.setdefault(names[type(category)], []).append(category)
    return [category for name in sorted(groups) for category in _sorted(groups[name])]


def _name_of(kind):
    if issubclass(kind, (Real, Decimal, np.bool_)):
        return ""
    return "str" if issubclass(kind, str) else kind.__name__


def _sorted(categories):
    try:
        return sorted(categories)
    except TypeError:  # such as tuples of strings and numbers
        return sorted(categories, key=repr)


def _as_array(categories):
    """An array of numbers or booleans if all are alike, else of objects."""
    types = set(map(type, categories))
    if len(types) == 1 and types <= {bool, int, float}:
        return np.array(categories)
    return np.fromiter(categories, object, len(categories))
