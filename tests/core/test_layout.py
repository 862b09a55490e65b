import itertools

import numpy as np
import pytest

from skmlp.core.intrinsics import matrix_view
from skmlp.core.jit import DISABLED
from skmlp.core.layout import bias, bias_views, make_layout, weight_views, weights

SIZES = [(1, 1), (3, 2), (4, 5, 1), (2, 3, 4, 5)]


@pytest.mark.parametrize("sizes", SIZES)
def test_weights_first_then_biases_without_gaps(sizes):
    layout = make_layout(sizes)
    params = np.arange(layout.n_params)
    coefs, intercepts = weight_views(params, layout), bias_views(params, layout)
    assert [W.shape for W in coefs] == list(itertools.pairwise(sizes))
    assert [b.shape for b in intercepts] == [(n,) for n in sizes[1:]]
    flat = np.concatenate([view.ravel() for view in coefs + intercepts])
    np.testing.assert_array_equal(flat, params)
    assert layout.n_weights == sum(W.size for W in coefs)


def test_types_that_kernels_are_compiled_for():
    layout = make_layout((4, 5, 1))
    for array in layout[:6]:
        assert array.dtype == np.int64
        assert array.flags.c_contiguous
    assert all(type(number) is int for number in layout[6:])


def test_views_share_memory():
    layout = make_layout((4, 5, 2))
    params = np.zeros(layout.n_params)
    for number, view in enumerate(
        weight_views(params, layout) + bias_views(params, layout), start=1
    ):
        assert view.flags.c_contiguous
        view[:] = number
    np.testing.assert_array_equal(params, np.repeat([1, 2, 3, 4], [20, 10, 5, 2]))


def in_kernel(function):
    """``function`` as it runs inside kernels."""
    if DISABLED:
        return function
    import numba

    return numba.njit(function)


@pytest.mark.parametrize("sizes", SIZES)
def test_views_in_kernels_are_those_of_python(sizes):
    layout = make_layout(sizes)
    params = np.zeros(layout.n_params)

    def mark(params, layout, i, number):
        weights(params, layout, i)[:] = number
        bias(params, layout, i)[:] = -number

    mark = in_kernel(mark)
    for i in range(len(sizes) - 1):
        mark(params, layout, i, i + 1)
    for i, (W, b) in enumerate(
        zip(weight_views(params, layout), bias_views(params, layout)), start=1
    ):
        np.testing.assert_array_equal(W, i)
        np.testing.assert_array_equal(b, -i)


def test_matrix_view_rows_and_columns():
    def element(vector, start, shape, i, j):
        return matrix_view(vector, start, shape)[i, j]

    element = in_kernel(element)
    vector = np.arange(20.0)
    expected = vector[3:15].reshape(3, 4)
    for i in range(3):
        for j in range(4):
            assert element(vector, 3, (3, 4), i, j) == expected[i, j]
