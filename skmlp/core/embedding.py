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
def fill_pieces(parts, x, low, high):
    """How far x has come in each bin, from 0 to 1."""
    zero, one = parts.dtype.type(0), parts.dtype.type(1)
    for t in range(parts.size):
        part = (x - low[t]) / (high[t] - low[t])
        part = one if part > one else part
        parts[t] = part if part > zero else zero


@jit
def fill_one_hot(a, at, size, code):
    """A unit for each category, or one for two of them."""
    zero, one = a.dtype.type(0), a.dtype.type(1)
    if size == 2:
        a[at] = one if code == 1 else (-one if code == 0 else zero)
        return
    vector_view(a, at, (size,))[:] = zero
    if code >= 0:
        a[at + code] = one


@jit
def fill_vector(units, vectors, code):
    """The vector of a category, of all vectors one after the other."""
    if code < 0:
        units[:] = 0
        return
    own = vector_view(vectors, code * units.size, (units.size,))
    for k in range(units.size):
        units[k] = own[k]


@jit
def fill_turns(turns, x, frequencies, shifts):
    """w x + b of each wave of a column."""
    for k in range(turns.size):
        turns[k] = frequencies[k] * x + shifts[k]


@jit(view=True)
def part(vector, start, length):
    """Some numbers of a vector: loops over a view know that no index is negative."""
    return vector_view(vector, start, (length,))


@jit
def embed(A, X, rows, columns, n_waves, embedding, knots):
    """A_0 <- the embedding of X[rows]."""
    n_units, n_columns = A.shape[1], X.shape[1]
    for i in range(rows.size):
        a, x = part(A, i * n_units, n_units), part(X, rows[i] * n_columns, n_columns)
        waves = waves_of(a, n_waves)
        for j in range(n_columns):
            kind, at, size = columns[j, KIND], columns[j, AT], columns[j, SIZE]
            own, width = columns[j, OWN], columns[j, WIDTH]
            if kind == ONE_HOT:
                fill_one_hot(a, at, size, code_of(x[j], size))
            elif kind == TABLE:
                vectors = part(embedding, own, size * width)
                fill_vector(part(a, at, width), vectors, code_of(x[j], size))
            else:
                a[at] = x[j]
                low, high = part(knots, own, size), part(knots, own + 1, size)
                fill_pieces(part(a, at + 1, size), x[j], low, high)
                first, n_own = columns[j, WAVES], columns[j, N_WAVES]
                frequencies = part(embedding, first, n_own)
                shifts = part(embedding, n_waves + first, n_own)
                fill_turns(part(waves, first, n_own), x[j], frequencies, shifts)
        for k in range(n_waves):
            waves[k] = cos_turns(waves[k])


@jit
def add_to_waves(d_frequencies, d_shifts, d_waves, x, frequencies, shifts):
    """Slopes of cos(2 pi t), t = w x + b, by w and b."""
    minus_two_pi = d_waves.dtype.type(-_TWO_PI)
    for k in range(d_waves.size):
        t = frequencies[k] * x + shifts[k]
        dt = minus_two_pi * sin_turns(t) * d_waves[k]
        d_frequencies[k] += dt * x
        d_shifts[k] += dt


@jit
def add_to_vector(d_vectors, d_units, code):
    """Slopes of a category's vector."""
    if code < 0:
        return
    own = vector_view(d_vectors, code * d_units.size, (d_units.size,))
    for k in range(d_units.size):
        own[k] += d_units[k]


@jit
def embed_backward(dA, X, rows, columns, n_waves, embedding, d_embedding):
    """d_embedding <- gradient of what is trained, from dA_0."""
    n_units, n_columns = dA.shape[1], X.shape[1]
    d_embedding[:] = 0
    for i in range(rows.size):
        da, x = part(dA, i * n_units, n_units), part(X, rows[i] * n_columns, n_columns)
        d_waves = waves_of(da, n_waves)
        for j in range(n_columns):
            size, own, width = columns[j, SIZE], columns[j, OWN], columns[j, WIDTH]
            if columns[j, KIND] == TABLE:
                d_vectors = part(d_embedding, own, size * width)
                d_units = part(da, columns[j, AT], width)
                add_to_vector(d_vectors, d_units, code_of(x[j], size))
            first, n_own = columns[j, WAVES], columns[j, N_WAVES]
            add_to_waves(
                part(d_embedding, first, n_own),
                part(d_embedding, n_waves + first, n_own),
                part(d_waves, first, n_own),
                x[j],
                part(embedding, first, n_own),
                part(embedding, n_waves + first, n_own),
            )
