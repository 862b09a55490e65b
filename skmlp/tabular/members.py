"""Training of networks, of which checkpoints are kept to choose from."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from skmlp.core.architecture import Architecture
from skmlp.core.inputs import Data
from skmlp.machine.threads import n_threads
from skmlp.tabular.errors import mean_error
from skmlp.tabular.network import first_weights, rate_factors
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
_SHARE_OF_TIME = 0.85  # of what is left, since the pace varies


class Task(NamedTuple):
    """What a member is trained for; nothing in it changes.

    Attributes
    ----------
    architecture : Architecture
    training : TrainingRows
    validation : Data
    validation_weight : ndarray of shape (n_validation_rows,) or None
    objective : Objective
    link : str
    recipe : Recipe
    deadline : float or None
        When training must have ended, by `time.perf_counter`.
    """

    architecture: Architecture
    training: TrainingRows
    validation: Data
    validation_weight: Any
    objective: Objective
    link: str
    recipe: Recipe
    deadline: float | None = None


class Checkpoint(NamedTuple):
    """Weights at some time of the training.

    Attributes
    ----------
    member, step : int
    seconds, loss, error : float
        Since the member's training began; on training and on validation rows.
    params : ndarray of shape (n_total,)
    predictions : ndarray of shape (n_validation_rows, n_outputs)
    """

    member: int
    step: int
    seconds: float
    loss: float
    error: float
    params: np.ndarray
    predictions: np.ndarray


def train_members(tasks, seeds, *, n_jobs, show):
    """Train a member for each task, some at the same time.

    Parameters
    ----------
    tasks : sequence of Task
    seeds : sequence of int
    n_jobs : int
        How many at the same time.
    show : callable
        Called with each checkpoint.

    Returns
    -------
    list of (list of Checkpoint, str)
        Of each member, with the reason why its training ended.
    """
    n_jobs = min(n_jobs, len(tasks))
    n_steps = _n_steps(tasks[0], -(-len(tasks) // n_jobs))

    def train(member):
        return train_member(tasks[member], member, seeds[member], n_steps, show=show)

    if n_jobs == 1:
        return [train(member) for member in range(len(tasks))]
    with ThreadPoolExecutor(n_jobs) as pool:
        return list(pool.map(train, range(len(tasks))))


def default_jobs(n_jobs):
    """How many members are trained at the same time."""
    if n_jobs is None:
        return n_threads()
    return n_jobs if n_jobs > 0 else max(1, n_threads() + 1 + n_jobs)


def train_member(task, member, seed, n_steps, *, show):
    """(checkpoints, why the training ended) of one network."""
    fit, steps_per_checkpoint = _make_fit(task, seed, n_steps)
    checkpoints = []
    for record in fit.records():
        if fit.reason == "diverged":
            break
        checkpoint = Checkpoint(
            member,
            record.number * steps_per_checkpoint,
            record.seconds,
            record.loss,
            record.validation_loss,
            fit.snapshot(),
            record.predictions,
        )
        checkpoints.append(checkpoint)
        show(checkpoint)
    return checkpoints, fit.reason


def _make_fit(task, seed, n_steps):
    random_state = np.random.RandomState(seed)
    rows = task.training.rows
    training = task.training._replace(rows=rows.copy())
    fixed = task.architecture, training.data, rows, random_state, task.recipe
    n_checkpoints = min(task.recipe.n_checkpoints, n_steps)
    steps_per_checkpoint = -(-n_steps // n_checkpoints)
    fit = Fit(
        Model(task.architecture, first_weights(*fixed)),
        training,
        task.objective,
        _settings(task, n_checkpoints, steps_per_checkpoint),
        judge=_judge(task),
        random_state=random_state,
    )
    return fit, steps_per_checkpoint


def _judge(task):
    def judge(params):
        data, weight = task.validation, task.validation_weight
        predicted = predict(task.architecture, params, data, link=task.link)
        if not np.isfinite(predicted).all():
            return np.nan, np.nan, predicted
        error = mean_error(task.objective, data.Y, predicted, weight)
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


def _n_steps(task, n_turns):
    """Steps of each member: as the recipe says, or as many as there is time for."""
    n_steps = task.recipe.n_steps_for(task.training.rows.size)
    if task.deadline is None:
        return n_steps
    short = task._replace(recipe=replace(task.recipe, n_checkpoints=1), deadline=None)
    train_member(short, 0, 0, 2, show=lambda checkpoint: None)  # compiles
    start = perf_counter()
    train_member(short, 0, 0, _STEPS_TO_TIME, show=lambda checkpoint: None)
    pace = (perf_counter() - start) / _STEPS_TO_TIME
    left = max(task.deadline - perf_counter(), 0)
    return max(1, min(n_steps, int(_SHARE_OF_TIME * left / (n_turns * pace))))
