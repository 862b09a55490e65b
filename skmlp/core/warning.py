"""Warnings that name the line of the user's call."""

import sys
import warnings

_LIBRARIES = {"skmlp", "sklearn", "joblib", "numba"}


def warn(message, category=UserWarning):
    """Warn from the first frame that belongs to none of the libraries on the way.

    Whether `fit` was called by the user, a `Pipeline` or a search, filters by module
    and once per location then mean the user's own.
    """
    frame, level = sys._getframe(), 1
    while frame is not None and _library_of(frame) in _LIBRARIES:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def _library_of(frame):
    return str(frame.f_globals.get("__name__")).partition(".")[0]
