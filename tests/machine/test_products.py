import ctypes
import itertools
import mmap
import sys

import numpy as np
import pytest
from builders import DTYPES, as_kernel

from skmlp.core.inputs import gather
from skmlp.machine import products, tiles
from skmlp.machine.intrinsics import refer
from skmlp.machine.jit import DISABLED
from skmlp.machine.products import (
    FEW_ROWS,
    multiply_panel,
    pack,
    pack_transposed,
    padded_width,
    product,
    product_gradient,
    product_kernels,
    scratch_size,
)
from skmlp.machine.tiles import READS_IN_PLACE, TILE_ROWS
from skmlp.machine.vectors import TILE_VECTORS, VECTOR_BYTES

SENTINEL = 7.0
NOWHERE = 10**12  # numbers away: fetching ahead may ask for what is no memory at all
TOLERANCE = {np.float32: 1e-5, np.float64: 1e-13}
DEPTH, DEPTH_OF_GRADIENT = products._DEPTH, products._DEPTH_OF_GRADIENT
ROWS_OF_GRADIENT = products._ROWS_OF_GRADIENT

each_dtype = pytest.mark.parametrize("dtype", DTYPES)
each_addition = pytest.mark.parametrize("adds", [0, 1])
each_direction = pytest.mark.parametrize("back", [0, 1])


# Kernels for intrinsics, which Python cannot call.
@as_kernel
def call_tile(
    C, c_at, c_row, A, a_at, a_row, a_step, B, b_at, b_row, n_steps, m, n, add, later
):
    c, a = (C, c_at, c_row), (A, a_at, a_row, a_step, later)
    tiles.tile(c, a, (B, b_at, b_row, later, 3), n_steps, m, n, add)


@as_kernel
def call_copy(P, p_at, p_row, B, b_at, b_row, n_rows, n, ahead):
    tiles.copy(P, p_at, p_row, B, b_at, b_row, n_rows, n, ahead)


@as_kernel
def call_copy_columns(P, p_at, B, b_at, b_row, n_rows, n):
    tiles.copy_columns(P, p_at, B, b_at, b_row, n_rows, n)


@as_kernel
def call_transpose(P, p_at, p_row, B, b_at, b_row, n_rows, n):
    tiles.transpose(P, p_at, p_row, B, b_at, b_row, n_rows, n)


@as_kernel
def call_gather(A, X, rows):
    gather(A, X, rows)


def lanes_of(dtype):
    return VECTOR_BYTES // np.dtype(dtype).itemsize


def panel_of(dtype):
    """Columns of a panel."""
    return TILE_VECTORS * lanes_of(dtype)


def draw(shape, dtype, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def inside(matrix, filler=SENTINEL, border=70):
    """A copy within a long array of ``filler``, and the array."""
    whole = np.full(matrix.size + 2 * border, filler, matrix.dtype)
    part = whole[border : border + matrix.size].reshape(matrix.shape)
    part[:] = matrix
    return part, whole


def assert_borders_kept(part, whole, filler=SENTINEL, border=70):
    np.testing.assert_array_equal(whole[:border], filler)
    np.testing.assert_array_equal(whole[border + part.size :], filler)


def assert_close(actual, expected, dtype, depth):
    """For sums of ``depth`` products of numbers around one."""
    assert actual.dtype == dtype
    atol = TOLERANCE[dtype] * np.sqrt(depth)
    np.testing.assert_allclose(actual, expected, rtol=TOLERANCE[dtype], atol=atol)


def matmul(A, B):
    return A.astype(np.float64) @ B.astype(np.float64)


@each_dtype
@each_addition
@pytest.mark.parametrize("depth", [1, 2, 7, 65])
def test_tile(dtype, adds, depth):
    """All sizes; A by rows, and by columns in sixes; B in a panel, and elsewhere."""
    for n in range(1, panel_of(dtype) + 1):
        width = n + 3 if n % 2 else padded_width(n, np.dtype(dtype).itemsize)
        B = np.full((depth, width), np.nan, dtype)
        B[:, :n] = draw((depth, n), dtype, n)
        b, _ = inside(B, np.nan)
        for m in range(1, TILE_ROWS + 1):
            for by_columns in False, True:
                A = draw((m, depth), dtype, m)
                if by_columns:
                    held = np.full((depth, TILE_ROWS), np.nan, dtype)
                    held[:, :m] = A.T
                    a_row, a_step = 1, TILE_ROWS
                else:
                    held, a_row, a_step = A, depth, 1
                a, _ = inside(held, np.nan)
                before = np.full((m + 1, n + 3), SENTINEL, dtype)
                C, whole = inside(before)
                at, c_row = n + 5, C.shape[1]  # row 1, column 2
                where = C.reshape(-1), at, c_row
                factors = a.reshape(-1), 0, a_row, a_step, b.reshape(-1), 0, width
                following = -NOWHERE if by_columns else NOWHERE
                call_tile(*where, *factors, depth, m, n, adds, following)
                expected = before.astype(np.float64)
                expected[1:, 2 : n + 2] *= adds
                expected[1:, 2 : n + 2] += matmul(A, B[:, :n])
                assert_close(C, expected, dtype, depth)
                changed = np.zeros(C.shape, bool)
                changed[1:, 2 : n + 2] = True
                np.testing.assert_array_equal(C[~changed], SENTINEL)
                assert_borders_kept(C, whole)


@each_dtype
def test_tile_hides_no_nan(dtype):
    n = panel_of(dtype)
    A, B = np.ones((TILE_ROWS, 3), dtype), np.ones((3, n), dtype)
    A[2, 1] = B[2, n - 1] = np.nan
    C = np.full((TILE_ROWS, n), np.nan, dtype)
    call_tile(C, 0, n, A, 0, 3, 1, B, 0, n, 3, TILE_ROWS, n, 0, 0)
    np.testing.assert_array_equal(np.isnan(C), np.isnan(A @ B))


@pytest.mark.skipif(not READS_IN_PLACE, reason="panels are rounded up then")
@pytest.mark.skipif(DISABLED, reason="NumPy looks after that")
@pytest.mark.skipif(sys.platform != "linux", reason="needs mprotect")
@each_dtype
def test_tile_reads_nothing_behind_the_last_row(dtype):
    """Where B ends there is a page that nobody may read."""
    page, n_steps = mmap.PAGESIZE, 3
    whole = np.frombuffer(mmap.mmap(-1, 2 * page), dtype)
    end = ctypes.c_void_p(whole.ctypes.data + page), ctypes.c_size_t(page)
    assert ctypes.CDLL(None).mprotect(*end, 0) == 0
    for n in range(1, panel_of(dtype) + 1):
        at = whole.size // 2 - n_steps * n
        whole[at : at + n_steps * n] = 1
        A, C = np.ones((TILE_ROWS, n_steps), dtype), np.zeros((TILE_ROWS, n), dtype)
        factors = A, 0, n_steps, 1, whole, at, n
        call_tile(C, 0, n, *factors, n_steps, TILE_ROWS, n, 0, 0)
        np.testing.assert_array_equal(C, n_steps)


@each_dtype
@pytest.mark.parametrize("room", [0, 1, 40])
def test_copy(dtype, room):
    """With ``room`` for zeros behind each row, up to a whole vector."""
    lanes = lanes_of(dtype)
    for n in range(1, 131):
        for n_rows in 1, 3:
            B, _ = inside(draw((n_rows, n + 2), dtype), np.nan)
            before = np.full((n_rows, n + room), SENTINEL, dtype)
            P, whole = inside(before)
            there, here = (P.reshape(-1), 0, n + room), (B.reshape(-1), 1, n + 2)
            call_copy(*there, *here, n_rows, n, NOWHERE if n % 2 else -NOWHERE)
            expected = before.copy()
            expected[:, : min(n + room, -(-n // lanes) * lanes)] = 0
            expected[:, :n] = B[:, 1 : n + 1]
            np.testing.assert_array_equal(P, expected)
            assert_borders_kept(P, whole)


@each_dtype
def test_copy_columns(dtype):
    for n in range(1, 131):
        for n_rows in 1, 5:
            B, _ = inside(draw((n_rows, n + 2), dtype), np.nan)
            n_tiles = -(-n // TILE_ROWS)
            before = np.full((n_tiles, n_rows, TILE_ROWS), SENTINEL, dtype)
            P, whole = inside(before)
            call_copy_columns(P.reshape(-1), 0, B.reshape(-1), 1, n + 2, n_rows, n)
            columns = P.transpose(1, 0, 2).reshape(n_rows, -1)
            np.testing.assert_array_equal(columns[:, :n], B[:, 1 : n + 1])
            np.testing.assert_array_equal(columns[:, n:], SENTINEL)
            assert_borders_kept(P, whole)


@each_dtype
def test_transpose(dtype):
    lanes = lanes_of(dtype)
    for n_rows, n in itertools.product(range(1, lanes + 3), repeat=2):
        B, _ = inside(draw((n_rows, n + 3), dtype), np.nan)
        P, whole = inside(np.full((lanes, lanes + 2), SENTINEL, dtype))
        call_transpose(P.reshape(-1), 1, lanes + 2, B.reshape(-1), 2, n + 3, n_rows, n)
        height = min(n, lanes)
        rows = np.minimum(np.arange(lanes), n_rows - 1)
        np.testing.assert_array_equal(P[:height, 1:-1], B[rows, 2 : height + 2].T)
        np.testing.assert_array_equal(P[height:], SENTINEL)
        np.testing.assert_array_equal(P[:, [0, -1]], SENTINEL)
        assert_borders_kept(P, whole)


@each_dtype
@pytest.mark.parametrize("n", [*range(1, 20), 31, 32, 33, 130])
def test_gather(dtype, n):
    X, _ = inside(draw((5, n), dtype), np.nan)
    rows = np.array([4, 0, 0, 2])
    A, whole = inside(np.full((4, n), SENTINEL, dtype))
    call_gather(A, X, rows)
    np.testing.assert_array_equal(A, X[rows])
    assert_borders_kept(A, whole)


def pack_in_shares(W, back, bounds=None):
    """Panels of W or of W^T, some rows after others; what is not written is NaN."""
    K, N = W.shape[::-1] if back else W.shape
    size = K * padded_width(N, W.itemsize)
    panels, whole = inside(np.full(size, np.nan, W.dtype))
    for first, last in itertools.pairwise(bounds or (0, len(W))):
        call_pack(panels, W, back, all_kernels(W.dtype), first, last)
    assert_borders_kept(panels, whole)
    return panels


def unpack(panels, K, N):
    """The matrix that panels hold, and their padding."""
    wide = panel_of(panels.dtype)
    columns, B, padding = padded_width(N, panels.itemsize), np.empty((K, N)), []
    for row in range(0, K, DEPTH):
        depth = min(DEPTH, K - row)
        for column in range(0, N, wide):
            n = min(wide, N - column)
            width = padded_width(n, panels.itemsize)
            at = row * columns + depth * column
            panel = panels[at : at + depth * width].reshape(depth, width)
            B[row : row + depth, column : column + n] = panel[:, :n]
            padding.append(panel[:, n:].ravel())
    return B, np.concatenate(padding)


SIZES = [1, 5, 6, 7, 15, 16, 17, 18, 63, 64, 65, 66, 67, 127, 128, 129, 130]
AROUND_DEPTH = [255, 256, 257, 511, 512, 513, 1030]
SHAPES = [
    *((K, N) for K in SIZES for N in SIZES),
    *((K, N) for K in AROUND_DEPTH for N in (1, 17, 64, 67, 130)),
    *((K, N) for K in (1, 17, 64, 67, 130) for N in AROUND_DEPTH),
]


@each_dtype
@each_direction
def test_pack(dtype, back):
    for K, N in SHAPES:
        B = draw((K, N), dtype)
        W, _ = inside(np.ascontiguousarray(B.T) if back else B, np.nan)
        unpacked, padding = unpack(pack_in_shares(W, back), K, N)
        np.testing.assert_array_equal(unpacked, B)
        assert np.isfinite(padding).all()


@each_dtype
@each_direction
def test_shares_of_the_rows_make_the_same_panels(dtype, back):
    """Rows below a depth, and columns of a panel, are several threads' together."""
    lanes = lanes_of(dtype)
    for K, N in [(1, 1), (7, 130), (130, 7), (513, 257), (257, 513)]:
        W = draw((N, K) if back else (K, N), dtype)
        n, expected = len(W), pack_in_shares(W, back)
        for steps in [1], [0, 2, 2], [1, 4, 5], [8, 9, 16], [100]:
            inner = [min(step * lanes, n) for step in steps]
            panels = pack_in_shares(W, back, [0, *inner, n])
            assert panels.tobytes() == expected.tobytes()


def all_kernels(dtype):
    return product_kernels(np.dtype(dtype), back=True, copies=True)


@as_kernel
def call_pack(panels, W, back, kernels, first, last):
    if back:
        pack_transposed(panels, W, kernels.panel_back, first, last)
    else:
        pack(panels, W, kernels.panel, first, last)


@as_kernel
def call_product(C, A, W, back, n_rows, panels, kernels):
    product(C, A, W, back, n_rows, panels, refer(kernels))


@as_kernel
def call_gradient(dW, A, dZ, scratch, kernels, adds, first, last):
    product_gradient(dW, A, dZ, scratch, refer(kernels), adds, first, last)


NO_WEIGHTS = {dtype: np.empty((0, 0), dtype) for dtype in DTYPES}
NO_PANELS = {dtype: np.empty(0, dtype) for dtype in DTYPES}


def product_of_panels(A, panels, N):
    """For some rows of a block that has its weights in panels."""
    C, whole = inside(np.full((len(A), N), np.nan, A.dtype))
    W = NO_WEIGHTS[A.dtype.type]
    call_product(C, A, W, 0, FEW_ROWS, panels, all_kernels(A.dtype))
    assert_borders_kept(C, whole)
    return C


def product_without_panels(A, W, back, n_rows):
    C, whole = inside(np.full((len(A), W.shape[0 if back else 1]), np.nan, A.dtype))
    dtype = A.dtype.type
    call_product(C, A, W, back, n_rows, NO_PANELS[dtype], all_kernels(dtype))
    assert_borders_kept(C, whole)
    return C


@each_dtype
@each_direction
@pytest.mark.parametrize("m", [1, 5, 6, 7, 13, 66])
def test_product(dtype, back, m):
    """Padding of panels, rows below and columns aside count for nothing."""
    for K, N in SHAPES[:: 5 if m > 7 or DISABLED else 1]:
        if (K if back else N) == 1:
            continue
        B = draw((K, N), dtype)
        A, _ = inside(draw((m, K), dtype, 1), np.nan)
        panels = pack_in_shares(np.ascontiguousarray(B.T) if back else B, back)
        C = product_of_panels(A, panels, N)
        assert_close(C, matmul(A, B), dtype, K)


@pytest.mark.skipif(DISABLED, reason="NumPy computes the products then")
@each_dtype
@pytest.mark.parametrize("m", [1, 6, 7, 13, 67, 131])
@pytest.mark.parametrize(("K", "N"), [(3, 5), (130, 67), (256, 200), (1030, 97)])
def test_rows_of_a_product_are_those_of_any_part_of_it(dtype, m, K, N):
    A, W = draw((m, K), dtype), draw((K, N), dtype, 1)
    panels, back = pack_in_shares(W, 0), pack_in_shares(np.ascontiguousarray(W.T), 1)
    whole = product_of_panels(A, panels, N)
    assert product_of_panels(A, back, N).tobytes() == whole.tobytes()
    for length in 1, 4, 6, 17:
        parts = [A[i : i + length] for i in range(0, m, length)]
        parts = [product_of_panels(part, panels, N) for part in parts]
        assert np.concatenate(parts).tobytes() == whole.tobytes()
    for n in {2, N // 2, N - 1}:
        panels = pack_in_shares(np.ascontiguousarray(W[:, :n]), 0)
        left = product_of_panels(A, panels, n)
        assert left.tobytes() == whole[:, :n].tobytes()


def gradient(A, dZ, dW, adds, bounds=None):
    """dW as threads compute it, the last rows first."""
    dtype = dW.dtype
    part, whole = inside(dW)
    bounds = bounds or (0, len(dW))
    for first, last in reversed(list(itertools.pairwise(bounds))):
        size = scratch_size(max(A.size, dZ.size), dtype.itemsize)
        room = np.full(size, np.nan, dtype)
        scratch, around = inside(room)
        call_gradient(part, A, dZ, scratch, all_kernels(dtype), adds, first, last)
        assert_borders_kept(scratch, around)
    assert_borders_kept(part, whole)
    return part


AROUND_BLOCKS = [1, 7, 8, 13, 255, 256, 257, 512, 513]


@each_dtype
@each_addition
@pytest.mark.parametrize("depth", AROUND_BLOCKS)
def test_product_gradient(dtype, adds, depth):
    shapes = [*SHAPES[:289:7], (255, 17), (ROWS_OF_GRADIENT + 1, 65), (530, 130)]
    for m, n in shapes:
        A, _ = inside(draw((depth, m), dtype, 1), np.nan)
        dZ, _ = inside(draw((depth, n), dtype, 2), np.nan)
        before = draw((m, n), dtype, 3) if adds else np.full((m, n), np.nan, dtype)
        dW = gradient(A, dZ, before, adds)
        expected = matmul(A.T, dZ)
        if adds:
            expected += before
        assert_close(dW, expected, dtype, depth)


@each_dtype
@each_direction
@pytest.mark.parametrize("n_rows", range(1, FEW_ROWS))
def test_product_of_few_rows_is_without_panels(dtype, back, n_rows):
    for K, N in SHAPES[:: 11 if DISABLED else 3]:
        B, A = draw((K, N), dtype), draw((n_rows, K), dtype, 1)
        W, _ = inside(np.ascontiguousarray(B.T) if back else B, np.nan)
        C = product_without_panels(A, W, back, n_rows)
        assert_close(C, matmul(A, B), dtype, K)
        if DISABLED:
            break


@each_dtype
@each_direction
@pytest.mark.parametrize("n_rows", [1, 5, 40])
def test_a_single_output_needs_no_panels(dtype, back, n_rows):
    for K in SIZES:
        W, _ = inside(draw((K, 1), dtype), np.nan)
        A = draw((n_rows, 1 if back else K), dtype, 1)
        C = product_without_panels(A, W, back, n_rows)
        assert_close(C, matmul(A, W.T if back else W), dtype, K)


@pytest.mark.skipif(DISABLED, reason="NumPy computes the products then")
@each_dtype
@each_addition
def test_copies_of_the_factors_change_no_bit(dtype, adds):
    """Both are large; then the left one is small, the right one, and both."""
    depth = DEPTH_OF_GRADIENT + 5
    n = 100 + 2 * products._BYTES_IN_PLACE // (np.dtype(dtype).itemsize * depth)
    A, dZ = draw((2, depth, n), dtype)
    before = draw((n, n), dtype, 1)
    expected = gradient(A, dZ, before, adds)
    for i, j in (n, 19), (13, n), (13, 19):
        left, right = (np.ascontiguousarray(F[:, :k]) for F, k in ((A, i), (dZ, j)))
        part = gradient(left, right, np.ascontiguousarray(before[:i, :j]), adds)
        assert part.tobytes() == expected[:i, :j].tobytes()


@pytest.mark.skipif(DISABLED, reason="NumPy computes the products then")
@each_dtype
@each_addition
def test_shares_change_no_bit_of_a_gradient(dtype, adds):
    sizes = 1, 6, 7, 50, ROWS_OF_GRADIENT, ROWS_OF_GRADIENT + 1, 1100
    for m in sizes:
        for n, depth in (5, 3), (1, 13), (67, 257), (130, 520):
            A, dZ = draw((depth, m), dtype), draw((depth, n), dtype, 1)
            before = draw((m, n), dtype, 2)
            if not adds:
                before[:] = np.nan
            expected = gradient(A, dZ, before, adds)
            for blocks in [1], [0, 3, 3], [7, 8, 50]:
                inner = [min(k * TILE_ROWS, m) for k in blocks]
                dW = gradient(A, dZ, before, adds, [0, *inner, m])
                assert dW.tobytes() == expected.tobytes()


def test_multiply_panel_takes_any_tiles():
    """A cut into tiles' columns, as for gradients, and by rows, as for products."""
    m, depth, n = 20, 9, panel_of(np.float64) - 1
    A, B = draw((m, depth), np.float64), draw((depth, n), np.float64, 1)
    panel = np.zeros(depth * padded_width(n, 8))
    panel.reshape(depth, -1)[:, :n] = B
    tiled = np.full(-(-m // TILE_ROWS) * TILE_ROWS * depth, np.nan)
    call_copy_columns(tiled, 0, np.ascontiguousarray(A.T).reshape(-1), 0, m, depth, m)
    by_rows, by_columns = np.full((2, m, n), np.nan)
    steps = depth, TILE_ROWS * depth, 1
    factor = panel, 0, padded_width(n, 8), depth, m, n, 0, 0
    multiply_panel(by_rows, 0, A.reshape(-1), 0, *steps, *factor)
    steps = 1, TILE_ROWS * depth, TILE_ROWS
    multiply_panel(by_columns, 0, tiled, 0, *steps, *factor)
    np.testing.assert_allclose(by_rows, A @ B, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(by_columns, A @ B, rtol=1e-12, atol=1e-13)


@each_dtype
def test_padded_width(dtype):
    itemsize, lanes = np.dtype(dtype).itemsize, lanes_of(dtype)
    for n in range(1, 131):
        width = padded_width(n, itemsize)
        assert width % lanes == 0
        assert n <= width < n + lanes
