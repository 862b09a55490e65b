"""Matrix products: small ones by BLAS, large ones from panels.

BLAS has kernels for small products that use one thread and copy nothing; they are
faster with a copy of W^T than with W where its transpose is meant. For a large product
of more than a few rows, the right factor B, (K, N), is first copied into panels: as
many columns as a tile is wide, the last panel rounded up to whole vectors. At most
`_DEPTH` rows of them lie together, so that tiles read them in order. Weights are copied
once for a minibatch, and serve all of its rows, in whichever thread.

Kernels of large products are called by address: a network without any does not compile
them.
"""

from typing import NamedTuple

import numpy as np

from skmlp.core.intrinsics import addresses, call, flat, gemm_address
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

# Up to so many multiplications OpenBLAS uses one thread and kernels without packing.
SMALL_PRODUCT = 1_000_000
FEW_ROWS = 8  # with fewer, packing weights takes longer than it saves
_FEW_FOR_TRANSPOSE = 32  # and transposing them for BLAS
_DEPTH = 512
_ROWS_AHEAD = 16  # that memory has time for, when rows are copied
_DEPTH_OF_GRADIENT, _ROWS_OF_GRADIENT = 256, 44 * TILE_ROWS


class Products(NamedTuple):
    """Addresses of kernels; zero where there is nothing for them to do.

    Attributes
    ----------
    gemm : int
        BLAS's product of matrices, for small ones.
    product, gradient : int
        Large products: C <- A B, and dW <- A^T dZ.
    pack : int
        What makes panels of weights.
    multiply : int
        What the first two are made of.
    transpose : int
        B <- W^T, for small products on the way back.
    """

    gemm: int
    product: int = 0
    gradient: int = 0
    pack: int = 0
    multiply: int = 0
    transpose: int = 0


def is_small(n_rows, fan_in, width):
    """Whether BLAS computes the products of a matrix."""
    return n_rows * fan_in * width <= SMALL_PRODUCT


def padded_width(n, itemsize):
    """n columns, rounded up to whole vectors."""
    lanes = VECTOR_BYTES // itemsize
    return -(-n // lanes) * lanes


def widest_panel(itemsize):
    """Columns of a panel but the last."""
    return TILE_VECTORS * VECTOR_BYTES // itemsize


def scratch_size(itemsize):
    """Numbers that a thread keeps in `large_gradient`."""
    return _DEPTH_OF_GRADIENT * (_ROWS_OF_GRADIENT + widest_panel(itemsize))


# The same for kernels.
padded, panel_width, _is_small = jit(padded_width), jit(widest_panel), jit(is_small)


@jit
def small(n_rows, W):
    """`is_small` of a matrix."""
    return _is_small(n_rows, W.shape[0], W.shape[1])


@jit(entry=True)
def multiply_panel(
    C, c_at, A, a_at, a_row, tile_step, a_step, panels, at, depth, m, n, following, adds
):
    """m rows of n columns of C <- A B, or C += A B, for a panel of B.

    A has its rows ``a_row`` apart, its tiles ``tile_step`` and its columns ``a_step``.
    The tiles share the fetching of ``following`` numbers behind the panel.
    """
    c_row, b_next = C.shape[1], depth * padded(n, C.itemsize)
    b_pace = -(-following // (depth * -(-m // TILE_ROWS)))
    for i in range(0, m, TILE_ROWS):
        rows, a_next = min(TILE_ROWS, m - i), tile_step if i + TILE_ROWS < m else 0
        c, a = (C, c_at + i * c_row, c_row), (A, a_at, a_row, a_step, a_next)
        tile(c, a, (panels, at, b_next, b_pace), depth, rows, n, adds)
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


@jit
def takes_transpose(n_rows, W):
    """Whether small products with W^T take a copy of it."""
    return n_rows >= _FEW_FOR_TRANSPOSE and W.shape[1] > 1


@jit(entry=True)
def copy_transpose(there, W):
    """There <- W^T: whole squares, then what is left of rows and columns."""
    (K, N), lanes = W.shape, VECTOR_BYTES // W.itemsize
    whole_k, whole_n = K // lanes * lanes, N // lanes * lanes
    for j in range(0, whole_n, lanes):
        for k in range(0, whole_k, lanes):
            transpose(there, j * K + k, K, W, k * N + j, N)
    for j in range(whole_n):
        for k in range(whole_k, K):
            there[j * K + k] = W[k, j]
    for j in range(whole_n, N):
        for k in range(K):
            there[j * K + k] = W[k, j]


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
def few_rows_product(C, A, W):
    """C <- A W."""
    C[:] = 0
    for i in range(A.shape[0]):
        for k in range(W.shape[0]):
            for j in range(W.shape[1]):
                C[i, j] += A[i, k] * W[k, j]


@jit
def few_rows_product_back(C, A, W):
    """C <- A W^T."""
    for i in range(A.shape[0]):
        for k in range(W.shape[0]):
            total = W.dtype.type(0)
            for j in range(W.shape[1]):
                total += A[i, j] * W[k, j]
            C[i, k] = total


@jit
def few_rows_gradient(dW, A, dZ, adds):
    """dW <- A^T dZ, or dW += A^T dZ."""
    if not adds:
        dW[:] = 0
    for k in range(dW.shape[0]):
        for i in range(A.shape[0]):
            for j in range(dW.shape[1]):
                dW[k, j] += A[i, k] * dZ[i, j]


@jit(entry=True)
def large_product(C, A, W, back, n_rows, panels, multiply):
    """C <- A W, or on the way back A W^T, for some of a block's ``n_rows`` rows."""
    if n_rows < FEW_ROWS:
        if back:
            few_rows_product_back(C, A, W)
        else:
            few_rows_product(C, A, W)
        return
    (m, n), wide, at = C.shape, panel_width(C.itemsize), np.int64(0)
    n_below, step = A.shape[1], np.int64(1)
    for row in range(0, n_below, _DEPTH):
        depth = min(_DEPTH, n_below - row)
        for column in range(0, n, wide):
            width = min(wide, n - column)
            size = depth * padded(width, C.itemsize)
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
    n, wide = dW.shape[1], panel_width(dW.itemsize)
    start, step, none = np.int64(0), np.int64(1), np.int64(0)
    for row in range(0, dZ.shape[0], _DEPTH_OF_GRADIENT):
        depth = min(_DEPTH_OF_GRADIENT, dZ.shape[0] - row)
        tiles = depth * padded(min(wide, n), dW.itemsize)
        pack_columns(scratch, tiles, A, row, first, depth, m)
        for column in range(0, n, wide):
            width = min(wide, n - column)
            pack_panel(scratch, start, dZ, row, column, depth, width)
            arguments = (
                dW,
                first * n + column,
                scratch,
                tiles,
                step,
                TILE_ROWS * depth,
                TILE_ROWS,
                scratch,
                start,
                depth,
                m,
                width,
                none,
                adds + row,
            )
            call(multiply, arguments)


@jit(entry=True)
def large_gradient(dW, A, dZ, scratch, multiply, adds, turn, n_threads):
    """dW <- A^T dZ, or dW += A^T dZ, piece by piece; returns the turn."""
    if dZ.shape[0] < FEW_ROWS:
        if turn == 0:
            turn = n_threads
            few_rows_gradient(dW, A, dZ, adds)
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


def product_kernels(dtype, *, large, transposes):
    """Those of large products, and of small ones on the way back, if there are any."""
    kernels = Products(gemm_address(dtype))
    if large:
        kernels = kernels._replace(**_large_products(dtype))
    if transposes:
        transpose = addresses((copy_transpose,), dtype, ("vector", "matrix"))[0]
        kernels = kernels._replace(transpose=transpose)
    return kernels


def _large_products(dtype):
    index, turn = ("index",) * 4, ("index", "index")
    tiles = "matrix", "index", "vector", *index, "vector", *index, "index", "index"
    product = "matrix", "matrix", "matrix", *turn, "vector", "index"
    gradient = "matrix", "matrix", "matrix", "vector", "index", "index", *turn
    return {
        "product": addresses((large_product,), dtype, product)[0],
        "gradient": addresses((large_gradient,), dtype, gradient)[0],
        "pack": addresses((pack,), dtype, ("vector", "matrix", "index", *turn))[0],
        "multiply": addresses((multiply_panel,), dtype, tiles)[0],
    }
