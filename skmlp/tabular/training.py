"""From encoded rows to an ensemble: folds, members, choice of their checkpoints."""

from typing import Any, NamedTuple

import numpy as np

from skmlp.core.inputs import read_only
from skmlp.tabular.ensemble import Ensemble, make_ensemble, mean_prediction
from skmlp.tabular.folds import make_folds
from skmlp.tabular.members import train_members
from skmlp.tabular.selection import select
from skmlp.training.population import block_of_rows


class Member(NamedTuple):
    """What the ensemble has of a member.

    Attributes
    ----------
    steps : tuple of int
        After how many steps of its training the checkpoints were taken.
    counts : tuple of int
        How often each of them counts in the member's mean.
    validation_error : float
        Of that mean.
    stopping_reason : str
        Why its training ended.
    """

    steps: tuple
    counts: tuple
    validation_error: float
    stopping_reason: str


class HeldOut(NamedTuple):
    """Predictions for rows by networks that have not seen them.

    Attributes
    ----------
    Y : ndarray of shape (n_rows, n_targets)
    predicted : ndarray of shape (n_rows, n_outputs)
    weight : ndarray of shape (n_rows,) or None
    """

    Y: np.ndarray
    predicted: np.ndarray
    weight: Any


class Trained(NamedTuple):
    """A trained ensemble, and what is known of its training.

    Attributes
    ----------
    ensemble : Ensemble
    held_out : HeldOut
    members : list of Member
    """

    ensemble: Ensemble
    held_out: HeldOut
    members: list


def make_tasks(whole, validation, codes, fraction, random_state):
    """A task for each member.

    Parameters
    ----------
    whole : Task
        To train on all rows that count.
    validation : (Data, ndarray or None) or None
        Rows, which all members are judged by, and their weights; otherwise each is
        judged by a fold, on which it is not trained.
    codes : ndarray of shape (n_all_rows,) or None
        Classes, of which each fold gets an equal share.
    fraction : float
        Of the rows in a fold.
    random_state : RandomState
    """
    n_members = whole.recipe.n_members
    if validation is not None:
        data, weight = validation
        return [whole._replace(validation=data, validation_weight=weight)] * n_members
    data, rows, _ = whole.training
    tasks = []
    for own, held_out in make_folds(rows, codes, fraction, n_members, random_state):
        fold = block_of_rows(data, held_out)._replace(Y=read_only(data.Y[held_out]))
        weight = data.sample_weight[held_out] if data.sample_weight.size else None
        tasks.append(
            whole._replace(
                training=whole.training._replace(rows=own),
                validation=fold,
                validation_weight=weight,
            )
        )
    return tasks


def train_ensemble(whole, tasks, seeds, *, refit, n_jobs, show):
    """Train members, choose checkpoints of each, and average them.

    Parameters
    ----------
    whole : Task
    tasks : list of Task
        See `make_tasks`.
    seeds : list of int
    refit : bool
        Whether to train anew on all rows, for as many steps as were chosen.
    n_jobs, show
        Of `train_members`.

    Returns
    -------
    Trained

    Raises
    ------
    ValueError
        If all members diverge.
    """
    n_rounds = 1 + refit
    results = train_members(tasks, seeds, n_jobs=n_jobs, show=show, n_rounds=n_rounds)
    alive = _those_that_came_far(results)
    chosen, members = {}, []
    for m in alive:
        checkpoints, reason = results[m]
        counts = _choose(tasks[m], checkpoints)
        chosen[m] = [(c, n) for c, n in zip(checkpoints, counts) if n]
        error = tasks[m].error(_mean(tasks[m], chosen[m]))
        steps, counts = zip(*((c.step, int(n)) for c, n in chosen[m]))
        members.append(Member(steps, counts, error, reason))
    held_out = _held_out(tasks, chosen)
    if refit:
        chosen = _trained_anew(whole, seeds, chosen, n_jobs)
    return Trained(_average(whole, chosen), held_out, members)


def _those_that_came_far(results):
    """Members that count: time or the user may have ended the training of others."""
    reached = [max((c.step for c in own), default=0) for own, _ in results]
    if not any(reached):
        if any(reason == "interrupted" for _, reason in results):
            raise KeyboardInterrupt
        raise ValueError(
            "Training diverged from the start: choose a smaller learning_rate_init."
        )
    return [m for m, step in enumerate(reached) if 2 * step >= max(reached)]


def _choose(task, checkpoints):
    """How often each checkpoint counts."""
    predictions = [checkpoint.predictions for checkpoint in checkpoints]
    return select(predictions, task.error, most=task.recipe.n_models)


def _mean(task, chosen):
    """Mean prediction for the validation rows."""
    predictions = [checkpoint.predictions for checkpoint, _ in chosen]
    counts = np.array([count for _, count in chosen])
    return mean_prediction(predictions, counts / counts.sum(), task.link)


def _held_out(tasks, chosen):
    """Predictions of each member for its fold or, if all are judged by the same rows,
    their mean for these."""
    own = [tasks[m] for m in chosen]
    predicted = [_mean(tasks[m], chosen[m]) for m in chosen]
    first = own[0]
    if all(task.validation is first.validation for task in own):
        shares = np.full(len(own), 1 / len(own))
        mean = mean_prediction(predicted, shares, first.link)
        return HeldOut(first.validation.Y, mean, first.validation_weight)
    weight = None
    if first.validation_weight is not None:
        weight = np.concatenate([task.validation_weight for task in own])
    Y = np.concatenate([task.validation.Y for task in own])
    return HeldOut(Y, np.concatenate(predicted), weight)


def _trained_anew(whole, seeds, chosen, n_jobs):
    """The chosen checkpoints of trainings on all rows, as far as these came to them."""
    seeds = [seeds[m] for m in chosen]
    results = train_members(
        [whole] * len(seeds), seeds, n_jobs=n_jobs, show=lambda *checkpoint: None
    )
    anew = {}
    for (m, old), (checkpoints, _) in zip(chosen.items(), results):
        by_step = {checkpoint.step: checkpoint for checkpoint in checkpoints}
        anew[m] = [(by_step.get(c.step, c), count) for c, count in old]
    return anew


def _average(whole, chosen):
    vectors, shares = [], []
    for own in chosen.values():
        total = sum(count for _, count in own) * len(chosen)
        vectors += [checkpoint.params for checkpoint, _ in own]
        shares += [count / total for _, count in own]
    return make_ensemble(whole.architecture, whole.link, vectors, shares)
