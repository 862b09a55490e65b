"""L-BFGS: scipy on the flat vector, in double precision."""

from scipy.optimize import minimize

from skmlp.training.blas import on_one_thread
from skmlp.training.stopping import Checkpoint

_STOPPED_BY_CALLBACK = 99  # scipy's status after StopIteration


def minimise(epochs, rows, *, max_iter, max_fun, tol, on_iteration):
    """Minimise the full-batch loss of ``epochs`` over ``rows``, from its parameters.

    Parameters
    ----------
    epochs : Epochs
        With float64 parameters, which hold the last iterate whenever
        ``on_iteration`` is called and at the end.
    on_iteration : callable
        Called with the loss after each iteration; returns whether to stop.

    Returns
    -------
    scipy.optimize.OptimizeResult
        Its ``status`` is 0 also when ``on_iteration`` ended it.
    """

    def params():
        """Without buffers; a run may have moved them."""
        return epochs.params[: epochs.gradient.size]

    def loss_and_gradient(x):
        params()[:] = x
        loss, gradient = epochs.loss_and_gradient(rows)
        return loss, gradient.copy()

    def callback(intermediate_result):
        params()[:] = intermediate_result.x
        iterate.save(params())
        try:
            stops = on_iteration(float(intermediate_result.fun))
        except StopIteration as error:  # of users' own, which SciPy would take for ours
            raise RuntimeError("A scorer raised StopIteration.") from error
        if stops:
            raise StopIteration

    iterate = Checkpoint(params())
    try:
        with on_one_thread():
            result = minimize(
                loss_and_gradient,
                params().copy(),
                method="L-BFGS-B",
                jac=True,
                callback=callback,
                options={"maxfun": max_fun, "maxiter": max_iter, "gtol": tol},
            )
    except KeyboardInterrupt:
        iterate.restore(params())
        raise
    if result.status == _STOPPED_BY_CALLBACK:
        result.status, result.message = 0, "Stopped early."
    params()[:] = result.x
    return result
