"""Matrix products, from tiles that are summed up in vector registers.

The right factor B, (K, N), is first copied into panels: as many columns as a tile is
wide, the last panel rounded up to whole vectors. At most `_DEPTH` rows of them lie
together, so that tiles read them in order. Weights are copied once for a minibatch, and
serve all of its rows, in whichever thread. Small gradients read both factors where they
lie. What is thin, a few rows or a single output, is left to plain loops.

Kernels are called by address, so that each is compiled once, whoever calls it.
"""

from typing import NamedTuple

import numpy as np

from skmlp.core.intrinsics import addresses, call, flat, matrix_view
from skmlp.core.jit import jit
from skmlp.core.tiles import (
    TILE_ROWS,
    TILE_VECTORS,
    VECTOR_BYTES,
    copy,
    copy_columns,
    tile,
    transpose,
)

FEW_ROWS = 8  # with fewer, packing weights takes longer than it saves
_DEPTH = 512
_ROWS_AHEAD = 16  # that memory has time for, when rows are copied
_DEPTH_OF_GRADIENT, _ROWS_OF_GRADIENT = 256, 44 * TILE_ROWS
_BYTES_IN_PLACE = 2**18  # of a factor: what the second-level cache holds needs no copy


class Products(NamedTuple):
    """Addresses of kernels.

    Attributes
    ----------
    product, gradient : int
        C <- A B, and dW <- A^T dZ.
    pack : int
        What makes panels of weights.
    multiply : int
        What the first two are made of.
    """

    product: int = 0
    gradient: int = 0
    pack: int = 0
    multiply: int = 0


def padded_width(n, itemsize):
    """n columns, rounded up to whole vectors."""
    lanes = VECTOR_BYTES // itemsize
    return -(-n // lanes) * lanes


def widest_panel(itemsize):
    """Columns of a panel but the last."""
    return TILE_VECTORS * VECTOR_BYTES // itemsize


def is_copied(size, itemsize):
    """Whether a gradient copies a factor of so many numbers."""
    return size * itemsize > _BYTES_IN_PLACE


def scratch_size(size, itemsize):
    """Numbers that a thread keeps in `product_gradient`, for factors of that size."""
    if not is_copied(size, itemsize):
        return 0
    return _DEPTH_OF_GRADIENT * (_ROWS_OF_GRADIENT + widest_panel(itemsize))


# The same for kernels.
padded, panel_width, _is_copied = jit(padded_width), jit(widest_panel), jit(is_copied)


@jit(entry=True)
def multiply_panel(
    C,
    c_at,
    A,
    a_at,
    a_row,
    tile_step,
    a_step,
    B,
    b_at,
    b_row,
    depth,
    m,
    n,
    following,
    adds,
):
    """m rows of n columns of C <- A B, or C += A B, for a panel of B.

    A has its rows ``a_row`` apart, its tiles ``tile_step`` and its columns ``a_step``,
    B its rows ``b_row``. The tiles share the fetching of ``following`` numbers behind
    the panel.
    """
    c_row, b_next = C.shape[1], depth * b_row if following > 0 else 0
    b_pace = -(-following // (depth * -(-m // TILE_ROWS)))
    for i in range(0, m, TILE_ROWS):
        rows, a_next = min(TILE_ROWS, m - i), tile_step if i + TILE_ROWS < m else 0
        c, a = (C, c_at + i * c_row, c_row), (A, a_at, a_row, a_step, a_next)
        tile(c, a, (B, b_at, b_row, b_next, b_pace), depth, rows, n, adds)
        a_at += tile_step
        b_next += depth * b_pace


@jit
def pack_panel(panel, at, B, row, column, depth, n):
    """panel[at:] <- ``depth`` rows of n columns of B, from a place on."""
    start = row * B.shape[1] + column
    ahead = _ROWS_AHEAD * B.shape[1]
    copy(panel, at, padded(n, B.itemsize), B, start, B.shape[1], depth, n, ahead)


@jit
def pack_transposed_panel(panel, at, W, row, column, depth, n):
    """The same for B = W^T."""
    lanes, width = VECTOR_BYTES // W.itemsize, padded(n, W.itemsize)
    zero = W.dtype.type(0)
    whole_n, whole_depth = n // lanes * lanes, depth // lanes * lanes
    for j in range(0, whole_n, lanes):
        for k in range(0, whole_depth, lanes):
            start = (column + j) * W.shape[1] + row + k
            transpose(panel, at + k * width + j, width, W, start, W.shape[1])
    for j in range(width):
        for k in range(whole_depth if j < whole_n else 0, depth):
            value = W[column + j, row + k] if j < n else zero
            panel[at + k * width + j] = value


@jit
def pack_columns(panel, at, B, row, column, depth, n):
    """panel[at:] <- ``depth`` rows of n columns of B, cut into tiles' columns."""
    copy_columns(panel, at, B, row * B.shape[1] + column, B.shape[1], depth, n)


@jit(entry=True)
def pack(panels, W, back, turn, n_threads):
    """Panels of W, or on the way back of W^T; returns the turn.

    Each thread of a team makes some: ``turn`` counts the pieces until its next one.
    """
    (K, N), wide = W.shape, panel_width(W.itemsize)
    if back:
        K, N = N, K
    all_columns = padded(N, W.itemsize)
    for column in range(0, N, wide):
        if turn == 0:
            turn = n_threads
            n = min(wide, N - column)
            for row in range(0, K, _DEPTH):
                depth = min(_DEPTH, K - row)
                at = row * all_columns + depth * column
                if back:
                    pack_transposed_panel(panels, at, W, row, column, depth, n)
                else:
                    pack_panel(panels, at, W, row, column, depth, n)
        turn -= 1
    return turn


@jit
def thin_product(C, A, B, adds):
    """C <- A B, or C += A B; four rows of B at a time, since each takes all of C."""
    if not adds:
        C[:] = 0
    depth, rest = B.shape[0], B.shape[0] % 4
    for i in range(A.shape[0]):
        for k in range(0, depth - rest, 4):
            a, b, c, d = A[i, k], A[i, k + 1], A[i, k + 2], A[i, k + 3]
            for j in range(B.shape[1]):
                low, high = (
                    a * B[k, j] + b * B[k + 1, j],
                    c * B[k + 2, j] + d * B[k + 3, j],
                )
                C[i, j] += low + high
        for k in range(depth - rest, depth):
            for j in range(B.shape[1]):
                C[i, j] += A[i, k] * B[k, j]


@jit
def thin_product_back(C, A, B):
    """C <- A B^T."""
    for i in range(A.shape[0]):
        for k in range(B.shape[0]):
            total = C.dtype.type(0)
            for j in range(B.shape[1]):
                total += A[i, j] * B[k, j]
            C[i, k] = total


@jit
def thin_gradient(C, A, B, adds):
    """C <- A^T B, or C += A^T B."""
    if not adds:
        C[:] = 0
    for k in range(C.shape[0]):
        for i in range(A.shape[0]):
            for j in range(C.shape[1]):
                C[k, j] += A[i, k] * B[i, j]


@jit(view=True)
def transposed(column):
    """A matrix of one column as one of one row."""
    return matrix_view(column, np.int64(0), (np.int64(1), column.size))


@jit(entry=True)
def product(C, A, W, back, n_rows, panels, multiply):
    """C <- A W, or on the way back A W^T, for some of a block's ``n_rows`` rows."""
    if W.shape[1] == 1:
        if back:
            for i in range(C.shape[0]):
                for j in range(C.shape[1]):
                    C[i, j] = A[i, 0] * W[j, 0]
        else:
            thin_product_back(C, A, transposed(W))
    elif n_rows >= FEW_ROWS:
        product_of_panels(C, A, panels, multiply)
    elif back:
        thin_product_back(C, A, W)
    else:
        thin_product(C, A, W, 0)


@jit
def product_of_panels(C, A, panels, multiply):
    """C <- A B."""
    (m, n), wide, at = C.shape, panel_width(C.itemsize), np.int64(0)
    n_below, step = A.shape[1], np.int64(1)
    for row in range(0, n_below, _DEPTH):
        depth = min(_DEPTH, n_below - row)
        for column in range(0, n, wide):
            width = min(wide, n - column)
            b_row = padded(width, C.itemsize)
            size = depth * b_row
            arguments = (
                C,
                column,
                flat(A),
                row,
                n_below,
                TILE_ROWS * n_below,
                step,
                panels,
                at,
                b_row,
                depth,
                m,
                width,
                min(size, panels.size - at - size),
                row,
            )
            call(multiply, arguments)
            at += size


@jit
def gradient_rows(dW, A, dZ, scratch, multiply, adds, first, m):
    """m rows of dW <- A^T dZ, or dW += A^T dZ.

    A's tiles lie right behind the panel: what the processor fetches at its end should
    be memory that is in use.
    """
    n, wide, itemsize = dW.shape[1], panel_width(dW.itemsize), dW.itemsize
    n_left, none, one = A.shape[1], np.int64(0), np.int64(1)
    for row in range(0, dZ.shape[0], _DEPTH_OF_GRADIENT):
        depth = min(_DEPTH_OF_GRADIENT, dZ.shape[0] - row)
        left, a_at = flat(A), row * n_left + first
        tile_step, a_step = TILE_ROWS, n_left
        if _is_copied(A.size, itemsize):
            left, a_at = scratch, depth * padded(min(wide, n), itemsize)
            tile_step, a_step = TILE_ROWS * depth, TILE_ROWS
            pack_columns(scratch, a_at, A, row, first, depth, m)
        for column in range(0, n, wide):
            width = min(wide, n - column)
            right, b_at, b_row = flat(dZ), row * n + column, n
            if _is_copied(dZ.size, itemsize):
                right, b_at, b_row = scratch, none, padded(width, itemsize)
                pack_panel(scratch, b_at, dZ, row, column, depth, width)
            arguments = (
                dW,
                first * n + column,
                left,
                a_at,
                one,
                tile_step,
                a_step,
                right,
                b_at,
                b_row,
                depth,
                m,
                width,
                none,
                adds + row,
            )
            call(multiply, arguments)


@jit(entry=True)
def product_gradient(dW, A, dZ, scratch, multiply, adds, turn, n_threads):
    """dW <- A^T dZ, or dW += A^T dZ, piece by piece; returns the turn."""
    if dW.shape[1] == 1 or dZ.shape[0] < FEW_ROWS:
        if turn == 0:
            turn = n_threads
            if dW.shape[1] == 1:  # dW^T = dZ^T A
                thin_product(transposed(dW), transposed(dZ), A, adds)
            else:
                thin_gradient(dW, A, dZ, adds)
        return turn - 1
    m, most = dW.shape[0], n_threads * _ROWS_OF_GRADIENT
    n_pieces = n_threads * -(-m // most)
    length = -(-m // (n_pieces * TILE_ROWS)) * TILE_ROWS
    for first in range(0, m, length):
        if turn == 0:
            turn = n_threads
            rows = min(length, m - first)
            gradient_rows(dW, A, dZ, scratch, multiply, adds, first, rows)
        turn -= 1
    return turn


def product_kernels(dtype):
    """Those of the working type."""
    index, turn = ("index",) * 4, ("index", "index")
    tiles = "matrix", "index", "vector", *index, "vector", *index, *index[1:]
    forms = {
        product: ("matrix", "matrix", "matrix", *turn, "vector", "index"),
        product_gradient: (
            *("matrix", "matrix", "matrix", "vector", "index", "index"),
            *turn,
        ),
        pack: ("vector", "matrix", "index", *turn),
        multiply_panel: tiles,
    }
    return Products(
        *(addresses((kernel,), dtype, form)[0] for kernel, form in forms.items())
    )
