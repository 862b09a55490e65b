"""What a network is made of, by name and layer by layer."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from skmlp.core.activations import ACTIVATIONS
from skmlp.core.columns import make_columns
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
    columns : tuple of Column
        What each column of X becomes; by default they are the units of the input.
    scaled_input : bool
        Whether the input has a trained scale.
    parametric : bool
        Whether hidden units mix their activation with the identity.
    by_segment : bool
        Whether each segment of the parameters has a learning rate of its own.
    """

    sizes: tuple
    activations: tuple
    normalizations: tuple
    dropouts: tuple
    norm_momentum: float = 0.1
    norm_epsilon: float = 1e-5
    columns: tuple = ()
    scaled_input: bool = False
    parametric: bool = False
    by_segment: bool = False

    @property
    def column_table(self):
        """Where the columns of X lie in the input layer."""
        return make_columns(self.columns)

    @property
    def has_input_stages(self):
        """Whether X is not the input as it is."""
        return bool(self.columns) or self.scaled_input

    @property
    def trains_input(self):
        """Whether anything below the first layer is trained."""
        return self.scaled_input or self.column_table.n_trained > 0

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
        parametric=[architecture.parametric] * len(architecture.activations),
        columns=architecture.column_table,
        scaled_input=architecture.scaled_input,
        by_segment=architecture.by_segment,
    )


def make_architecture(
    sizes,
    activation="relu",
    *,
    normalization=None,
    dropout=0.0,
    input_dropout=0.0,
    **others,
):
    """An architecture; what is given once counts for each hidden layer.

    With ``columns``, the first of ``sizes`` follows from them.
    """
    n_hidden = len(sizes) - 2
    columns = make_columns(others.get("columns", ()))
    return Architecture(
        (columns.n_units or int(sizes[0]), *map(int, sizes[1:])),
        _for_each(activation, n_hidden),
        _for_each(normalization, n_hidden),
        (float(input_dropout), *map(float, _for_each(dropout, n_hidden))),
        **others,
    )


def _for_each(value, n_hidden):
    if isinstance(value, (list, tuple)):
        return tuple(value)
    return (value,) * n_hidden
