"""How each family of solvers runs: epochs, records, patience, the final weights."""

from functools import partial
from math import isfinite
from time import perf_counter

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from skmlp.core.inputs import read_only
from skmlp.core.optimizers import OPTIMIZERS
from skmlp.core.permutation import shuffle
from skmlp.core.regularization import OFF
from skmlp.core.warning import warn
from skmlp.training.augmentation import augmented
from skmlp.training.lbfgs import minimise
from skmlp.training.loop import Epochs
from skmlp.training.optimizer import Optimizer
from skmlp.training.population import set_population_statistics
from skmlp.training.stopping import Checkpoint, Patience, all_finite

_NOT_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large"
    " values and need to be preprocessed."
)
_INTERRUPTED = "Training interrupted by user."


class Solvers:
    """The part of an estimator that trains: from a `TrainingSet` to its weights."""

    def _epochs(self, params, training, optimizer, batch_size, n_epochs):
        return Epochs(
            self._architecture,
            params,
            training.data,
            loss=self._core_loss(),
            loss_hyper=self._loss_hyper(),
            alpha=self.alpha,
            mean_weight=training.mean_weight,
            batch_size=batch_size,
            last_batch=self.last_batch,
            n_rows=training.rows.size,
            n_epochs=n_epochs,
            optimizer=optimizer,
            regularization={name: getattr(self, name) for name in OFF},
            average=None if self.ema_decay is None else self._params,
            seed=self._seed_of_masks(),
        )

    def _seed_of_masks(self):
        """Drawn once for each network, and only if it has dropout."""
        if not any(self._architecture.dropouts):
            return 0
        if "_mask_seed" not in vars(self):
            self._mask_seed = int(self._random_state.randint(2**31))
        return self._mask_seed

    def _fit_stochastic(self, training, batch_size, resume, incremental):
        """Returns the report, due once the network is published."""
        optimizer = self._prepare_optimizer(incremental)
        self._started = perf_counter()
        moving = self._vector_that_moves()
        patience = self._patience(training, resume)
        checkpoint = Checkpoint(self._params)
        n_epochs = 1 if incremental else self.max_iter
        epochs = self._epochs(moving, training, self.solver, batch_size, n_epochs)
        orders = self._orders(training.rows, n_epochs, incremental)
        outcome = "one epoch" if incremental else "max_iter"
        try:
            with epochs:
                fixed = epochs, optimizer, training, patience, checkpoint
                outcome = self._run_epochs(orders, *fixed) or outcome
        except KeyboardInterrupt:
            outcome = "interrupted"
        if outcome == "diverged":
            optimizer.forget()
            if self.n_iter_ == 1:
                self._refuse_what_is_not_finite()
        params = self._weights_of(epochs)
        if self.early_stopping or not all_finite(params):
            checkpoint.restore(params)
        self._set_parameters(params)
        if self.ema_decay is not None:
            moving = epochs.params
            self._moving_params = moving if all_finite(moving) else params.copy()
        if self.norm_statistics == "population" and not incremental:
            self._set_population_statistics(training)
        self.stopping_reason_ = outcome
        return partial(self._report, outcome)

    def _weights_of(self, epochs):
        """What predicts, which a run may have moved to another vector."""
        return epochs.params if self.ema_decay is None else epochs.average

    def _run_epochs(self, orders, epochs, optimizer, training, patience, checkpoint):
        """One epoch after another; returns why they ended early, if they did."""
        for order in orders:
            loss = self._run_epoch(epochs, optimizer, order, training)
            params = self._weights_of(epochs)
            value = self._record(loss, params, training.validation)
            if not (isfinite(value) and all_finite(params)):
                return "diverged"
            if patience.update(value) or not self.early_stopping:
                checkpoint.save(params)
            self._show_patience(patience)
            optimizer.epoch_ended(self.t_, value)
            if self._out_of_time():
                return "max_time"
            if patience.exhausted and self._give_up(optimizer, patience):
                return "converged"
        return None

    def _run_epoch(self, epochs, optimizer, order, training):
        """One epoch over the rows in this order; returns its loss."""
        if self.augmentation is not None:
            epochs.data = self._augmented(training)
        n_steps_before, (n_steps, n_seen) = optimizer.n_steps, epochs.size(order)
        rates, base_rates = optimizer.rates(n_steps)
        with optimizer.training(epochs):
            loss = epochs.run(
                order,
                rates,
                optimizer.moments,
                optimizer.hyper,
                base_rates=base_rates,
                n_steps_before=n_steps_before,
            )
            optimizer.moments, optimizer.hyper = epochs.moments, epochs.hyper
        self.t_ += n_seen
        self.learning_rates_.append(optimizer.scheduled_rate)
        return loss

    def _out_of_time(self):
        elapsed = perf_counter() - self._started
        return self.max_time is not None and elapsed >= self.max_time

    def _set_population_statistics(self, training):
        rows = np.sort(training.rows)
        set_population_statistics(self._architecture, self._params, training.data, rows)

    def _augmented(self, training):
        """The rows, those to train on made anew."""
        X, Y = training.data.X.copy(), training.data.Y.copy()
        rows = np.sort(training.rows)  # shuffling must not change what is drawn
        X[rows], Y[rows] = augmented(
            self.augmentation, X[rows], Y[rows], self._random_state
        )
        return training.data._replace(X=read_only(X), Y=read_only(Y))

    def _vector_that_moves(self):
        """What the optimizer changes: the weights, or those that they average."""
        if self.ema_decay is None:
            vars(self).pop("_moving_params", None)
            return self._params
        moving = vars(self).get("_moving_params", self._params)
        return moving.copy()

    def _orders(self, rows, n_epochs, incremental):
        """``rows`` in the order of each epoch, shuffled in place."""
        if incremental:
            yield self._next_order(rows)
            return
        self._order = None
        for _ in range(n_epochs):
            if self.shuffle:
                shuffle(rows, self._random_state)
            yield rows

    def _next_order(self, rows):
        """The order of partial_fit, which goes on shuffling where the previous call on
        as many rows left off, so that n calls are n epochs of fit."""
        order, previous = np.arange(rows.size), getattr(self, "_order", None)
        if previous is not None and previous.size == rows.size:
            order[:] = previous
        if self.shuffle:
            shuffle(order, self._random_state)
        self._order = order  # of places: the rows that count may be others each time
        return rows[order]

    def _report(self, outcome):
        """The last thing of a fit, since users can turn warnings into errors."""
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

    def _prepare_optimizer(self, incremental):
        previous = getattr(self, "_optimizer", None)
        n_params, dtype = self._layout.n_params, self._params.dtype
        fits = previous is not None and previous.fits(self.solver, n_params, dtype)
        if not (incremental and fits):
            self._optimizer = Optimizer(self.solver, n_params, dtype)
        self._optimizer.configure(
            learning_rate=self.learning_rate,
            learning_rate_init=self.learning_rate_init,
            power_t=self.power_t,
            max_iter=self.max_iter,
            tol=self.tol,
            sign=1 if self.early_stopping else -1,
            **{name: getattr(self, name) for name in OPTIMIZERS[self.solver].hyper},
        )
        return self._optimizer

    def _batch_size(self, n_rows):
        if self.batch_size == "auto":
            return min(200, n_rows)
        if self.batch_size > n_rows:
            warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going"
                " to be clipped"
            )
        return int(min(self.batch_size, n_rows))

    def _patience(self, training, resume):
        if self.early_stopping and resume:
            validation = training.validation
            _, self.best_validation_score_ = self._validate(self._params, validation)
        return Patience(
            tol=self.tol,
            limit=self.n_iter_no_change,
            sign=1 if self.early_stopping else -1,
            best=self.best_validation_score_
            if self.early_stopping
            else self.best_loss_,
            count=self._no_improvement_count,
        )

    def _record(self, loss, params, validation):
        """Take down an epoch; returns what patience watches, NaN after divergence."""
        self.n_iter_ += 1
        self.loss_ = loss
        self.loss_curve_.append(loss)
        self._seconds.append(perf_counter() - self._started)
        if self.verbose:
            print(f"Iteration {self.n_iter_}, loss = {loss:.8f}")
        if validation is None:
            if loss < self.best_loss_:
                self.best_iter_ = len(self.loss_curve_)
            return loss
        score = self._record_validation(params, validation)
        return score if self.early_stopping else loss

    def _record_validation(self, params, validation):
        loss, score = self._validate(params, validation)
        self.validation_loss_curve_.append(loss)
        self.validation_scores_.append(score)
        if score > self.best_validation_score_:
            self.best_validation_score_ = score
            self.best_iter_ = len(self.loss_curve_)
        if self.verbose:
            print(f"Validation score: {score:f}")
        return score

    def _show_patience(self, patience):
        self._no_improvement_count = patience.count
        if not self.early_stopping:
            self.best_loss_ = patience.best

    def _give_up(self, optimizer, patience):
        """Whether to stop; an adaptive rate first slows down."""
        what = "Validation score" if self.early_stopping else "Training loss"
        message = (
            f"{what} did not improve more than tol={self.tol:f} for"
            f" {self.n_iter_no_change} consecutive epochs."
        )
        reason = optimizer.slow_down()
        if reason is None:
            patience.count = self._no_improvement_count = 0
        if self.verbose:
            rate = f"Setting learning rate to {optimizer.learning_rate:f}"
            print(message, reason or rate)
        return reason is not None

    def _fit_lbfgs(self, training, resume):
        params = self._params.astype(np.float64)
        n_rows = training.rows.size
        epochs = self._epochs(params, training, "none", n_rows, self.max_iter)
        patience = self._patience(training, resume)
        checkpoint = Checkpoint(params)
        self._started = perf_counter()

        def on_iteration(loss):
            value = self._record(loss, epochs.params, training.validation)
            if patience.update(value) or not self.early_stopping:
                checkpoint.save(epochs.params)
            self._show_patience(patience)
            stopped = self.early_stopping and (patience.exhausted or np.isnan(value))
            return stopped or self._out_of_time()

        try:
            with epochs:
                result = minimise(
                    epochs,
                    training.rows,
                    max_iter=self.max_iter,
                    max_fun=self.max_fun,
                    tol=self.tol,
                    on_iteration=on_iteration,
                )
            self.n_iter_ = min(result.nit, self.max_iter)
            self.loss_ = float(result.fun)
            self.stopping_reason_ = self._reason_of_lbfgs(result)
            if self._nothing_finite(result):
                self._refuse_what_is_not_finite()
        except KeyboardInterrupt:
            result, self.stopping_reason_ = None, "interrupted"

        if self.early_stopping:
            checkpoint.restore(epochs.params)
        with np.errstate(over="ignore"):
            found = epochs.params.astype(self._params.dtype)
        if not all_finite(found):
            return self._refuse_what_is_not_finite
        self._set_parameters(found)
        return partial(self._report_lbfgs, result)

    def _nothing_finite(self, result):
        """Whether no iteration had a finite loss, and a finite score to stop by."""
        if result.nit > 1:
            return False
        scores = self.validation_scores_ if self.early_stopping and result.nit else ()
        return not (isfinite(result.fun) and all(map(isfinite, scores[-1:])))

    def _report_lbfgs(self, result):
        """The same, in the words of scikit-learn."""
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

    def _reason_of_lbfgs(self, result):
        if self._out_of_time():
            return "max_time"
        return "converged" if result.status == 0 else "max_iter"
