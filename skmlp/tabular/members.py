"""Training of networks, of which checkpoints are kept to choose from."""

from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from math import nan
from threading import Event
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from skmlp.core.inputs import Data
from skmlp.machine.threads import n_threads
from skmlp.tabular.errors import mean_error
from skmlp.tabular.network import Design, first_weights, rate_factors
from skmlp.tabular.recipe import Recipe
from skmlp.training.fit import Fit
from skmlp.training.inference import predict
from skmlp.training.model import Model
from skmlp.training.rows import TrainingRows
from skmlp.training.settings import (
    Objective,
    Penalties,
    Settings,
    Stepping,
    Stopping,
)

_STEPS_TO_TIME = 12
_SECONDS_TO_SIGNALS = 0.1  # a signal does not end every wait
_SHARE_OF_TIME = 0.95  # of what is left, since the pace varies


class Task(NamedTuple):
    """What a member is trained for; nothing in it changes.

    Attributes
    ----------
    design : Design
    training : TrainingRows
    validation : Data or None
    validation_weight : ndarray of shape (n_validation_rows,) or None
    objective : Objective
    link : str
    recipe : Recipe
    deadline : float or None
        When training must have ended, by `time.perf_counter`.
    """

    design: Design
    training: TrainingRows
    validation: Data | None
    validation_weight: Any
    objective: Objective
    link: str
    recipe: Recipe
    deadline: float | None = None

    @property
    def architecture(self):
        return self.design.architecture

    def error(self, predicted):
        """Mean error of predictions for the validation rows."""
        Y, weight = self.validation.Y, self.validation_weight
        return mean_error(self.objective, Y, predicted, weight)


class Checkpoint(NamedTuple):
    """Weights at some time of the training.

    Attributes
    ----------
    step : int
    seconds, loss, error : float
        Since the member's training began; on training and on validation rows.
    params : ndarray of shape (n_total,)
    predictions : ndarray of shape (n_validation_rows, n_outputs) or None
    """

    step: int
    seconds: float
    loss: float
    error: float
    params: np.ndarray
    predictions: Any


def train_members(tasks, seeds, *, n_jobs, show, n_rounds=1):
    """Train a member for each task, some at the same time.

    Parameters
    ----------
    tasks : sequence of Task
    seeds : sequence of int
    n_jobs : int
        How many at the same time.
    show : callable
        Called with the member's number and each of its checkpoints.
    n_rounds : int, default=1
        Among how many such calls the time is to be divided, if there is a deadline.

    Returns
    -------
    list of (list of Checkpoint, str)
        Of each member, with the reason why its training ended.
    """
    n_jobs = min(n_jobs, len(tasks))
    interrupted = Event()
    n_turns = n_rounds * -(-len(tasks) // n_jobs)
    n_steps, is_short = _n_steps(tasks[0], n_turns, n_jobs)

    def train(member):
        checkpoints, reason = train_member(
            tasks[member],
            seeds[member],
            n_steps,
            show=lambda checkpoint: show(member, checkpoint),
            interrupted=interrupted,
        )
        if reason == "max_iter":
            reason = "max_time" if is_short else "n_steps"
        return checkpoints, reason

    return _side_by_side(train, len(tasks), n_jobs, interrupted)


def _side_by_side(function, n, n_jobs, interrupted):
    """Results of calls with 0 to n - 1; Ctrl-C sets the event and waits for them."""
    if n_jobs == 1:
        return [function(i) for i in range(n)]
    with ThreadPoolExecutor(n_jobs) as pool:
        futures = [pool.submit(function, i) for i in range(n)]
        try:
            while wait(futures, _SECONDS_TO_SIGNALS).not_done:
                pass
        except KeyboardInterrupt:
            interrupted.set()
        return [future.result() for future in futures]


def default_jobs(n_jobs):
    """How many members are trained at the same time."""
    if n_jobs is None:
        return n_threads()
    return n_jobs if n_jobs > 0 else max(1, n_threads() + 1 + n_jobs)


def train_member(task, seed, n_steps, *, show, interrupted):
    """(checkpoints, why the training ended) of one network."""
    checkpoints = []
    if interrupted.is_set():
        return checkpoints, "interrupted"
    fit, steps_per_checkpoint = _make_fit(task, seed, n_steps)

    def keep(record):
        if fit.reason == "diverged":
            return
        checkpoint = Checkpoint(
            record.number * steps_per_checkpoint,
            record.seconds,
            record.loss,
            nan if record.validation_loss is None else record.validation_loss,
            fit.snapshot(),
            record.predictions,
        )
        checkpoints.append(checkpoint)
        show(checkpoint)
        if interrupted.is_set():
            fit.stop("interrupted")

    fit.run(keep)
    if fit.reason == "interrupted":
        interrupted.set()
    return checkpoints, fit.reason


def _make_fit(task, seed, n_steps):
    random_state = np.random.RandomState(seed)
    rows = task.training.rows
    training = task.training._replace(rows=rows.copy())
    fixed = task.design, training.data, rows, random_state
    steps_per_checkpoint = -(-n_steps // task.recipe.n_checkpoints)
    n_checkpoints = -(-n_steps // steps_per_checkpoint)
    fit = Fit(
        Model(task.architecture, first_weights(*fixed, task.recipe.wave_scale)),
        training,
        task.objective,
        _settings(task, n_checkpoints, steps_per_checkpoint),
        judge=None if task.validation is None else _judge(task),
        random_state=random_state,
    )
    return fit, steps_per_checkpoint


def _judge(task):
    def judge(params):
        predicted = predict(task.architecture, params, task.validation, link=task.link)
        if not np.isfinite(predicted).all():
            return nan, nan, predicted
        error = task.error(predicted)
        return error, -error, predicted

    return judge


def _settings(task, n_checkpoints, steps_per_checkpoint):
    recipe, loss = task.recipe, task.objective.loss
    batch_size = min(recipe.batch_size, task.training.rows.size)
    max_time = None
    if task.deadline is not None:
        max_time = max(task.deadline - perf_counter(), 0)
    return Settings(
        Stepping(
            solver="adam",
            batch_size=batch_size,
            learning_rate=recipe.learning_rate,
            learning_rate_init=recipe.learning_rate_init,
            beta_2=recipe.beta_2,
            max_iter=n_checkpoints,
            period=batch_size * steps_per_checkpoint,
            rate_factors=rate_factors(task.architecture, loss),
            dropout_schedule=recipe.decline,
        ),
        Stopping(n_iter_no_change=np.inf, max_time=max_time),
        Penalties(
            alpha=0.0,
            weight_decay=recipe.weight_decay,
            weight_decay_schedule=recipe.decline,
        ),
    )


def _n_steps(task, n_turns, n_jobs):
    """(steps of each member, whether these are all that there is time for)."""
    n_steps = task.recipe.n_steps
    if task.deadline is None:
        return n_steps, False
    of_step = _seconds_per_step(task, n_jobs)
    of_checkpoints = task.recipe.n_checkpoints * _seconds_to_judge(task)
    left = _SHARE_OF_TIME * (task.deadline - perf_counter()) / n_turns - of_checkpoints
    n_affordable = max(1, int(left / of_step))
    return min(n_steps, n_affordable), n_affordable < n_steps


def _seconds_per_step(task, n_jobs):
    """Of so many members side by side."""
    recipe = replace(task.recipe, n_checkpoints=2)
    short = task._replace(recipe=recipe, validation=None, deadline=None)
    fixed = {"show": lambda checkpoint: None, "interrupted": Event()}
    train_member(short, 0, 2, **fixed)  # compiles

    def seconds(i):
        (first, last), _ = train_member(short, 0, 2 * _STEPS_TO_TIME, **fixed)
        return (last.seconds - first.seconds) / _STEPS_TO_TIME

    return max(_side_by_side(seconds, n_jobs, n_jobs, fixed["interrupted"]))


def _seconds_to_judge(task):
    if task.validation is None:
        return 0.0
    params = np.zeros(task.architecture.layout().n_total, np.float32)
    judge = _judge(task)
    judge(params)  # compiles
    start = perf_counter()
    judge(params)
    return perf_counter() - start
