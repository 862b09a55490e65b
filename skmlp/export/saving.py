"""Save fitted estimators, and load them, without running anything from a file."""

from pathlib import Path

import numpy as np
import sklearn

from skmlp.export.container import pack, unpack, write
from skmlp.export.estimators import describe, rebuild
from skmlp.machine.version import __version__


def save(estimator, path, *, resume=True):
    """Save a fitted estimator to a file in the safetensors format.

    Parameters
    ----------
    estimator : MLPClassifier, MLPRegressor, TabularMLPClassifier or \
TabularMLPRegressor
        Fitted.
    path : str or path-like
        Where to write. A file that is there is replaced once the new one is complete.
    resume : bool, default=True
        Whether to keep what training would go on with: moments of the solver, the
        order of rows and the state of the random numbers. Without it, the file is a
        third as large after 'adam'.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    TypeError
        If it is of another class, or of a subclass.
    ValueError
        If a parameter is a function, a generator of random numbers, or another object
        that only a pickle could hold.
    OSError
        If the file cannot be written.
    ImportError
        If safetensors is not installed.

    See Also
    --------
    load : The inverse.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from skmlp import MLPRegressor, load, save
    >>> regr = MLPRegressor(solver="lbfgs", alpha=0).fit([[0.0], [1.0]], [2.0, 4.0])
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "model.safetensors"
    ...     save(regr, path)
    ...     other = load(path)
    >>> other.predict([[0.5]]) == regr.predict([[0.5]])
    array([ True])
    """
    document, tensors = describe(estimator, resume=resume)
    versions = {
        "skmlp": __version__,
        "numpy": np.__version__,
        "scikit-learn": sklearn.__version__,
    }
    write(path, pack({"versions": versions, **document}, tensors))


def load(path):
    """Load an estimator that `save` has written.

    Nothing that the file names is imported, evaluated or unpickled, and its content is
    checked: what loads is an estimator that could have been saved. Whether it predicts
    well is another question: load models from where you trust.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    estimator
        Predicts bit for bit what the saved one did. Training goes on with
        `partial_fit`, or with `fit` and `warm_start`, as it would have there.

    Raises
    ------
    ValueError
        If the file is damaged, of another package, or of a newer format.
    OSError
        If it cannot be read.
    ImportError
        If safetensors is not installed.

    See Also
    --------
    save : Write such a file.
    """
    data = Path(path).read_bytes()
    try:
        return rebuild(*unpack(data))
    except ValueError as error:
        raise ValueError(f"{path} holds no valid model: {error}") from error
