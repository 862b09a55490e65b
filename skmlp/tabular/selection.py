"""Greedy selection of an ensemble (Caruana, Niculescu-Mizil, Crew and Ksikes, 2004)."""

import numpy as np


def select(predictions, error, *, most, n_rounds=24):
    """How often each checkpoint counts in the mean prediction of least error.

    Begins with the best one and adds, with repetition, the one that lowers the error
    most, until none does.

    Parameters
    ----------
    predictions : sequence of ndarray of shape (n_rows, n_outputs)
        One for each checkpoint.
    error : callable
        ``error(prediction) -> float``
    most : int
        Checkpoints that may count, at most: each of them costs time in prediction.
    n_rounds : int, default=24
        Sum of the counts, at most.

    Returns
    -------
    ndarray of shape (n_checkpoints,), int
    """
    counts = np.zeros(len(predictions), int)
    total, least = np.zeros_like(predictions[0], dtype=np.float64), np.inf
    for size in range(1, n_rounds + 1):
        may_count = counts > 0
        if np.count_nonzero(counts) < most:
            may_count[:] = True
        candidates = np.flatnonzero(may_count)
        errors = [error((total + predictions[k]) / size) for k in candidates]
        best = int(np.argmin(errors))
        if not errors[best] < least:
            break
        least, chosen = errors[best], candidates[best]
        total += predictions[chosen]
        counts[chosen] += 1
    return counts
