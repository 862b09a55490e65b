"""Which columns of a table are categories, as users say it."""

import numpy as np


def categorical_mask(categorical_features, n_features, names):
    """A mask over columns, or None if their dtypes decide.

    Parameters
    ----------
    categorical_features : "from_dtype", array-like of bool, int or str, or None
    n_features : int
    names : list or None
        Names of the columns.

    Raises
    ------
    ValueError
        If a mask has another length, an index is out of range, or a name is unknown.
    """
    if isinstance(categorical_features, str):
        return None
    mask = np.zeros(n_features, bool)
    if categorical_features is None or len(categorical_features) == 0:
        return mask
    chosen = np.asarray(categorical_features, object).tolist()
    chosen = [item.item() if isinstance(item, np.generic) else item for item in chosen]
    types = set(map(type, chosen))
    if types == {bool}:
        return _checked_mask(chosen, n_features)
    if types == {str}:
        chosen = _indices_of(chosen, names)
    elif types != {int}:
        found = ", ".join(sorted(kind.__name__ for kind in types))
        raise ValueError(
            "categorical_features must be an array-like of bool, int or str, got:"
            f" {found}."
        )
    if min(chosen) < 0 or max(chosen) >= n_features:
        raise ValueError(
            "categorical_features set as integer indices must be in"
            f" [0, n_features - 1] = [0, {n_features - 1}]"
        )
    mask[chosen] = True
    return mask


def _checked_mask(mask, n_features):
    if len(mask) != n_features:
        raise ValueError(
            "categorical_features set as a boolean mask must have shape (n_features,)"
            f" = ({n_features},), got: ({len(mask)},)"
        )
    return np.array(mask)


def _indices_of(chosen, names):
    if names is None:
        raise ValueError(
            "categorical_features should be passed as an array of integers or as a"
            " boolean mask when the model is fitted on data without feature names."
        )
    for name in chosen:
        if name not in names:
            raise ValueError(
                f"categorical_features has an item value '{name}' which is not a valid"
                f" feature name of the training data. Observed feature names: {names}"
            )
    return [names.index(name) for name in chosen]
