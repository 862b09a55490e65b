import naive
import numpy as np
import pytest
from builders import epochs_of, flat, make_problem
from scipy.optimize import minimize

from skmlp.core.layout import bias_views, weight_views
from skmlp.training.lbfgs import minimize_full_batch
from skmlp.training.loop import Epochs


def draw():
    return make_problem(
        (4, 5, 3), loss="log_loss", alpha=1.0, n_rows=30, activation="tanh"
    )


def solve(problem, on_iteration=lambda loss: False, **options):
    options = {"max_iter": 200, "max_fun": 1000, "tol": 1e-6, **options}
    rows = np.arange(problem.n_rows)
    epochs = epochs_of(problem, problem.n_rows)
    return minimize_full_batch(epochs, rows, on_iteration=on_iteration, **options)


def naive_loss(problem, x):
    value, *lists = naive.loss_and_gradient(
        weight_views(x, problem.layout),
        bias_views(x, problem.layout),
        problem.X,
        problem.Y,
        None,
        **problem.options(),
    )
    return value, flat(*lists)


def test_scipy_on_the_naive_twin():
    problem = draw()
    expected = minimize(
        lambda x: naive_loss(problem, x),
        problem.params.copy(),
        method="L-BFGS-B",
        jac=True,
        options={"maxiter": 5, "gtol": 1e-6},
    )
    result = solve(problem, max_iter=5)
    assert result.nit == expected.nit == 5
    assert result.fun == pytest.approx(expected.fun, rel=1e-8)
    np.testing.assert_allclose(problem.params, expected.x, rtol=1e-5, atol=1e-7)


def test_converges_to_a_stationary_point():
    problem = draw()
    result = solve(problem)
    assert result.status == 0
    np.testing.assert_array_equal(problem.params, result.x)
    value, gradient = naive_loss(problem, problem.params)
    assert value == pytest.approx(result.fun, rel=1e-12)
    assert np.abs(gradient).max() < 1e-4


def test_params_are_the_iterate_at_each_call():
    problem, losses = draw(), []

    def on_iteration(loss):
        assert type(loss) is float
        assert naive_loss(problem, problem.params)[0] == pytest.approx(loss, rel=1e-12)
        losses.append(loss)

    result = solve(problem, on_iteration)
    assert len(losses) == result.nit > 3
    assert losses == sorted(losses, reverse=True)


def test_on_iteration_ends_it():
    problem, losses = draw(), []

    def on_iteration(loss):
        losses.append(loss)
        return len(losses) == 3

    result = solve(problem, on_iteration)
    assert (result.nit, result.status, len(losses)) == (3, 0, 3)
    assert naive_loss(problem, problem.params)[0] == pytest.approx(losses[-1])


@pytest.mark.parametrize("limit", [{"max_iter": 2}, {"max_fun": 3}], ids=str)
def test_limits(limit):
    problem = draw()
    result = solve(problem, **limit)
    assert result.status == 1
    assert result.nit <= 3
    np.testing.assert_array_equal(problem.params, result.x)


def test_params_end_as_the_result_whatever_was_evaluated_last():
    problem = draw()

    def on_iteration(loss):
        problem.params[:] = np.nan

    result = solve(problem, on_iteration)
    np.testing.assert_array_equal(problem.params, result.x)


def test_interrupt_keeps_the_last_iterate(monkeypatch):
    problem, iterates = draw(), []

    def on_iteration(loss):
        iterates.append(problem.params.copy())

    loss_and_gradient = Epochs.loss_and_gradient

    def interrupted(self, rows):
        result = loss_and_gradient(self, rows)
        if len(iterates) == 2:
            raise KeyboardInterrupt
        return result

    monkeypatch.setattr(Epochs, "loss_and_gradient", interrupted)
    with pytest.raises(KeyboardInterrupt):
        solve(problem, on_iteration)
    np.testing.assert_array_equal(problem.params, iterates[-1])
