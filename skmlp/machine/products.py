"""Matrix products, from tiles that are summed up in vector registers.

The right factor B, (K, N), is first copied into panels: as many columns as a tile is
wide, the last panel rounded up to whole vectors. At most `_DEPTH` rows of them lie
together, so that tiles read them in order. Weights are copied once for a minibatch, and
serve all of its rows, in whichever thread. Where copying would take longer than it
saves, tiles read a factor where it lies: for few rows, a single output, and gradients
of small matrices.

Kernels are called by address, so that each is compiled once, whoever calls it.
"""

from functools import cache
from typing import NamedTuple

import numpy as np

from skmlp.machine.forms import Form
from skmlp.machine.intrinsics import address, call, flat, matrix_view, reference_type
from skmlp.machine.jit import jit
from skmlp.machine.tiles import (
    READS_IN_PLACE,
    TILE_ROWS,
    copy,
    copy_columns,
    tile,
    transpose,
)
from skmlp.machine.vectors import TILE_VECTORS, VECTOR_BYTES

# With fewer, packing weights takes longer than it saves.
FEW_ROWS = 8 if READS_IN_PLACE else 1
_DEPTH = 512
_ROWS_AHEAD = 16  # prefetched while rows are packed
_DEPTH_OF_GRADIENT, _ROWS_OF_GRADIENT = 256, 44 * TILE_ROWS
# Bytes of a factor that the second-level cache holds: it needs no copy.
_BYTES_IN_PLACE = 2**18 if READS_IN_PLACE else 0


class Products(NamedTuple):
    """Addresses of kernels, zero for those that are not needed.

    Attributes
    ----------
    product, gradient : int
        C <- A B, and dW <- A^T dZ.
    multiply : int
        What both are made of.
    panel, panel_back, columns : int
        What makes a panel of B, a panel of B^T, and tiles of A^T.
    """

    product: int = 0
    gradient: int = 0
    multiply: int = 0
    panel: int = 0
    panel_back: int = 0
    columns: int = 0


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


# The same functions for kernels.
padded, panel_width, _is_copied = jit(padded_width), jit(widest_panel), jit(is_copied)


_FOUR = ("index",) * 4


def kernels_of_products(dtype):
    """The kind of a reference to `Products`."""
    return reference_type(Products())


MULTIPLY_PANEL = Form(
    *("matrix", "index", "vector", *_FOUR, "vector", *_FOUR, "index", "index", "index")
)
PACK_PANEL = Form("vector", "index", "index", "matrix", *_FOUR)
PACK_COLUMNS = Form("vector", "index", "matrix", *_FOUR)
_MATRICES = "matrix", "matrix", "matrix"
PRODUCT = Form(*_MATRICES, "index", "index", "vector", kernels_of_products)
PRODUCT_GRADIENT = Form(
    *(*_MATRICES, "vector", kernels_of_products, "index", "index", "index")
)


@jit(form=MULTIPLY_PANEL)
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


@jit(form=PACK_PANEL)
def pack_panel(panel, at, width, B, row, column, depth, n):
    """panel[at:] <- ``depth`` rows of n columns of B, ``width`` numbers apart."""
    start = row * B.shape[1] + column
    ahead = _ROWS_AHEAD * B.shape[1]
    copy(panel, at, width, B, start, B.shape[1], depth, n, ahead)


@jit(form=PACK_PANEL)
def pack_transposed_panel(panel, at, width, W, row, column, depth, n):
    """panel[at:] <- ``depth`` rows of n columns of W^T, ``width`` numbers apart."""
    lanes = VECTOR_BYTES // W.itemsize
    for j in range(0, n, lanes):
        for k in range(0, depth, lanes):
            start, b_row = (column + j) * W.shape[1] + row + k, W.shape[1]
            there = at + k * width + j
            transpose(panel, there, width, W, start, b_row, n - j, depth - k)


@jit(form=PACK_COLUMNS)
def pack_columns(panel, at, B, row, column, depth, n):
    """panel[at:] <- ``depth`` rows of n columns of B, cut into tiles' columns."""
    copy_columns(panel, at, B, row * B.shape[1] + column, B.shape[1], depth, n)


@jit
def pack(panels, W, kernel, first, last):
    """Put some rows of W into its panels."""
    (K, N), wide = W.shape, panel_width(W.itemsize)
    all_columns = padded(N, W.itemsize)
    for row in range(0, K, _DEPTH):
        depth = min(_DEPTH, K - row)
        start, stop = max(first, row), min(last, row + depth)
        if start < stop:
            for column in range(0, N, wide):
                n = min(wide, N - column)
                width = padded(n, W.itemsize)
                at = row * all_columns + depth * column + (start - row) * width
                call(
                    PACK_PANEL,
                    kernel,
                    (panels, at, width, W, start, column, stop - start, n),
                )


@jit
def pack_transposed(panels, W, kernel, first, last):
    """Put them into the panels of W^T, of which they are columns."""
    (N, K), wide = W.shape, panel_width(W.itemsize)
    all_columns = padded(N, W.itemsize)
    for column in range(0, N, wide):
        width = padded(min(wide, N - column), W.itemsize)
        start, stop = max(first, column), min(last, column + wide)
        if start < stop:
            for row in range(0, K, _DEPTH):
                depth = min(_DEPTH, K - row)
                at = row * all_columns + depth * column + start - column
                call(
                    PACK_PANEL,
                    kernel,
                    (panels, at, width, W, row, start, depth, stop - start),
                )


@jit(view=True)
def transposed(column):
    """A matrix of one column as one of one row."""
    return matrix_view(column, np.int64(0), (np.int64(1), column.size))


@jit
def dot_products(C, A, B):
    """C <- A B^T."""
    for i in range(A.shape[0]):
        for k in range(B.shape[0]):
            total = C.dtype.type(0)
            for j in range(B.shape[1]):
                total += A[i, j] * B[k, j]
            C[i, k] = total


@jit
def outer_product(C, a, b):
    """C <- a b^T."""
    for i in range(a.size):
        for j in range(b.size):
            C[i, j] = a[i] * b[j]


@jit
def multiply_panels(C, A, B, in_place, multiply):
    """C <- A B; B consists of panels, or else lies there row by row."""
    (m, n), wide, at = C.shape, panel_width(C.itemsize), np.int64(0)
    n_below, step = A.shape[1], np.int64(1)
    for row in range(0, n_below, _DEPTH):
        depth = min(_DEPTH, n_below - row)
        for column in range(0, n, wide):
            width = min(wide, n - column)
            b_at, b_row, following = row * n + column, n, np.int64(0)
            if not in_place:
                b_at, b_row = at, padded(width, C.itemsize)
                at += depth * b_row
                following = min(depth * b_row, B.size - at)
            arguments = (
                C,
                column,
                flat(A),
                row,
                n_below,
                TILE_ROWS * n_below,
                step,
                B,
                b_at,
                b_row,
                depth,
                m,
                width,
                following,
                row,
            )
            call(MULTIPLY_PANEL, multiply, arguments)


@jit(form=PRODUCT)
def product(C, A, W, back, n_rows, panels, kernels):
    """C <- A W, or on the way back A W^T, for some of a block's ``n_rows`` rows."""
    is_column, is_thin = W.shape[1] == 1, n_rows < FEW_ROWS
    if is_column and back:
        outer_product(C, flat(A), flat(W))
    elif is_column or (is_thin and back):  # rows of A meet rows
        dot_products(C, A, transposed(W) if is_column else W)
    else:
        B = flat(W) if is_thin else panels
        multiply_panels(C, A, B, is_thin, kernels.multiply)


@jit(once=True)
def gradient_rows(dW, A, dZ, scratch, kernels, adds, first, m):
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
            call(
                PACK_COLUMNS, kernels.columns, (scratch, a_at, A, row, first, depth, m)
            )
        for column in range(0, n, wide):
            width = min(wide, n - column)
            right, b_at, b_row = flat(dZ), row * n + column, n
            if _is_copied(dZ.size, itemsize):
                right, b_at, b_row = scratch, none, padded(width, itemsize)
                arguments = (scratch, b_at, b_row, dZ, row, column, depth, width)
                call(PACK_PANEL, kernels.panel, arguments)
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
            call(MULTIPLY_PANEL, kernels.multiply, arguments)


@jit(form=PRODUCT_GRADIENT)
def product_gradient(dW, A, dZ, scratch, kernels, adds, first, last):
    """Rows of dW <- A^T dZ, or dW += A^T dZ; a single column as one row."""
    if dW.shape[1] == 1:  # dW^T = dZ^T A
        dW, A, dZ = transposed(dW), dZ, A
        first, last = min(first, 1), min(last, 1)
    for row in range(first, last, _ROWS_OF_GRADIENT):
        n_rows = min(_ROWS_OF_GRADIENT, last - row)
        gradient_rows(dW, A, dZ, scratch, kernels, adds, row, n_rows)


@cache
def product_kernels(dtype, *, back, copies):
    """Compiled kernels of matrix products for a working type.

    ``back``: with panels for the way back; ``copies``: with those by which gradients of
    large matrices copy factors.
    """
    kernels = product, product_gradient, multiply_panel, pack_panel
    return Products(
        *(address(kernel, dtype) for kernel in kernels),
        address(pack_transposed_panel, dtype) if back else 0,
        address(pack_columns, dtype) if copies else 0,
    )
