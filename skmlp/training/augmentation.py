"""Augmentation of training rows, afresh in each epoch.

An augmentation is a callable ``(X, Y, rng) -> X, Y``: X of shape (n_rows, n_features),
Y the targets as the network sees them, of shape (n_rows, n_outputs) (indicators of the
classes, one column for two of them), rng a `numpy.random.RandomState`. It returns new
arrays of the same shapes and leaves those given alone.
"""

from dataclasses import dataclass

import numpy as np

from skmlp.core.inputs import read_only


def _check(condition, message):
    if not condition:
        raise ValueError(message)


def _check_image(X, shape):
    _check(
        X.shape[1] == int(np.prod(shape)),
        f"shape={shape} has {int(np.prod(shape))} pixels, but X has {X.shape[1]}"
        " features.",
    )


@dataclass(frozen=True)
class GaussianNoise:
    """Add normal noise to each feature.

    Parameters
    ----------
    std : float
        Standard deviation, in units of X: scale the features first.

    Examples
    --------
    >>> import numpy as np
    >>> from skmlp.augmentation import GaussianNoise
    >>> X, Y = np.zeros((2, 3)), np.ones((2, 1))
    >>> GaussianNoise(0.1)(X, Y, np.random.RandomState(0))[0].round(2)
    array([[ 0.18,  0.04,  0.1 ],
           [ 0.22,  0.19, -0.1 ]])
    """

    std: float

    def __post_init__(self):
        _check(self.std >= 0, f"std must be >= 0, got {self.std}.")

    def __call__(self, X, Y, rng):
        return X + (self.std * rng.standard_normal(X.shape)).astype(X.dtype), Y


@dataclass(frozen=True)
class SwapNoise:
    """Replace entries by those of the same column in other rows.

    Parameters
    ----------
    rate : float
        Share of entries, in [0, 1].

    Examples
    --------
    >>> import numpy as np
    >>> from skmlp.augmentation import SwapNoise
    >>> X, Y = np.array([[1, 10], [2, 20], [3, 30]]), np.ones((3, 1))
    >>> SwapNoise(0.5)(X, Y, np.random.RandomState(0))[0]
    array([[ 1, 10],
           [ 2, 20],
           [ 1, 30]])
    """

    rate: float

    def __post_init__(self):
        _check(0 <= self.rate <= 1, f"rate must be in [0, 1], got {self.rate}.")

    def __call__(self, X, Y, rng):
        swapped = rng.random_sample(X.shape) < self.rate
        rows = rng.randint(len(X), size=X.shape)
        others = np.take_along_axis(X, rows, axis=0)
        return np.where(swapped, others, X), Y


@dataclass(frozen=True)
class Mixup:
    """Mix each row and its target with another one (Zhang et al., 2018).

    Parameters
    ----------
    alpha : float
        The share of the other row is drawn from Beta(alpha, alpha), and at most one
        half; 0 mixes nothing.

    Examples
    --------
    >>> import numpy as np
    >>> from skmlp.augmentation import Mixup
    >>> X, Y = np.array([[0.0], [1], [2]]), np.array([[0.0], [1], [1]])
    >>> X, Y = Mixup(0.4)(X, Y, np.random.RandomState(0))
    >>> np.hstack([X, Y]).round(2)
    array([[0.68, 0.34],
           [1.  , 1.  ],
           [1.48, 0.74]])
    """

    alpha: float

    def __post_init__(self):
        _check(self.alpha >= 0, f"alpha must be >= 0, got {self.alpha}.")

    def __call__(self, X, Y, rng):
        if self.alpha == 0:
            return X, Y
        share = rng.beta(self.alpha, self.alpha, (len(X), 1))
        share = np.minimum(share, 1 - share).astype(X.dtype)
        other = rng.permutation(len(X))
        mixed = (A + share * (A[other] - A) for A in (X, Y))
        return tuple(mixed)


@dataclass(frozen=True)
class CutMix:
    """Take some features from another row, and as much of its target.

    The form for tables of Yun et al. (2019): features have no neighbourhood, so each
    is taken or not on its own.

    Parameters
    ----------
    alpha : float
        The share of features is drawn from Beta(alpha, alpha), for each row; 0 takes
        nothing.

    Examples
    --------
    >>> import numpy as np
    >>> from skmlp.augmentation import CutMix
    >>> X, Y = np.repeat([[0.0], [1.0]], 4, axis=1), np.array([[0.0], [1.0]])
    >>> X, Y = CutMix(1)(X, Y, np.random.RandomState(3))
    >>> np.hstack([X, Y])
    array([[1.  , 0.  , 1.  , 0.  , 0.5 ],
           [1.  , 0.  , 1.  , 1.  , 0.75]])
    """

    alpha: float

    def __post_init__(self):
        _check(self.alpha >= 0, f"alpha must be >= 0, got {self.alpha}.")

    def __call__(self, X, Y, rng):
        if self.alpha == 0:
            return X, Y
        share = rng.beta(self.alpha, self.alpha, (len(X), 1))
        taken = rng.random_sample(X.shape) < share
        other = rng.permutation(len(X))
        share = taken.mean(axis=1, keepdims=True).astype(Y.dtype)
        return np.where(taken, X[other], X), Y + share * (Y[other] - Y)


@dataclass(frozen=True)
class ImageShift:
    """Shift images by whole pixels, in any direction; what enters is zero.

    Parameters
    ----------
    shape : tuple of int
        Height and width, and channels if there are any, of the image in a row of X.
    pixels : int
        Largest shift along each axis.

    Examples
    --------
    >>> import numpy as np
    >>> from skmlp.augmentation import ImageShift
    >>> X, Y = np.arange(1, 10).reshape(1, 9), np.ones((1, 1))
    >>> ImageShift((3, 3), 1)(X, Y, np.random.RandomState(0))[0].reshape(3, 3)
    array([[0, 0, 0],
           [1, 2, 3],
           [4, 5, 6]])
    """

    shape: tuple
    pixels: int

    def __post_init__(self):
        _check(
            len(self.shape) in (2, 3), f"shape must have 2 or 3 items: {self.shape}."
        )
        _check(self.pixels >= 0, f"pixels must be >= 0, got {self.pixels}.")

    def __call__(self, X, Y, rng):
        _check_image(X, self.shape)
        height, width = self.shape[:2]
        images, p = X.reshape(len(X), *self.shape), self.pixels
        edges = [(0, 0), (p, p), (p, p)] + [(0, 0)] * (len(self.shape) - 2)
        padded = np.pad(images, edges)
        down, right = rng.randint(2 * p + 1, size=(2, len(X), 1))
        rows = (down + np.arange(height))[:, :, None]
        columns = (right + np.arange(width))[:, None, :]
        shifted = padded[np.arange(len(X))[:, None, None], rows, columns]
        return shifted.reshape(X.shape), Y


@dataclass(frozen=True)
class ImageFlip:
    """Mirror half of the images, left to right.

    Parameters
    ----------
    shape : tuple of int
        Height and width, and channels if there are any, of the image in a row of X.

    Examples
    --------
    >>> import numpy as np
    >>> from skmlp.augmentation import ImageFlip
    >>> X, Y = np.array([[1, 2, 3, 4], [5, 6, 7, 8]]), np.ones((2, 1))
    >>> ImageFlip((2, 2))(X, Y, np.random.RandomState(1))[0]
    array([[2, 1, 4, 3],
           [5, 6, 7, 8]])
    """

    shape: tuple

    def __post_init__(self):
        _check(
            len(self.shape) in (2, 3), f"shape must have 2 or 3 items: {self.shape}."
        )

    def __call__(self, X, Y, rng):
        _check_image(X, self.shape)
        images = X.reshape(len(X), *self.shape).copy()
        flipped = rng.random_sample(len(X)) < 0.5
        images[flipped] = images[flipped, :, ::-1]
        return images.reshape(X.shape), Y


@dataclass(frozen=True, init=False)
class Compose:
    """One augmentation after the other.

    Parameters
    ----------
    *steps : callable

    Examples
    --------
    >>> from skmlp import MLPClassifier
    >>> from skmlp.augmentation import Compose, GaussianNoise, Mixup
    >>> clf = MLPClassifier(augmentation=Compose(GaussianNoise(0.1), Mixup(0.2)))
    """

    steps: tuple

    def __init__(self, *steps):
        _check(all(map(callable, steps)), "All steps must be callable.")
        object.__setattr__(self, "steps", steps)

    def __call__(self, X, Y, rng):
        for step in self.steps:
            X, Y = step(X, Y, rng)
        return X, Y


def augmented(augmentation, X, Y, rng):
    """New rows and targets in the dtype of X.

    Raises
    ------
    ValueError
        If the augmentation returns anything but finite arrays of the same shapes.
    """
    results = augmentation(X, Y, rng)
    if isinstance(results, (tuple, list)) and len(results) == 2:
        new = [np.asarray(array, X.dtype, order="C") for array in results]
        shapes = [array.shape for array in new]
        if shapes == [X.shape, Y.shape] and all(np.isfinite(a).all() for a in new):
            return new
    raise ValueError(
        f"augmentation must return X and Y, finite and of shapes {X.shape} and"
        f" {Y.shape}: check {augmentation!r}."
    )


class AugmentedRows:
    """Training rows that are made anew for each epoch, in the same memory, which
    threads that stay between epochs know.

    Parameters
    ----------
    training : TrainingRows
    augmentation : callable

    Attributes
    ----------
    training : TrainingRows
        With rows that change.
    """

    def __init__(self, training, augmentation):
        self._given, self._augmentation = training.data, augmentation
        self._rows = np.sort(training.rows)  # shuffling must not change what is drawn
        self._X, self._Y = self._given.X.copy(), self._given.Y.copy()
        X, Y = read_only(self._X), read_only(self._Y)
        self.training = training._replace(data=self._given._replace(X=X, Y=Y))

    def draw(self, random_state):
        """Make the rows of the next epoch."""
        rows = self._rows
        self._X[rows], self._Y[rows] = augmented(
            self._augmentation, self._given.X[rows], self._given.Y[rows], random_state
        )
