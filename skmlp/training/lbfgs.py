"""A fit by L-BFGS: SciPy on the flat vector, in double precision."""

from math import inf, isfinite

import numpy as np
from scipy.optimize import minimize

from skmlp.machine.blas import on_one_thread
from skmlp.training.fit import make_epochs
from skmlp.training.progress import Progress
from skmlp.training.stopping import Checkpoint, all_finite

_STOPPED_BY_CALLBACK = 99  # SciPy's status after StopIteration


class LbfgsFit:
    """Training of a model by L-BFGS, on all rows at once.

    SciPy calls back after each iteration, so that records are shown, not yielded.

    Parameters
    ----------
    model, training, objective, settings, judge, best, n_idle, random_state
        As those of `Fit`.

    Attributes
    ----------
    reason : str or None
        Why it ended: "max_iter", "max_time", "converged" or "interrupted".
    result : scipy.optimize.OptimizeResult or None
        None after Ctrl-C.
    is_finite : bool
        Whether the weights that it found are finite numbers. If not, the model has
        those from before.
    """

    def __init__(
        self,
        model,
        training,
        objective,
        settings,
        *,
        judge=None,
        best=None,
        n_idle=0,
        single=False,
        random_state,
    ):
        stepping, stopping, _ = settings
        self._model, self._rows, self._stepping = model, training.rows, stepping
        self._tol, self._last_score = stopping.tol, None
        self._epochs = make_epochs(
            model,
            model.params.astype(np.float64),
            training,
            objective,
            settings,
            n_epochs=stepping.max_iter,
            random_state=random_state,
        )
        if not stopping.early_stopping:  # L-BFGS itself says when it has converged
            stopping = stopping._replace(n_iter_no_change=inf)
        self._progress = Progress(
            stopping,
            self._epochs.params,
            judge=judge,
            best=best,
            n_idle=n_idle,
            slow_down=lambda: (None, True),
            ends_diverged=stopping.early_stopping,
        )
        self.reason = self.result = None
        self.is_finite = True

    @property
    def n_epochs(self):
        """Iterations so far."""
        return self._progress.n_epochs

    def snapshot(self):
        """A copy of the weights that would predict now."""
        return self._epochs.params.astype(self._model.params.dtype)

    def stop(self, reason="stopped"):
        """End the fit with the iteration of the latest record."""
        self._progress.reason = reason

    def run(self, show):
        """Train to the end; ``show`` is called with each record."""

        def on_iteration(loss):
            record = self._progress.epoch_ended(loss, self._epochs.params)
            self._last_score = record.score
            show(record)
            return self._progress.reason is not None

        try:
            with self._epochs:
                self.result = minimize_full_batch(
                    self._epochs,
                    self._rows,
                    max_iter=self._stepping.max_iter,
                    max_fun=self._stepping.max_fun,
                    tol=self._tol,
                    on_iteration=on_iteration,
                )
            self.reason = self._reason()
        except KeyboardInterrupt:
            self.reason = "interrupted"
        self._keep_weights()

    def _reason(self):
        if self._progress.is_out_of_time(self._progress.seconds()):
            return "max_time"
        return "converged" if self.result.status == 0 else "max_iter"

    @property
    def found_nothing(self):
        """Whether no iteration had a finite loss, and a finite score to stop by."""
        if self.result is None or self.result.nit > 1:
            return False
        score = self._last_score if self._progress.early_stopping else None
        return not (isfinite(self.result.fun) and (score is None or isfinite(score)))

    def _keep_weights(self):
        model, params = self._model, self._epochs.params
        if self._progress.early_stopping:
            self._progress.settle(params)
        with np.errstate(over="ignore"):
            found = params.astype(model.params.dtype)
        self.is_finite = all_finite(found)
        if self.is_finite:
            model.params = found


def minimize_full_batch(epochs, rows, *, max_iter, max_fun, tol, on_iteration):
    """Minimize the full-batch loss of ``epochs`` over ``rows``, from its parameters.

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
        except (
            StopIteration
        ) as error:  # a user's scorer's: SciPy would take it for ours
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
