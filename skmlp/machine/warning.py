"""Warnings that name the line of the user's call, and what messages show."""

import sys
import warnings

_LIBRARIES = {"skmlp", "sklearn", "joblib", "numba"}
_WORKERS = {"threading", "concurrent", "multiprocessing"}


def warn(message, category=UserWarning):
    """Warn from the first frame that belongs to none of the libraries on the way.

    Whether `fit` was called by the user, a `Pipeline` or a search, filters by module
    and once per location then mean the user's own. In a worker, whose stack does not
    reach back to the user, the warning comes from skmlp.
    """
    frame, level, own = sys._getframe(), 1, 1
    while _library_of(frame) in _LIBRARIES:
        if _library_of(frame) == "skmlp":
            own = level
        frame, level = frame.f_back, level + 1
    is_worker = frame is None or _library_of(frame) in _WORKERS
    warnings.warn(message, category, stacklevel=own if is_worker else level)


def _library_of(frame):
    name = None if frame is None else frame.f_globals.get("__name__")
    return str(name).partition(".")[0]


def shown(value):
    """A short text for messages, of anything."""
    try:
        text = repr(value)
    except ValueError:  # integers of thousands of digits have none
        return f"an object of type {type(value).__name__}"
    return text if len(text) <= 200 else f"{text[:200]}..."
