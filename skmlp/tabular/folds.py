"""Which rows each member is trained on, and which it is judged by."""

import numpy as np

_MOST_ROWS = 10_000  # to judge by: more would only take time


def make_folds(rows, codes, fraction, n_members, random_state):
    """(training rows, validation rows) of each member.

    As in bagging by cross-validation, members take turns with the folds, so that
    together they learn from all rows; there is a new order after each round.

    Parameters
    ----------
    rows : ndarray of int
        Those that count.
    codes : ndarray of shape (n_all_rows,) or None
        Classes, of which each fold gets an equal share.
    fraction : float
        Of the rows that a member is judged by.
    n_members : int
    random_state : RandomState

    Returns
    -------
    list of (ndarray, ndarray)
    """
    n_folds = min(max(2, round(1 / fraction)), rows.size)
    folds, pairs = [], []
    for member in range(n_members):
        if member % n_folds == 0:
            folds = _deal(rows, codes, n_folds, random_state)
        held_out = folds[member % n_folds][:_MOST_ROWS]
        is_training = np.ones(rows.max() + 1, bool)
        is_training[held_out] = False
        pairs.append((rows[is_training[rows]], np.sort(held_out)))
    return pairs


def _deal(rows, codes, n_folds, random_state):
    """Deal rows out like cards, class by class."""
    order = random_state.permutation(rows)
    if codes is not None:
        order = order[np.argsort(codes[order], kind="stable")]
    # Small classes must not all begin with the first fold.
    return [
        random_state.permutation(order[k::n_folds])
        for k in random_state.permutation(n_folds)
    ]
