"""From the columns of X to the units of the input layer, and back.

``embed`` fills A_0 row by row; only the rows of a minibatch are ever expanded.  What is
trained is one vector: the frequencies w of all waves, their shifts b, then the tables
of categories.  ``embed_backward`` overwrites its gradient.
"""

import numpy as np

from skmlp.core.columns import (
    AT,
    KIND,
    N_WAVES,
    ONE_HOT,
    OWN,
    SIZE,
    TABLE,
    WAVES,
    WIDTH,
)
from skmlp.machine.intrinsics import vector_view
from skmlp.machine.jit import jit
from skmlp.machine.waves import cos_turns, sin_turns

_TWO_PI = 2 * np.pi


@jit
def code_of(x, size):
    """Number of the category, or -1 for what is none: kernels check no bounds."""
    if x >= 0 and x < size:  # NaN is not
        return np.int64(x)
    return np.int64(-1)


@jit(view=True)
def waves_of(row, n_waves):
    """The last units of a row of A_0."""
    return vector_view(row, row.size - n_waves, (n_waves,))


@jit
def fill_pieces(a, at, size, x, knots, own):
    """How far x has come in each bin, from 0 to 1."""
    zero, one = a.dtype.type(0), a.dtype.type(1)
    for t in range(size):
        low, high = knots[own + t], knots[own + t + 1]
        part = (x - low) / (high - low)
        part = one if part > one else part
        a[at + t] = part if part > zero else zero


@jit
def fill_one_hot(a, at, size, code):
    """A unit for each category, or one for two of them."""
    zero, one = a.dtype.type(0), a.dtype.type(1)
    if size == 2:
        a[at] = one if code == 1 else (-one if code == 0 else zero)
        return
    for k in range(size):
        a[at + k] = zero
    if code >= 0:
        a[at + code] = one


@jit
def fill_vector(a, at, width, code, embedding, own):
    """The vector of a category."""
    for k in range(width):
        a[at + k] = embedding[own + code * width + k] if code >= 0 else a.dtype.type(0)


@jit
def fill_turns(waves, first, n_own, x, embedding):
    """w x + b of each wave of a column."""
    for k in range(first, first + n_own):
        waves[k] = embedding[k] * x + embedding[waves.size + k]


@jit
def embed(A, X, rows, columns, n_waves, embedding, knots):
    """A_0 <- the embedding of X[rows]."""
    n_units, n_columns = A.shape[1], X.shape[1]
    for i in range(rows.size):
        a = vector_view(A, i * n_units, (n_units,))
        waves = waves_of(a, n_waves)
        for j in range(n_columns):
            x, kind, at = X[rows[i], j], columns[j, KIND], columns[j, AT]
            size, own = columns[j, SIZE], columns[j, OWN]
            if kind == ONE_HOT:
                fill_one_hot(a, at, size, code_of(x, size))
            elif kind == TABLE:
                width = columns[j, WIDTH]
                fill_vector(a, at, width, code_of(x, size), embedding, own)
            else:
                a[at] = x
                fill_pieces(a, at + 1, size, x, knots, own)
                first, n_own = columns[j, WAVES], columns[j, N_WAVES]
                fill_turns(waves, first, n_own, x, embedding)
        for k in range(n_waves):
            waves[k] = cos_turns(waves[k])


@jit
def add_to_waves(d_embedding, d_waves, first, n_own, x, embedding):
    """Slopes of cos(2 pi t), t = w x + b, by w and b."""
    n_waves, minus_two_pi = d_waves.size, d_waves.dtype.type(-_TWO_PI)
    for k in range(first, first + n_own):
        t = embedding[k] * x + embedding[n_waves + k]
        dt = minus_two_pi * sin_turns(t) * d_waves[k]
        d_embedding[k] += dt * x
        d_embedding[n_waves + k] += dt


@jit
def embed_backward(dA, X, rows, columns, n_waves, embedding, d_embedding):
    """d_embedding <- gradient of what is trained, from dA_0."""
    n_units, n_columns = dA.shape[1], X.shape[1]
    d_embedding[:] = 0
    for i in range(rows.size):
        da = vector_view(dA, i * n_units, (n_units,))
        d_waves = waves_of(da, n_waves)
        for j in range(n_columns):
            x, at, own = X[rows[i], j], columns[j, AT], columns[j, OWN]
            if columns[j, KIND] == TABLE:
                code, width = code_of(x, columns[j, SIZE]), columns[j, WIDTH]
                if code >= 0:
                    for k in range(width):
                        d_embedding[own + code * width + k] += da[at + k]
            first, n_own = columns[j, WAVES], columns[j, N_WAVES]
            add_to_waves(d_embedding, d_waves, first, n_own, x, embedding)
