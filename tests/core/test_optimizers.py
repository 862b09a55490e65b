import inspect

import naive
import numpy as np
import pytest
from builders import DTYPES, as_kernel, run_time_hyper

from skmlp.core.layout import DECAYS
from skmlp.core.minibatches import State
from skmlp.core.optimizers import (
    OPTIMIZERS,
    begin_step,
    optimizer_addresses,
    update,
)
from skmlp.machine.team import Team

# Values of each optimizer's own parameters, in the order of the table.
HYPER = {
    "none": [()],
    "sgd": [(0.0, 0), (0.9, 0), (0.9, 1)],
    "adam": [(0.9, 0.999, 1e-8), (0.0, 0.5, 1e-3)],
    "adamw": [(0.9, 0.999, 1e-8)],
    "nadam": [(0.9, 0.999, 1e-8), (0.0, 0.5, 1e-3)],
    "amsgrad": [(0.9, 0.999, 1e-8), (0.0, 0.5, 1e-3)],
    "adagrad": [(1e-8,), (0.1,)],
    "rmsprop": [(0.9, 1e-8), (0.0, 1e-3)],
    "lion": [(0.9, 0.99), (0.0, 0.5)],
    "schedule_free": [(0.9, 0.999, 1e-8), (0.0, 0.5, 1e-3)],
}
CASES = [(name, hyper) for name, row in HYPER.items() for hyper in row]

each_case = pytest.mark.parametrize(("name", "hyper"), CASES)
each_dtype = pytest.mark.parametrize("dtype", DTYPES)


def moments_for(name, params):
    return np.zeros((OPTIMIZERS[name].n_moments, params.size), params.dtype)


def begin(name, rate, hyper):
    if OPTIMIZERS[name].begin is not None:
        OPTIMIZERS[name].begin(rate, hyper)


def take_step(name, params, gradient, moments, l2, rate, hyper):
    """All parameters as one stretch."""
    begin(name, rate, hyper)
    return OPTIMIZERS[name].step(params, gradient, moments, 0, l2, rate, hyper)


def call_update(addresses, table, state, l2, rate, factors, squares, n_threads):
    """The threads' shares, one after the other, the last one first."""
    begin_step(addresses[0], rate, state.hyper)
    for rank in range(n_threads - 1, -1, -1):
        team = Team(rank, n_threads, 0, 0, 0)
        update(addresses[1], table, state, l2, rate, factors, squares, team)


def test_every_row_is_tested():
    assert naive.OPTIMIZERS.keys() == OPTIMIZERS.keys() == HYPER.keys()
    for name, row in OPTIMIZERS.items():
        signature = inspect.signature(naive.OPTIMIZERS[name])
        assert tuple(signature.parameters) == row.hyper


@each_case
@each_dtype
def test_twenty_steps_of_the_naive_twin(name, hyper, dtype):
    rng = np.random.default_rng(0)
    params = rng.standard_normal(30).astype(dtype)
    expected = params.astype(np.float64)
    moments, twin = moments_for(name, params), naive.OPTIMIZERS[name](*hyper)
    hyper = run_time_hyper(name, hyper)
    for t in range(1, 21):
        gradient = (rng.standard_normal(30) * expected).astype(dtype)
        rate = 0.1 / t
        effective = rate * twin.correction(t)
        take_step(name, params, gradient, moments, 0.0, effective, hyper)
        twin.step([expected], [gradient.astype(np.float64)], rate)
        tolerance = {np.float32: 1e-4, np.float64: 1e-12}[dtype]
        np.testing.assert_allclose(params, expected, rtol=tolerance, atol=tolerance)
    assert params.dtype == dtype


@each_case
def test_correction(name, hyper):
    twin, hyper = naive.OPTIMIZERS[name](*hyper), run_time_hyper(name, hyper)
    correction = OPTIMIZERS[name].correction
    t = np.arange(1.0, 40)
    expected = [twin.correction(step) for step in range(1, 40)]
    actual = np.broadcast_to(correction(t, hyper), t.shape)
    np.testing.assert_allclose(actual, expected, rtol=1e-14)
    np.testing.assert_array_equal(correction(t[6:], hyper), actual[6:])
    assert correction(np.array([1e7]), hyper) == 1


@each_case
@each_dtype
def test_zero_gradient_and_moments_move_nothing(name, hyper, dtype):
    params = np.linspace(-1, 1, 9).astype(dtype)
    before = params.copy()
    take_step(
        name,
        params,
        np.zeros(9, dtype),
        moments_for(name, params),
        0.0,
        0.1,
        run_time_hyper(name, hyper),
    )
    np.testing.assert_array_equal(params, before)


@pytest.mark.parametrize(("name", "hyper"), [c for c in CASES if c[0] != "none"])
@each_dtype
def test_nan_gradients_are_never_hidden(name, hyper, dtype):
    params, gradient = np.ones(20, dtype), np.ones(20, dtype)
    gradient[[0, 7]] = np.nan
    hyper = run_time_hyper(name, hyper)
    moments = moments_for(name, params)
    take_step(name, params, gradient, moments, 0.0, 0.1, hyper)
    np.testing.assert_array_equal(np.isnan(params), np.isnan(gradient))


@each_case
@each_dtype
def test_moments_never_become_denormal(name, hyper, dtype):
    params, tiny = np.ones(8, dtype), np.finfo(dtype).tiny
    moments = moments_for(name, params)
    moments[:] = 1e-3
    hyper = run_time_hyper(name, hyper)
    seen = []
    for _ in range(1200):
        take_step(name, params, np.zeros(8, dtype), moments, 0.0, 0.1, hyper)
        seen.append(moments.copy())
    seen = np.abs(seen)
    assert ((seen == 0) | (seen >= tiny)).all()


def big_step(name, hyper):
    """What one step takes, of several stretches."""
    rng = np.random.default_rng(0)
    params, gradient = rng.standard_normal((2, 20_000))
    moments = moments_for(name, params)
    moments[:] = rng.random(moments.shape)
    return params, gradient, moments, run_time_hyper(name, hyper)


def stretches(n_weights, n_params, group_edge=0):
    """A table of them; parameters before ``group_edge`` are of group 0, others of 1."""
    cuts = {0, n_weights, group_edge, n_params, *range(0, n_params, 1000)}
    starts = np.array(sorted(cuts))
    columns = starts[:-1], np.diff(starts), starts[:-1] < n_weights
    return np.transpose([*columns, starts[:-1] >= group_edge]).astype(np.int64)


each_n_weights = pytest.mark.parametrize("n_weights", [0, 1, 1000, 1808, 2000, 20_000])


def state_of(params, gradient, moments, hyper):
    return State(params, np.empty(0), gradient, moments, hyper, np.empty(0))


def run_update(name, state, table, *, l2=0.3, rate=0.05, factors=(1, 1), n_threads=1):
    """What `update` writes into the squares: all of them."""
    squares = np.full(len(table), np.nan)
    fixed = optimizer_addresses(name, state.params.dtype), table, state, l2, rate
    as_kernel(call_update)(*fixed, np.array(factors, float), squares, n_threads)
    return squares


@each_case
@each_n_weights
def test_update_is_penalty_then_step(name, hyper, n_weights):
    state = state_of(*big_step(name, hyper))
    expected = State(*map(np.copy, state))
    params, gradient = expected.params, expected.gradient
    wanted_squares = (params[:n_weights] ** 2).sum()
    gradient[:n_weights] += 0.3 * params[:n_weights]
    take_step(name, params, gradient, expected.moments, 0.0, 0.05, expected.hyper)

    table = stretches(n_weights, params.size)
    squares = run_update(name, state, table)
    np.testing.assert_allclose(squares.sum(), wanted_squares, rtol=1e-12)
    np.testing.assert_array_equal(squares[table[:, DECAYS] == 0], 0)
    np.testing.assert_array_equal(state.hyper, expected.hyper)
    for actual, wanted in zip(state[:1] + state[3:4], expected[:1] + expected[3:4]):
        np.testing.assert_allclose(actual, wanted, rtol=1e-13, atol=1e-15)


@each_case
def test_each_group_has_its_own_rate(name, hyper):
    state, edge, factors = state_of(*big_step(name, hyper)), 7_500, (0.25, 2.0)
    expected = State(*map(np.copy, state))
    begin(name, 0.05, expected.hyper)
    for part, factor in (slice(edge), 0.25), (slice(edge, None), 2.0):
        p, g, m = expected.params[part], expected.gradient[part], expected.moments
        own = np.ascontiguousarray(m[:, part])
        step = OPTIMIZERS[name].step
        step(p, g, own, 0, 0.3, 0.05 * factor, expected.hyper)
        m[:, part] = own

    n = state.params.size
    run_update(name, state, stretches(n, n, edge), factors=factors)
    for actual, wanted in zip(state, expected):
        np.testing.assert_allclose(actual, wanted, rtol=1e-13, atol=1e-15)


@each_case
@each_n_weights
@pytest.mark.parametrize("n_threads", [2, 3, 8])
def test_threads_share_an_update(name, hyper, n_weights, n_threads):
    """In whichever order they come, to the bit."""
    results = []
    for n in 1, n_threads:
        state = state_of(*big_step(name, hyper))
        table = stretches(n_weights, state.params.size)
        squares = run_update(name, state, table, n_threads=n)
        results.append([array.tobytes() for array in (*state, squares)])
    assert results[0] == results[1]


@each_dtype
def test_penalized_gradient_of_no_step(dtype):
    weights, gradient = np.arange(5).astype(dtype), np.ones(5, dtype)
    squares = OPTIMIZERS["none"].step(
        weights, gradient, np.empty((0, 5), dtype), 0, 0.5, 0.1, np.zeros(0)
    )
    assert squares == 30
    np.testing.assert_array_equal(gradient, [1, 1.5, 2, 2.5, 3])


@pytest.mark.parametrize(("name", "hyper"), [c for c in CASES if c[0] != "none"])
@each_dtype
def test_weights_of_dead_units_become_zero(name, hyper, dtype):
    """Their only gradient is the penalty's; a denormal square would be slow."""
    limit = {np.float32: 1e-17, np.float64: 1e-152}[dtype]
    params = np.full(8, limit / 2, dtype)
    moments = moments_for(name, params)
    hyper = run_time_hyper(name, hyper)
    take_step(name, params, np.zeros(8, dtype), moments, 1e-4, 0.1, hyper)
    np.testing.assert_array_equal(params, 0)
    np.testing.assert_array_equal(moments, 0)


@pytest.mark.parametrize("beta_1", [0.0, 0.5, 0.9])
@each_dtype
def test_lead_of_schedule_free_is_from_the_average(beta_1, dtype):
    rng, row = np.random.default_rng(0), OPTIMIZERS["schedule_free"]
    hyper = beta_1, 0.99, 1e-8
    twin = naive.OPTIMIZERS["schedule_free"](*hyper)
    hyper = run_time_hyper("schedule_free", hyper)
    params = rng.standard_normal(10).astype(dtype)
    moments, expected = moments_for("schedule_free", params), params.astype(float)
    for rate in (0.0, 0.1, 0.3, 0.2, 0.0, 0.1):  # as after a warm-up from zero
        gradient = rng.standard_normal(10).astype(dtype)
        take_step("schedule_free", params, gradient, moments, 0.0, rate, hyper)
        twin.step([expected], [gradient.astype(float)], rate)
        average = params - row.lead(moments, hyper)
        np.testing.assert_allclose(average, twin.x[0], rtol=1e-5, atol=1e-6)
        assert row.lead(moments, hyper).dtype == dtype
    np.testing.assert_allclose(hyper[3:], [6, 0.3, 0.1**2 + 4 * 0.3**2])
