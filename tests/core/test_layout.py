import itertools

import numpy as np
import pytest
from builders import as_kernel

from skmlp.core.columns import Column, make_columns
from skmlp.core.layout import (
    bias,
    bias_views,
    embedding_view,
    front_scale_view,
    knots_view,
    make_layout,
    mix_views,
    rows_of_share,
    running,
    running_views,
    scale,
    scale_views,
    segments_of,
    start_scales,
    tail,
    weight_views,
    weights,
)
from skmlp.machine.intrinsics import matrix_view

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
    assert layout.table.dtype == np.int64
    assert layout.table.flags.c_contiguous
    assert layout.stretches.dtype == np.int64
    assert layout.stretches.flags.c_contiguous
    assert all(type(number) is int for number in layout[3:])


LAYERS = [
    {},
    {"gated": [True, False], "normalized": [False, True]},
    {"normalized": [True, True], "parametric": [True, False]},
    {"scaled_input": True, "parametric": [True, True]},
]


def all_views(params, layout):
    """(kind, layer, view) of all that is trained, in order."""
    for i, view in enumerate(weight_views(params, layout), start=1):
        yield "weights", i, view
    for i, view in enumerate(bias_views(params, layout), start=1):
        yield "biases", i, view
    yield "front", 0, front_scale_view(params, layout)
    for i, view in enumerate(scale_views(params, layout), start=1):
        yield "scales", i, view
    for i, view in enumerate(mix_views(params, layout), start=1):
        yield "mixes", i, view


@pytest.mark.parametrize("sizes", [(2, 3, 4, 5), (64, 64, 1, 1), (100, 90, 400, 3)])
@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize("by_segment", [False, True])
def test_stretches_are_all_parameters_of_each_kind(sizes, layers, by_segment):
    layout = make_layout(sizes, by_segment=by_segment, **layers)
    seen = np.full((2, layout.n_params), -1)
    for start, length, *kind in layout.stretches:
        assert 1 <= length <= 1024
        assert (seen[:, start : start + length] == -1).all()
        seen[:, start : start + length] = np.transpose([kind])

    expected, group = np.full((2, layout.n_total), -1), 0
    for kind, _, view in all_views(np.arange(layout.n_total), layout):
        if view.size:
            expected[0, view] = kind == "weights"
            expected[1, view] = group * by_segment
            group += 1
    np.testing.assert_array_equal(seen, expected[:, : layout.n_params])


def test_segments_of_an_embedding():
    columns = make_columns(
        (Column(n_waves=3), Column("table", 4, 2), Column("number", 2))
    )
    assert columns.n_units == 1 + 2 + 3 + 3
    layout = make_layout(
        (columns.n_units, 5, 1), columns=columns, scaled_input=True, by_segment=True
    )
    segments = segments_of(layout)
    named = [(segment.kind, segment.layer, segment.length) for segment in segments]
    assert named == [
        ("weights", 1, 45),
        ("weights", 2, 5),
        ("biases", 1, 5),
        ("biases", 2, 1),
        ("front", 0, 6),
        ("front_waves", 0, 3),
        ("waves", 0, 6),
        ("tables", 0, 8),
    ]
    assert layout.n_params == sum(segment.length for segment in segments)
    assert layout.n_total == layout.n_params + 3
    assert layout.n_columns == 3
    vector = np.arange(layout.n_total)
    np.testing.assert_array_equal(embedding_view(vector, layout), vector[65:79])
    np.testing.assert_array_equal(knots_view(vector, layout), vector[79:])


def test_layers_of_one_group_share_stretches():
    starts = make_layout((30, 30, 30, 30, 2)).stretches[:, 0]
    np.testing.assert_array_equal(starts, [0, 1024, 2048, 2760])


def test_views_share_memory():
    layout = make_layout((4, 5, 2))
    params = np.zeros(layout.n_params)
    for number, view in enumerate(
        weight_views(params, layout) + bias_views(params, layout), start=1
    ):
        assert view.flags.c_contiguous
        view[:] = number
    np.testing.assert_array_equal(params, np.repeat([1, 2, 3, 4], [20, 10, 5, 2]))


@pytest.mark.parametrize("sizes", SIZES)
def test_views_in_kernels_are_those_of_python(sizes):
    layout = make_layout(sizes)
    params = np.zeros(layout.n_params)

    def mark(params, layout, i, number):
        weights(params, layout, i)[:] = number
        bias(tail(params, layout), layout, i)[:] = -number

    mark = as_kernel(mark)
    for i in range(1, len(sizes)):
        mark(params, layout, i, i)
    for i, (W, b) in enumerate(
        zip(weight_views(params, layout), bias_views(params, layout)), start=1
    ):
        np.testing.assert_array_equal(W, i)
        np.testing.assert_array_equal(b, -i)


def test_gated_and_normalized_layers():
    layout = make_layout((3, 4, 5, 2), gated=[True, False], normalized=[True, True])
    np.testing.assert_array_equal(layout.sizes, [3, 4, 5, 2])
    np.testing.assert_array_equal(layout.widths, [8, 5, 2])
    vector = np.arange(layout.n_total)
    views = [
        *weight_views(vector, layout),
        *bias_views(vector, layout),
        *scale_views(vector, layout),
        *running_views(vector, layout),
    ]
    shapes = [(3, 8), (4, 5), (5, 2), (8,), (5,), (2,), (8,), (5,), (0,)]
    assert [view.shape for view in views] == [*shapes, (2, 8), (2, 5), (2, 0)]
    np.testing.assert_array_equal(np.concatenate([v.ravel() for v in views]), vector)
    assert layout.n_weights == 24 + 20 + 10
    assert layout.n_params == layout.n_weights + 15 + 13
    assert layout.n_total == layout.n_params + 2 * 13


def test_scales_and_running_statistics_in_kernels():
    layout = make_layout((3, 4, 2), normalized=[True])
    params = np.zeros(layout.n_total)

    def mark(params, layout):
        scale(tail(params, layout), layout, 1)[:] = 1
        running(params, layout, 1)[1] = 2

    as_kernel(mark)(params, layout)
    expected = np.zeros(layout.n_total)
    start_scales(expected, layout)
    expected[-4:] = 2
    np.testing.assert_array_equal(params, expected)


def test_matrix_view_rows_and_columns():
    def element(vector, start, shape, i, j):
        return matrix_view(vector, start, shape)[i, j]

    element = as_kernel(element)
    vector = np.arange(20.0)
    expected = vector[3:15].reshape(3, 4)
    for i in range(3):
        for j in range(4):
            assert element(vector, 3, (3, 4), i, j) == expected[i, j]


@as_kernel
def call_rows_of_share(layout, i, lowest, rank, size, step):
    return rows_of_share(layout, i, lowest, rank, size, step)


@pytest.mark.parametrize("sizes", [*SIZES, (20, 100, 1), (50, 256, 256, 1), (784, 30)])
@pytest.mark.parametrize("lowest", [1, 2])
@pytest.mark.parametrize("n_threads", [1, 2, 3, 8])
@pytest.mark.parametrize("step", [1, 6, 16])
def test_each_row_is_in_one_share_and_shares_are_alike(sizes, lowest, n_threads, step):
    layout = make_layout(sizes)
    lengths = np.zeros(n_threads)
    for i in range(lowest, len(sizes)):
        end = 0
        for rank in range(n_threads):
            first, last = call_rows_of_share(layout, i, lowest, rank, n_threads, step)
            assert first == end
            assert first <= last
            assert last == sizes[i - 1] or last % step == 0
            lengths[rank] += (last - first) * sizes[i]
            end = last
        assert end == sizes[i - 1]
    largest = step * max(sizes[1:])
    assert np.abs(lengths - lengths.mean()).max() <= largest
