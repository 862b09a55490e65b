"""What is recorded of each epoch, which weights to keep, and when to stop."""

from math import inf, isfinite
from time import perf_counter
from typing import Any, NamedTuple

from skmlp.training.stopping import Checkpoint, Patience, all_finite


class Record(NamedTuple):
    """An epoch, or an iteration of L-BFGS.

    Attributes
    ----------
    number : int
        Counted from 1 in each fit.
    loss : float
        Mean over the training rows, penalties included.
    validation_loss, score : float or None
        Of the validation rows, if there are any; NaN after divergence.
    learning_rate : float or None
        Of the last step, before the optimizer's own correction.
    seconds : float
        Since the fit began.
    is_best : bool
        Whether it has the best score so far or, without scores, the smallest loss.
    n_idle : int
        Epochs in a row without an improvement.
    best : float
        Best value so far of what is watched: the score with early stopping, else the
        loss.
    remark : str or None
        What follows from patience that has run out.
    predictions : object
        What the judge returned beside loss and score, if anything.
    """

    number: int
    loss: float
    validation_loss: float | None
    score: float | None
    learning_rate: float | None
    seconds: float
    is_best: bool
    n_idle: int
    best: float
    remark: str | None
    predictions: Any = None


class Progress:
    """Judges the epochs of a fit, one after another.

    Parameters
    ----------
    stopping : Stopping
    params : ndarray
        Weights before the first epoch.
    judge : callable or None
        ``judge(params) -> (loss, score)`` on validation rows.
    best : float or None
        Best value of what is watched in epochs before this fit.
    n_idle : int
        Epochs without an improvement before this fit.
    slow_down : callable, default=None
        Called when patience has run out. Returns what to remark, and whether training
        ends.
    ends_diverged : bool, default=True
        Whether an epoch with numbers that are not finite is the last one.

    Attributes
    ----------
    reason : str or None
        Why the fit ends, once it does.
    n_epochs : int
        Epochs so far.
    """

    def __init__(
        self,
        stopping,
        params,
        *,
        judge,
        best,
        n_idle,
        slow_down=None,
        ends_diverged=True,
    ):
        self._stopping, self._judge = stopping, judge
        self.early_stopping = stopping.early_stopping
        self._slow_down, self._ends_diverged = slow_down, ends_diverged
        sign = 1 if stopping.early_stopping else -1
        self._patience = Patience(
            tol=stopping.tol,
            limit=stopping.n_iter_no_change,
            sign=sign,
            best=-sign * inf if best is None else best,
            count=n_idle,
        )
        self._best_score = self._patience.best if stopping.early_stopping else -inf
        self._checkpoint = Checkpoint(params)
        self.reason, self.n_epochs = None, 0
        self._started = perf_counter()

    def epoch_ended(self, loss, params, learning_rate=None):
        """Take down an epoch, keep its weights if training may return to them, and
        decide whether it is the last one.

        Returns
        -------
        Record
        """
        self.n_epochs += 1
        judgement = self._judge(params) if self._judge else (None, None)
        validation_loss, score, *rest = judgement
        seconds = self.seconds()
        is_best = self._is_best(loss, score)
        value = score if self._stopping.early_stopping else loss
        remark = None
        if self._ends_diverged and not (isfinite(value) and all_finite(params)):
            self.reason = "diverged"
        else:
            if self._patience.update(value) or not self._stopping.early_stopping:
                self._checkpoint.save(params)
            remark = self._look_for_an_end(seconds)
        return Record(
            number=self.n_epochs,
            loss=loss,
            validation_loss=validation_loss,
            score=score,
            learning_rate=learning_rate,
            seconds=seconds,
            is_best=is_best,
            n_idle=self._patience.count,
            best=self._patience.best,
            remark=remark,
            predictions=rest[0] if rest else None,
        )

    def _is_best(self, loss, score):
        if score is None:
            return loss < self._patience.best
        is_best = score > self._best_score
        if is_best:
            self._best_score = score
        return is_best

    def _look_for_an_end(self, seconds):
        """Set the reason if there is one; returns what to remark."""
        if self.is_out_of_time(seconds):
            self.reason = "max_time"
        elif self._patience.exhausted:
            remark, ends = self._slow_down()
            if ends:
                self.reason = "converged"
            else:
                self._patience.count = 0
            return remark
        return None

    def seconds(self):
        """Since the fit began."""
        return perf_counter() - self._started

    def is_out_of_time(self, seconds):
        """Whether `max_time` is over."""
        max_time = self._stopping.max_time
        return max_time is not None and seconds >= max_time

    def settle(self, params):
        """params <- the weights to keep: with early stopping, or after divergence,
        those of the checkpoint."""
        if self._stopping.early_stopping or not all_finite(params):
            self._checkpoint.restore(params)
