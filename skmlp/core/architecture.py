"""What a network is made of, by name and layer by layer."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from skmlp.core.activations import ACTIVATIONS
from skmlp.core.layout import make_layout
from skmlp.core.normalization import NORMALIZATIONS


class Architecture(NamedTuple):
    """Names and numbers that, with a loss or a link, determine a network.

    Attributes
    ----------
    sizes : tuple of int
        Units per layer: features, hidden layers, outputs.
    activations : tuple of str
        One per hidden layer.
    normalizations : tuple of (str or None)
        One per hidden layer, between the affine part and the activation.
    dropouts : tuple of float
        Rates, first of the input, then of each hidden layer.
    norm_momentum, norm_epsilon : float
        Weight of a minibatch in running statistics; what is added to variances.
    """

    sizes: tuple
    activations: tuple
    normalizations: tuple
    dropouts: tuple
    norm_momentum: float = 0.1
    norm_epsilon: float = 1e-5

    def layout(self):
        """Where its numbers lie in the flat vector."""
        return _layout_of(self)

    def has_parameters_of(self, other):
        """Whether both have the same parameters."""
        mine, its = self.layout(), other.layout()
        return all(map(np.array_equal, mine, its))

    def needs_whole_batch(self):
        """Whether a minibatch must not be split into blocks."""
        return any(
            name is not None and NORMALIZATIONS[name].needs_whole_batch
            for name in self.normalizations
        )


@lru_cache(maxsize=256)
def _layout_of(architecture):
    return make_layout(
        architecture.sizes,
        gated=[ACTIVATIONS[name].gated for name in architecture.activations],
        normalized=[name is not None for name in architecture.normalizations],
    )


def make_architecture(
    sizes,
    activation="relu",
    *,
    normalization=None,
    dropout=0.0,
    input_dropout=0.0,
    **norm,
):
    """An architecture; what is given once counts for each hidden layer."""
    n_hidden = len(sizes) - 2
    return Architecture(
        tuple(map(int, sizes)),
        _for_each(activation, n_hidden),
        _for_each(normalization, n_hidden),
        (float(input_dropout), *map(float, _for_each(dropout, n_hidden))),
        **norm,
    )


def _for_each(value, n_hidden):
    if isinstance(value, (list, tuple)):
        return tuple(value)
    return (value,) * n_hidden
