"""A fit by a stochastic solver."""

from functools import partial

from skmlp.core.optimizers import OPTIMIZERS
from skmlp.machine.permutation import shuffle
from skmlp.training.augmentation import AugmentedRows
from skmlp.training.loop import Epochs
from skmlp.training.progress import Progress
from skmlp.training.rows import RowStream
from skmlp.training.schedules import as_decline
from skmlp.training.stopping import all_finite


class Fit:
    """Training of a model by a stochastic solver, epoch by epoch.

    Parameters
    ----------
    model : Model
        Nobody else may use it meanwhile. At the end it has the weights to keep.
    training : TrainingRows
    objective : Objective
    settings : Settings
    judge : callable, default=None
        ``judge(params) -> (loss, score)`` on validation rows. A third item, such as the
        predictions, is kept in the record.
    best : float, default=None
        Best value of what is watched in epochs before this fit.
    n_idle : int, default=0
        Epochs without an improvement before this fit.
    single : bool, default=False
        One epoch, with which a training goes on that calls have split up: optimizer and
        order of rows are those of the previous call.
    random_state : RandomState
        Draws orders of rows, masks and augmented rows.

    Attributes
    ----------
    reason : str or None
        Why it ended: "max_iter", "one epoch", "max_time", "converged", "diverged",
        "interrupted", or what ``stop`` was given.

    Examples
    --------
    See the page on training by hand.
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
        stepping, stopping, penalties = settings
        self._model, self._training, self._stepping = model, training, stepping
        self._random_state, self._single = random_state, single
        self._n_epochs = 1 if single else stepping.max_iter
        self._optimizer = model.take_optimizer(stepping.solver, keep=single)
        _configure(self._optimizer, stepping, stopping)
        self._dropout = as_decline(stepping.dropout_schedule, "dropout_schedule")
        self._decay = as_decline(
            penalties.weight_decay_schedule, "weight_decay_schedule"
        )
        self._augmented = None
        if stepping.augmentation is not None:
            self._augmented = AugmentedRows(training, stepping.augmentation)
            training = self._augmented.training
        self._stream = None
        if stepping.period is not None:
            self._stream = RowStream(training.rows, stepping.period)
            training = training._replace(rows=self._stream.piece)
        self._progress = Progress(
            stopping,
            model.params,
            judge=judge,
            best=best,
            n_idle=n_idle,
            slow_down=partial(_slow_down, self._optimizer),
        )
        self._epochs = make_epochs(
            model,
            self._params_that_move(averaged=penalties.ema_decay is not None),
            training,
            objective,
            settings,
            n_epochs=self._n_epochs,
            random_state=random_state,
        )

    @property
    def reason(self):
        return self._progress.reason

    @property
    def n_epochs(self):
        """Epochs so far."""
        return self._progress.n_epochs

    @property
    def found_nothing(self):
        """Whether not even the first epoch ended with finite numbers."""
        return self.reason == "diverged" and self.n_epochs == 1

    def snapshot(self):
        """A copy of the weights that would predict now."""
        return self._weights().copy()

    def stop(self, reason="stopped"):
        """End the fit with the epoch of the latest record."""
        self._progress.reason = reason

    def records(self):
        """Train, and yield the `Record` of each epoch.

        Ctrl-C, or to leave the loop, ends the fit, which keeps what there is.
        """
        try:
            with self._epochs:
                for order in self._orders():
                    yield self._epoch(order)
                    if self.reason is not None:
                        break
                else:
                    self.stop("one epoch" if self._single else "max_iter")
        except KeyboardInterrupt:
            self.stop("interrupted")
        except GeneratorExit:
            if self.reason is None:
                self.stop()
            self._keep_weights()
            raise
        self._keep_weights()

    def run(self, show):
        """Train to the end; ``show`` is called with each record."""
        records = self.records()
        try:
            for record in records:
                show(record)
        except KeyboardInterrupt:
            self.stop("interrupted")
            records.close()

    def _epoch(self, order):
        """Train for an epoch over the rows in this order; returns its record."""
        optimizer = self._optimizer
        if self._augmented is not None:
            self._augmented.draw(self._random_state)
        loss, n_seen = self._train(order)
        self._model.carried.n_seen += n_seen
        record = self._progress.epoch_ended(
            loss, self._weights(), optimizer.scheduled_rate
        )
        if self.reason == "diverged":
            optimizer.forget()
        else:
            early_stopping = self._progress.early_stopping
            optimizer.epoch_ended(
                self._model.carried.n_seen, record.score if early_stopping else loss
            )
        return record

    def _train(self, order):
        """Returns (the epoch's loss, how many rows it saw)."""
        optimizer, epochs = self._optimizer, self._epochs
        n_steps_before = optimizer.n_steps
        n_steps, n_seen = epochs.cut.minibatches(order.size)
        clock = optimizer.clock(n_steps)
        rates, base_rates = optimizer.rates(n_steps)
        with optimizer.training(epochs):
            loss = epochs.run(
                order,
                rates,
                optimizer.moments,
                optimizer.hyper,
                base_rates=base_rates,
                dropouts=self._dropout.factors(clock),
                decays=self._decay.factors(clock),
                n_steps_before=n_steps_before,
            )
            optimizer.moments, optimizer.hyper = epochs.moments, epochs.hyper
        return loss, n_seen

    def _orders(self):
        """Rows in the order of each epoch."""
        rows, generator = self._training.rows, self._random_state
        if self._single:
            yield self._model.next_order(
                rows, generator if self._stepping.shuffle else None
            )
            return
        self._model.carried.order = None
        for _ in range(self._n_epochs):
            if self._stream is not None:
                self._stream.advance(generator)
                rows = self._stream.piece
            elif self._stepping.shuffle:
                shuffle(rows, generator)
            yield rows

    def _params_that_move(self, *, averaged):
        """The vector that the optimizer changes: the weights, or what they average."""
        model = self._model
        if not averaged:
            model.carried.moving = None
            return model.params
        moving = model.carried.moving
        return (model.params if moving is None else moving).copy()

    def _weights(self):
        """The weights that predict; a run may have moved them to another vector."""
        epochs = self._epochs
        return epochs.average if epochs.average.size else epochs.params

    def _keep_weights(self):
        model, epochs = self._model, self._epochs
        params = self._weights()
        self._progress.settle(params)
        model.params = params
        if epochs.average.size:
            finite = all_finite(epochs.params)
            model.carried.moving = epochs.params if finite else params.copy()


def _slow_down(optimizer):
    """Once patience has run out: (what to remark, whether training ends)."""
    reason = optimizer.slow_down()
    if reason is None:
        return f"Setting learning rate to {optimizer.learning_rate:f}", False
    return reason, True


def make_epochs(
    model, params, training, objective, settings, *, n_epochs, random_state
):
    """The kernel's side of a fit, on ``params``; the model's follow them where they are
    an average."""
    stepping, _, penalties = settings
    regularization = penalties._asdict()
    del regularization["weight_decay_schedule"]
    full_batch = stepping.solver == "lbfgs"
    return Epochs(
        model.architecture,
        params,
        training,
        objective,
        alpha=regularization.pop("alpha"),
        batch_size=training.rows.size if full_batch else stepping.batch_size,
        last_batch=stepping.last_batch,
        n_epochs=n_epochs,
        optimizer="none" if full_batch else stepping.solver,
        regularization=regularization,
        factors=stepping.rate_factors,
        average=None if penalties.ema_decay is None else model.params,
        seed=model.seed_of_masks(random_state),
    )


def _configure(optimizer, stepping, stopping):
    optimizer.configure(
        learning_rate=stepping.learning_rate,
        learning_rate_init=stepping.learning_rate_init,
        power_t=stepping.power_t,
        max_iter=stepping.max_iter,
        tol=stopping.tol,
        sign=1 if stopping.early_stopping else -1,
        **{name: getattr(stepping, name) for name in OPTIMIZERS[stepping.solver].hyper},
    )
