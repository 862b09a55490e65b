"""Pickles carry the version of the package, and warn if it is another one."""

from sklearn.exceptions import InconsistentVersionWarning

from skmlp.machine.version import __version__
from skmlp.machine.warning import warn

VERSION = "_skmlp_version"  # in pickles only


class Versioned:
    """The part of an estimator that knows which version has written its pickle."""

    def __getstate__(self):
        return {**super().__getstate__(), VERSION: __version__}

    def __setstate__(self, state):
        state = dict(state)
        original = state.pop(VERSION, "before 0.1.0")
        if original != __version__:
            warning = InconsistentVersionWarning(
                estimator_name=type(self).__name__,
                current_sklearn_version=__version__,
                original_sklearn_version=original,
            )
            warn(warning, InconsistentVersionWarning)
        super().__setstate__(state)
