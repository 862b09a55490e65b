"""The network for a table: architecture, first weights, rates."""

from typing import NamedTuple

import numpy as np

from skmlp.core.architecture import Architecture, make_architecture
from skmlp.core.layout import (
    bias_views,
    embedding_view,
    front_scale_view,
    knots_view,
    mix_views,
    segments_of,
    weight_views,
)
from skmlp.training.population import block_of_rows, layer_input

_ROWS_TO_INITIALIZE = 4096
_BIAS_ROWS = 5
_LONGEST_WAVE = 3  # standard deviations
_CONSTANT = 1e-6  # units whose deviation is less tell nothing
# Factors of the learning rate; for weights see `rate_factors`.
_RATES = {
    "biases": 0.1,
    "front": 6.0,
    "front_waves": 1.0,
    "waves": 0.1,
    "tables": 1.0,
    "mixes": 0.1,
}


class Design(NamedTuple):
    """What all members have in common.

    Attributes
    ----------
    architecture : Architecture
    knots : ndarray of shape (n_knots,)
        Ends of the pieces of its columns.
    """

    architecture: Architecture
    knots: np.ndarray

    @property
    def encoding(self):
        """Of numbers: "pieces", "waves", or None if they stay single numbers."""
        if self.knots.size:
            return "pieces"
        has_waves = any(column.n_waves for column in self.architecture.columns)
        return "waves" if has_waves else None

    def resized(self, recipe):
        """The same for a network of the recipe's hidden layers."""
        own = self.architecture
        sizes = own.layout().n_columns, own.columns, own.sizes[-1]
        return self._replace(architecture=make_network(*sizes, recipe))


def make_designs(table, data, rows, n_outputs, recipe):
    """Networks for an encoded table, one for each encoding that makes a difference.

    Parameters
    ----------
    table : DenseTable or SparseTable
    data : Data
        Encoded.
    rows : ndarray of int
        Whose quantiles are the knots.
    n_outputs : int
    recipe : Recipe
    """
    designs = {}
    for encoding in recipe.encodings:
        columns, knots = table.columns(recipe, encoding, data, rows)
        architecture = make_network(data.X.shape[1], columns, n_outputs, recipe)
        designs.setdefault(columns, Design(architecture, knots))
    return list(designs.values())


def make_network(n_columns, columns, n_outputs, recipe):
    """The architecture for so many encoded columns, and what they become."""
    return make_architecture(
        (n_columns, *recipe.hidden_layer_sizes, n_outputs),
        recipe.activation,
        dropout=recipe.dropout,
        columns=columns,
        scaled_input=bool(columns),
        parametric=recipe.parametric,
        by_segment=True,
    )


def rate_factors(architecture, loss):
    """Factors of the learning rate for each segment of the parameters.

    To divide the rate of weights by sqrt(fan_in) is, for Adam, what it would be to
    divide the product (the neural tangent parametrization). One logit is the difference
    between two outputs, and moves twice as fast.
    """
    sizes = architecture.sizes
    is_difference = loss == "binary_log_loss" and sizes[-1] == 1
    factors = []
    for kind, i, _ in segments_of(architecture.layout()):
        factor = sizes[i - 1] ** -0.5 if kind == "weights" else _RATES[kind]
        factors.append(factor * (2 if is_difference and i == len(sizes) - 1 else 1))
    return np.array(factors)


def first_weights(design, data, rows, random_state, wave_scale):
    """A new flat vector, by which units have a deviation of one on the data.

    Weights are normal, divided by the standard deviation of what they give; a bias is
    minus a random mean of five of these values (Holzmüller et al., 2024). Waves begin
    with a scale of zero, so that the first network is one without them.
    """
    architecture, knots = design
    layout = architecture.layout()
    params = np.zeros(layout.n_total, data.X.dtype)
    knots_view(params, layout)[:] = knots
    _draw_input(architecture, params, random_state, wave_scale)
    some = random_state.choice(rows, min(rows.size, _ROWS_TO_INITIALIZE), replace=False)
    block = block_of_rows(data, np.sort(some))
    views = zip(weight_views(params, layout), bias_views(params, layout))
    for i, (W, b) in enumerate(views):
        _draw_layer(W, b, layer_input(architecture, params, block, i), random_state)
    return params


def _draw_input(architecture, params, random_state, wave_scale):
    """What is trained below the first layer, and mixes."""
    layout = architecture.layout()
    n_waves = layout.n_waves
    front = front_scale_view(params, layout)
    front[: front.size - n_waves] = 1
    for view in mix_views(params, layout):
        view[:] = 1
    trained = embedding_view(params, layout)
    frequencies, shifts, tables = np.split(trained, [n_waves, 2 * n_waves])
    drawn = random_state.standard_normal(n_waves)
    frequencies[:] = wave_scale * drawn.clip(-_LONGEST_WAVE, _LONGEST_WAVE)
    shifts[:] = random_state.uniform(-0.5, 0.5, n_waves)
    tables[:] = random_state.standard_normal(tables.size)


def _draw_layer(W, b, A, random_state):
    W[:] = random_state.standard_normal(W.shape) / np.sqrt(len(W))
    Z = np.asarray(A @ W)
    spread = Z.std(axis=0)
    factor = 1 / np.where(spread > _CONSTANT, spread, 1)
    W *= factor
    Z *= factor
    picked = random_state.randint(len(Z), size=(_BIAS_ROWS, b.size))
    shares = random_state.exponential(size=(_BIAS_ROWS, b.size))
    shares /= shares.sum(axis=0)
    b[:] = -(shares * np.take_along_axis(Z, picked, axis=0)).sum(axis=0)
