"""Types of labels and categories outside of Python: integers, numbers or strings."""

import numpy as np

from skmlp.machine.warning import shown


def kind_of_labels(classes):
    """("string" or "integer", labels of that type).

    Raises
    ------
    ValueError
        If the labels are of another type, or of several.
    """
    if classes.dtype.kind in "iub" or _are_whole(classes):
        return "integer", classes.astype(np.int64)
    if _are_strings(classes):
        return "string", np.array([str(own) for own in classes], object)
    if all(isinstance(own, (int, np.integer)) for own in classes):
        return "integer", classes.astype(np.int64)
    raise ValueError(
        f"classes_ must be integers or strings to leave Python, got {shown(classes)}:"
        " fit to such labels."
    )


def kind_of_categories(categories, name):
    """ "string", "integer" or "number": what a column of categories holds. Booleans
    count as integers.

    Raises
    ------
    ValueError
        If it holds something else, or several of these.
    """
    if categories.dtype.kind in "biu":
        return "integer"
    if _are_strings(categories):  # also without any category
        return "string"
    if categories.dtype.kind == "f":
        if np.unique(categories.astype(np.float32)).size == categories.size:
            return "number"
        raise ValueError(
            f"Column {name!r} has categories that are the same number in float32:"
            " convert them to strings before fit."
        )
    raise ValueError(
        f"Column {name!r} has categories of several types, {shown(categories)}: convert"
        " them to strings before fit."
    )


def _are_whole(classes):
    return classes.dtype.kind == "f" and (classes == np.floor(classes)).all()


def _are_strings(values):
    return values.dtype.kind == "U" or (
        values.dtype.kind == "O" and all(isinstance(own, str) for own in values)
    )
