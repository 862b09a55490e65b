"""Columns of X as units of the input, its trained scale, parametric activations."""

import naive
import numpy as np
import pytest
from builders import (
    DTYPES,
    assert_gradient_is_slope,
    knots_of_columns,
    make_problem,
    run_epoch,
)

from skmlp.core.activations import ACTIVATIONS
from skmlp.core.columns import Column, make_columns
from skmlp.core.layout import (
    bias_views,
    embedding_view,
    front_scale_view,
    mix_views,
    weight_views,
)
from skmlp.machine.jit import DISABLED
from skmlp.training.inference import predict

COLUMNS = (
    Column(n_waves=3),
    Column("one_hot", 2),
    Column("number"),
    Column("table", 4, 3),
    Column("number", 4),
    Column("one_hot", 5),
    Column("number", 3, n_waves=2),
    Column("table", 2, 2),
)
PARTS = [
    {"columns": COLUMNS},
    {"scaled_input": True},
    {"columns": COLUMNS, "scaled_input": True},
    {"columns": COLUMNS[1:3], "scaled_input": True, "input_dropout": 0.3},
    {"parametric": True},
    {
        "columns": COLUMNS,
        "scaled_input": True,
        "parametric": True,
        "dropout": 0.2,
        "input_dropout": 0.3,
        "normalization": ["layer", None],
    },
]
each_part = pytest.mark.parametrize("part", PARTS)
PARAMETRIC = [name for name, row in ACTIVATIONS.items() if row.f is not None]


def one_hot(codes, size):
    hits = codes[:, None] == np.arange(size)
    return (hits @ [[-1.0], [1.0]]) if size == 2 else hits.astype(float)


def embedded(problem, X):
    """A_0 by the book, column by column."""
    architecture, params = problem.architecture, problem.params.astype(np.float64)
    columns = make_columns(architecture.columns)
    trained = embedding_view(params, problem.layout)
    own, rest = np.split(trained, [2 * columns.n_waves])
    frequencies, shifts = np.split(own, 2)
    knots = iter(knots_of_columns(params, architecture))
    plain, waves, at = [], [], 0
    for x, column in zip(X.T, architecture.columns):
        if column.kind == "number":
            plain.append(x[:, None])
            w, b = (v[at : at + column.n_waves] for v in (frequencies, shifts))
            at += column.n_waves
            waves.append(np.cos(2 * np.pi * (x[:, None] * w + b)))
            if column.size:
                edges = next(knots)
                parts = (x[:, None] - edges[:-1]) / np.diff(edges)
                plain.append(np.clip(parts, 0, 1))
        elif column.kind == "one_hot":
            plain.append(one_hot(x, column.size))
        elif column.kind == "table":
            table, rest = np.split(rest, [column.size * column.width])
            table = table.reshape(column.size, column.width)
            known = (x >= 0) & (x < column.size)
            codes = np.where(known, x, 0).astype(int)
            plain.append(table[codes] * known[:, None])
    return np.hstack(plain + waves)


def raw_prediction(problem, X):
    """The whole network by the book, without dropout and normalization."""
    architecture, layout = problem.architecture, problem.layout
    params = problem.params.astype(np.float64)
    A = embedded(problem, X) if architecture.columns else X
    if architecture.scaled_input:
        A = A * front_scale_view(params, layout)
    names = *architecture.activations, "identity"
    layers = zip(
        weight_views(params, layout),
        bias_views(params, layout),
        names,
        mix_views(params, layout),
    )
    for W, b, name, mix in layers:
        z = A @ W + b
        A = naive.ACTIVATIONS[name][0](z)
        if mix.size:
            A = z + mix * (A - z)
    return A


@each_part
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_rows", [1, 7, 300])
def test_prediction_by_the_book(part, dtype, n_rows):
    part = {k: v for k, v in part.items() if k != "normalization"}
    problem = make_problem((5, 6, 4, 2), n_rows=n_rows, dtype=dtype, **part)
    predicted = predict(problem.architecture, problem.params, problem.data)
    expected = raw_prediction(problem, problem.X.astype(dtype).astype(np.float64))
    rtol = 1e-4 if dtype == np.float32 else 1e-10
    np.testing.assert_allclose(predicted, expected, rtol=rtol, atol=rtol)


@each_part
@pytest.mark.parametrize("loss", ["squared_error", "log_loss"])
def test_gradient_against_central_differences(part, loss):
    sizes = (5, 6, 4, 1 if loss == "squared_error" else 3)
    problem = make_problem(sizes, loss=loss, weighted=True, **part)
    every = 7 if DISABLED else 1
    assert_gradient_is_slope(problem, range(0, problem.layout.n_params, every))


@pytest.mark.parametrize("activation", PARAMETRIC)
def test_gradient_of_parametric_activations(activation):
    assert_gradient_is_slope(
        make_problem((3, 4, 3, 1), activation=activation, parametric=True)
    )


@pytest.mark.skipif(DISABLED, reason="threads work together in compiled kernels only")
@each_part
@pytest.mark.parametrize("n_threads", [1, 2, 3])
@pytest.mark.parametrize("chunk_size", [64, 17])
def test_any_number_of_threads_gives_the_same_bits(part, n_threads, chunk_size):
    """Chunks decide on the order of sums, threads do not."""
    part = {k: v for k, v in part.items() if k != "normalization"}
    results = []
    for n in (1, n_threads):
        problem = make_problem((5, 30, 20, 2), n_rows=150, dtype=np.float32, **part)
        order = np.random.default_rng(0).permutation(150)
        options = {"batch_size": 64, "chunk_size": chunk_size, "n_threads": n}
        run_epoch(
            problem,
            order,
            optimizer="adam",
            hyper=(0.9, 0.99, 1e-8),
            rates=[0.01] * 3,
            **options,
        )
        results.append(problem.params.copy())
    np.testing.assert_array_equal(*results)


def test_codes_that_are_none_become_zeros():
    """Kernels check no bounds: neither may a code lead out of its table."""
    columns = Column("table", 3, 2), Column("one_hot", 3), Column("one_hot", 2)
    problem = make_problem((3, 2), columns=columns)
    problem.params[:] = 1
    for code in (-1, 3, 1e30, -1e30, np.nan, np.inf, -0.5):
        X = np.full((1, 3), float(code))
        data = problem.data._replace(X=X)
        data.X.flags.writeable = False
        predicted = predict(problem.architecture, problem.params, data)
        np.testing.assert_array_equal(predicted, np.ones((1, 2)))
