import naive
import numpy as np
import pytest
from builders import DTYPES

from skmlp.core import activations
from skmlp.core.activations import ACTIVATIONS

TOLERANCE = {np.float32: 1e-6, np.float64: 1e-14}
EXTREMES = [0.0, -0.0, 1e-45, -1e-45, 1e-320, 88.0, -88.0, 710.0, -745.0]
EXTREMES += [1e30, -1e30, np.inf, -np.inf]

each_activation = pytest.mark.parametrize("name", ACTIVATIONS)
each_ungated = pytest.mark.parametrize("name", naive.ACTIVATIONS)
each_gated = pytest.mark.parametrize("name", naive.GATED)
each_dtype = pytest.mark.parametrize("dtype", DTYPES)


def width(name, n_units):
    """Columns of Z."""
    return n_units * (1 + ACTIVATIONS[name].gated)


def run(name, Z, bias, dtype):
    """(A, Z) after forward, in the same memory if the table says so."""
    row, Z = ACTIVATIONS[name], np.array(Z, dtype)
    n_units = Z.shape[1] // (1 + row.gated)
    A = Z if row.in_place else np.full((len(Z), n_units), np.nan, dtype)
    row.forward(A, Z, np.array(bias, dtype))
    return A, Z


def forward(name, Z, bias=None, dtype=np.float64):
    bias = np.zeros(np.shape(Z)[1]) if bias is None else bias
    return run(name, Z, bias, dtype)[0]


def backward(name, dA, Z, bias=None, dtype=np.float64):
    """dZ after forward on Z and bias."""
    bias = np.zeros(np.shape(Z)[1]) if bias is None else bias
    row, (A, Z) = ACTIVATIONS[name], run(name, Z, bias, dtype)
    dA = np.array(dA, dtype)
    dZ = np.full_like(Z, np.nan) if row.gated else dA
    if row.backward is not None:
        row.backward(dZ, dA, A, Z)
    return dZ


def apply(name, z, dtype=np.float64):
    """f(z) of a vector; U * f(z) with U = 1 if gated."""
    z = np.array(z, dtype)[:, None]
    return forward(name, to_gate(name, z), dtype=dtype)[:, 0]


def slope(name, z, dtype=np.float64):
    """f'(z) of a vector, as `apply`."""
    z = np.array(z, dtype)[:, None]
    dZ = backward(name, np.ones_like(z), to_gate(name, z), dtype=dtype)
    return dZ[:, -1]


def to_gate(name, z):
    """Z = [1 | z] for gated activations."""
    return np.hstack([np.ones_like(z), z]) if ACTIVATIONS[name].gated else z


def test_the_naive_twin_knows_every_row():
    assert naive.ACTIVATIONS.keys() | naive.GATED.keys() == ACTIVATIONS.keys()
    assert {name for name, row in ACTIVATIONS.items() if row.gated} == set(naive.GATED)


def test_kernels_have_names_of_their_own():
    """The cache knows them by these."""
    names = [
        kernel.__name__
        for row in ACTIVATIONS.values()
        for kernel in (row.forward, row.backward)
        if kernel is not None
    ]
    assert len(set(names)) == len(names) == 2 * len(ACTIVATIONS) - 1


@each_activation
@each_dtype
def test_forward_is_that_of_the_naive_twin(name, dtype):
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((7, width(name, 5))) * 5
    bias = rng.standard_normal(width(name, 5))
    A = forward(name, Z, bias, dtype)
    assert A.dtype == dtype
    assert A.shape == (7, 5)
    expected = naive.activate(Z + bias, name)
    np.testing.assert_allclose(A, expected, rtol=20 * TOLERANCE[dtype], atol=1e-6)


@each_activation
def test_forward_in_double_precision(name):
    z = np.linspace(-20, 20, 400)
    expected = naive.activate(to_gate(name, z[:, None]), name)[:, 0]
    np.testing.assert_allclose(apply(name, z), expected, rtol=1e-13)


@each_ungated
def test_backward_against_central_differences(name):
    rng = np.random.default_rng(1)
    Z, bias = rng.standard_normal((6, 4)) * 2, rng.standard_normal(4)
    upstream, h = rng.standard_normal((6, 4)), 1e-6
    delta = backward(name, upstream, Z, bias)
    slope = (forward(name, Z + h, bias) - forward(name, Z - h, bias)) / (2 * h)
    np.testing.assert_allclose(delta, upstream * slope, rtol=1e-7, atol=1e-9)


@each_gated
def test_gated_backward_against_central_differences(name):
    rng = np.random.default_rng(1)
    Z, bias = rng.standard_normal((6, 8)) * 2, rng.standard_normal(8)
    upstream, h = rng.standard_normal((6, 4)), 1e-6
    delta = backward(name, upstream, Z, bias)
    for j in range(8):
        step = h * (np.arange(8) == j)
        difference = forward(name, Z, bias + step) - forward(name, Z, bias - step)
        expected = (upstream * difference).sum(axis=1) / (2 * h)
        np.testing.assert_allclose(delta[:, j], expected, rtol=1e-7, atol=1e-8)


@each_activation
@each_dtype
def test_backward_is_that_of_the_naive_twin(name, dtype):
    rng = np.random.default_rng(2)
    Z, upstream = rng.standard_normal((6, width(name, 4))) * 3, rng.random((6, 4))
    delta = backward(name, upstream, Z, dtype=dtype)
    assert delta.dtype == dtype
    expected = naive.activate_back(upstream, Z, name)
    np.testing.assert_allclose(delta, expected, atol=10 * TOLERANCE[dtype], rtol=1e-6)


@each_activation
@each_dtype
def test_extremes(name, dtype):
    z = np.array([EXTREMES], dtype)
    Z = np.hstack([np.ones_like(z), z]) if name in naive.GATED else z
    A = forward(name, Z, dtype=dtype)
    expected = naive.activate(Z, name)
    np.testing.assert_allclose(A, expected, rtol=TOLERANCE[dtype], atol=2e-36)
    dA = np.full(z.shape, 1e-3, dtype)
    delta = backward(name, dA, Z, dtype=dtype)
    expected = naive.activate_back(dA, Z, name)
    tolerance = {"rtol": TOLERANCE[dtype], "atol": 1e-3 * TOLERANCE[dtype]}
    np.testing.assert_allclose(delta, expected, **tolerance)


@each_activation
@each_dtype
def test_saturated_units_let_no_gradient_nor_denormal_through(name, dtype):
    info = np.finfo(dtype)
    z = np.linspace(-800, 800, 1601)[:, None]
    dA = np.full(z.shape, 4 * info.tiny)
    delta = backward(name, dA, to_gate(name, z), dtype=dtype)
    assert ((delta == 0) | (np.abs(delta) >= info.tiny)).all()


@each_activation
@each_dtype
@pytest.mark.parametrize("at", [0, 4, 15])
def test_nan_is_never_hidden(name, dtype, at):
    z = np.linspace(0.1, 3, 17)[:, None]
    z[at] = np.nan
    columns = width(name, 1)
    for Z in np.repeat(z, columns, axis=1), to_gate(name, z):
        A = forward(name, Z, dtype=dtype)
        np.testing.assert_array_equal(np.isnan(A), np.isnan(z))
    ones, nans = np.ones((1, columns)), np.full(columns, np.nan)
    assert np.isnan(forward(name, ones, nans, dtype)).all()

    upstream = np.where(np.isnan(z), np.nan, 1.0)
    delta = backward(name, upstream, np.full((17, columns), 0.7), dtype=dtype)
    expected = np.repeat(np.isnan(z), columns, axis=1)
    np.testing.assert_array_equal(np.isnan(delta), expected)


@each_activation
def test_no_rows(name):
    columns = width(name, 3)
    assert forward(name, np.empty((0, columns)), np.zeros(columns)).shape == (0, 3)
    delta = backward(name, np.empty((0, 3)), np.empty((0, columns)))
    assert delta.shape == (0, columns)


z = np.linspace(-20, 20, 4001)

# name: relations that hold for all z
RELATIONS = {
    "leaky_relu": lambda f: f("relu", z) - 0.01 * f("relu", -z),
    "elu": lambda f: f("relu", z) + np.expm1(-f("relu", -z)),
    "softplus": lambda f: z + f("softplus", -z),
    "softsign": lambda f: -f("softsign", -z),
    "hard_sigmoid": lambda f: 1 - f("hard_sigmoid", -z),
    "hard_tanh": lambda f: 2 * f("hard_sigmoid", 3 * z) - 1,
    "gelu": lambda f: z + f("gelu", -z),
    "silu": lambda f: z * f("logistic", z),
    "mish": lambda f: z * f("tanh", f("softplus", z)),
    "glu": lambda f: f("logistic", z),
    "geglu": lambda f: f("gelu", z),
    "swiglu": lambda f: f("silu", z),
    "reglu": lambda f: f("relu", z),
}


@pytest.mark.parametrize("name", RELATIONS)
@each_dtype
def test_relations(name, dtype):
    expected = RELATIONS[name](lambda name, z: apply(name, z, dtype))
    size = np.maximum(1, abs(z)) * np.finfo(dtype).eps
    assert (abs(apply(name, z, dtype) - expected) <= 8 * size).all()


def test_leaky_relu_without_a_leak_is_relu(monkeypatch):
    monkeypatch.setattr(activations, "_LEAK", 0.0)
    kernels = activations.leaky_relu, activations.leaky_relu_slope
    f, slope = (getattr(kernel, "py_func", kernel) for kernel in kernels)
    for value in z:
        assert f(value) == max(value, 0)
        assert slope(f(value)) == (value > 0)


def test_selu_keeps_mean_zero_and_variance_one():
    """What its constants were chosen for: on standard normal numbers."""
    nodes = np.linspace(-10, 10, 20_001)
    shares, a = np.exp(-(nodes**2) / 2), apply("selu", nodes)
    shares /= shares.sum()
    assert shares @ a == pytest.approx(0, abs=1e-6)
    assert shares @ a**2 == pytest.approx(1, abs=1e-6)


@each_gated
@each_dtype
def test_gates_multiply_the_left_half(name, dtype):
    rng = np.random.default_rng(3)
    Z = rng.standard_normal((9, 6)).astype(dtype)
    gate = forward(naive.GATED[name], Z[:, 3:], dtype=dtype)
    actual = forward(name, Z, dtype=dtype)
    np.testing.assert_allclose(actual, Z[:, :3] * gate, rtol=TOLERANCE[dtype])


@pytest.mark.parametrize("name", ["softplus", "gelu", "silu", "mish", "glu"])
@each_dtype
def test_slopes_are_accurate_in_both_tails(name, dtype):
    """To a small relative error, but for where they are zero, near -1."""
    end = 12 if name == "gelu" else 80
    z = np.concatenate([np.linspace(-end, -3, 500), np.linspace(0, end, 500)])
    z = z.astype(dtype)
    derivative = naive.ACTIVATIONS[naive.GATED.get(name, name)][1]
    expected, rtol = derivative(z.astype(np.float64)), 4 * TOLERANCE[dtype]
    np.testing.assert_allclose(slope(name, z, dtype), expected, rtol=rtol)


@pytest.mark.parametrize("name", ["elu", "selu", "softsign", "tanh", "logistic"])
@each_dtype
def test_slopes_in_terms_of_the_output_are_accurate_absolutely(name, dtype):
    z = np.linspace(-100, 100, 2001).astype(dtype)
    exact = naive.ACTIVATIONS[name][1](z.astype(np.float64))
    # The slope 1 - a^2 doubles an error of a: of 6 ulp, half an eps each, for tanh.
    n_eps = 6 if (name, dtype) == ("tanh", np.float32) else 4
    np.testing.assert_allclose(
        slope(name, z, dtype), exact, atol=n_eps * np.finfo(dtype).eps
    )


@pytest.mark.parametrize("name", ["hard_sigmoid", "hard_tanh"])
@each_dtype
def test_saturated_units_stay_so_after_dropout(name, dtype):
    """Which multiplies A by 1 / (1 - rate) and then by 1 - rate."""
    row, A = ACTIVATIONS[name], apply(name, np.full(99, 4.0), dtype)[:, None]
    keep = np.linspace(0.01, 0.99, 99).astype(dtype)[:, None]
    A = A * (1 / keep) * keep
    assert (A < 1).any()
    dZ = np.ones_like(A)
    row.backward(dZ, dZ, A, A)
    np.testing.assert_array_equal(dZ, 0)
