"""From the records of a fit to what scikit-learn's users see and hear of it.

scikit-learn's own tests set and read some of these attributes, private ones among them:
they are plain attributes, written here and nowhere else.
"""

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from skmlp.estimators.publishing import CURVES, VALIDATION_CURVES
from skmlp.machine.warning import warn
from skmlp.training.lbfgs import LbfgsFit

_NOT_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large"
    " values and need to be preprocessed."
)
_INTERRUPTED = "Training interrupted by user."


class Recording:
    """The part of an estimator that shows how a fit goes, and how it ended."""

    def _prepare_curves(self, incremental, validating):
        """Start curves and patience anew in `fit`; continue them in `partial_fit`."""
        self.n_iter_ = 0
        curves = {
            "t_": 0,
            "loss_curve_": [],
            "_seconds": [],
            "best_iter_": 0,
        }
        if self._is_stochastic():
            curves["learning_rates_"] = []
        for name, start in curves.items():
            vars(self).setdefault(name, start)
        for name in () if incremental else CURVES:
            if vars(self).get(name) is not None:
                setattr(self, name, list(vars(self)[name]))
        if not incremental or vars(self).get("best_loss_") is None:
            self.best_loss_ = None if self.early_stopping else np.inf
            self._no_improvement_count = 0
        self.best_validation_score_ = -np.inf if validating else None
        for name in VALIDATION_CURVES:
            curve = vars(self).get(name) or []
            setattr(self, name, curve if validating else None)

    def _record(self, record):
        """Write down and print an epoch."""
        self.n_iter_, self.loss_ = record.number, record.loss
        self.loss_curve_.append(record.loss)
        self._seconds.append(record.seconds)
        if record.learning_rate is not None:
            self.learning_rates_.append(record.learning_rate)
        if record.score is not None:
            self.validation_loss_curve_.append(record.validation_loss)
            self.validation_scores_.append(record.score)
        if record.is_best:
            self.best_iter_ = len(self.loss_curve_)
            self.best_validation_score_ = record.score
        self._no_improvement_count = record.n_idle
        if not self.early_stopping:
            self.best_loss_ = record.best
        if self.verbose:
            self._print(record)

    def _print(self, record):
        print(f"Iteration {record.number}, loss = {record.loss:.8f}")
        if record.score is not None:
            print(f"Validation score: {record.score:f}")
        if record.remark is not None:
            what = "Validation score" if self.early_stopping else "Training loss"
            print(
                f"{what} did not improve more than tol={self.tol:f} for"
                f" {self.n_iter_no_change} consecutive epochs.",
                record.remark,
            )

    @property
    def history_(self):
        """Dict of lists with an item per epoch or iteration, ready for a DataFrame."""
        curves = {
            "loss": self.loss_curve_,
            "validation_loss": self.validation_loss_curve_,
            "validation_score": self.validation_scores_,
            "learning_rate": vars(self).get("learning_rates_"),
            "seconds": vars(self).get("_seconds"),  # not in pickles
        }
        n = len(self.loss_curve_)
        return {
            name: list(curve)
            for name, curve in curves.items()
            if curve is not None and len(curve) == n
        }

    @property
    def _optimizer(self):
        """The optimizer; scikit-learn's tests read its learning rate."""
        return self._carried.optimizer

    def _report(self, fit):
        """Warn of how the fit ended. This is its last deed, since users can turn
        warnings into errors."""
        if isinstance(fit, LbfgsFit):
            self._report_lbfgs(fit)
            return
        outcome = fit.reason
        if outcome in ("max_iter", "max_time"):
            limits = {
                "max_iter": f"Maximum iterations ({self.max_iter})",
                "max_time": f"max_time ({self.max_time} s)",
            }
            warn(
                f"Stochastic Optimizer: {limits[outcome]} reached and the optimization"
                " hasn't converged yet.",
                ConvergenceWarning,
            )
        if outcome == "interrupted":
            warn(_INTERRUPTED)
        if outcome == "diverged":
            if not self.early_stopping:
                self._refuse_what_is_not_finite()
            warn(
                f"Training diverged in iteration {self.n_iter_}; the weights of the"
                " best validation score are kept. Scale the data or decrease"
                " learning_rate_init.",
                ConvergenceWarning,
            )

    def _refuse_what_is_not_finite(self):
        """Blame the data, and parameters of sizes that nobody uses."""
        unusual = [
            f"{name}={value:g}"
            for name, value in self._checked_parameters().items()
            if isinstance(value, float) and value and not 1e-30 <= value <= 1e3
        ]
        hint = f" Or is it due to {' or '.join(unusual)}?" if unusual else ""
        raise ValueError(_NOT_FINITE + hint)

    def _report_lbfgs(self, fit):
        """Warn of how SciPy ended, in the words of scikit-learn."""
        result = fit.result
        if not fit.is_finite:
            self._refuse_what_is_not_finite()
        if result is None:
            warn(_INTERRUPTED)
        elif result.status != 0:
            at_limit = self.n_iter_ == self.max_iter
            increase = (
                "\nIncrease the number of iterations to improve the convergence"
                f" (max_iter={self.max_iter})."
            )
            warn(
                f"lbfgs failed to converge after {self.n_iter_} iteration(s)"
                f" (status={result.status}):\n{result.message}\n"
                f"{increase if at_limit else ''}"
                "\nYou might also want to scale the data as shown in:\n"
                "    https://scikit-learn.org/stable/modules/preprocessing.html",
                ConvergenceWarning,
            )
