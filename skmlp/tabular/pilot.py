"""Short trainings of small networks tell which encoding of numbers suits a table.

Waves are smooth, and do best where the target is a smooth function of the numbers;
pieces bend at quantiles, and do best where it has edges. Which of the two a table wants
shows early, and in networks much smaller than its own.
"""

from dataclasses import replace
from math import inf
from time import perf_counter

from skmlp.tabular.errors import log_deviation
from skmlp.tabular.members import train_members

_LAYERS = 128, 128
_N_CHECKPOINTS = 4
_SHARE_OF_STEPS = 1 / 6
_SHARE_OF_TIME = 0.1
_MARGIN = 0.025  # of the deviations: pieces also learn faster at first


def choose_design(designs, task, seed, *, n_jobs):
    """The design whose pilot comes to clearly smaller deviations than those before.

    Parameters
    ----------
    designs : list of Design
    task : Task
        Of a member.
    seed : int
        Of all pilots.
    n_jobs : int
        How many are trained at the same time.

    Raises
    ------
    KeyboardInterrupt
        If the user ends it, as there is nothing yet to keep.
    """
    if len(designs) == 1:
        return designs[0]
    pilots = _pilots(designs, task)
    results = train_members(
        pilots, [seed] * len(pilots), n_jobs=n_jobs, show=lambda *checkpoint: None
    )
    if any(reason == "interrupted" for _, reason in results):
        raise KeyboardInterrupt
    if len({own[-1].step if own else None for own, _ in results}) > 1:
        return designs[0]  # one diverged, or was too slow for a deadline
    best, least = designs[0], inf
    for design, (checkpoints, _) in zip(designs, results):
        error = min((checkpoint.error for checkpoint in checkpoints), default=inf)
        deviation = log_deviation(task.objective, error)
        if deviation < least - _MARGIN or design is best:
            best, least = design, deviation
    return best


def _pilots(designs, task):
    recipe = replace(
        task.recipe,
        hidden_layer_sizes=_LAYERS,
        n_steps=max(1, round(_SHARE_OF_STEPS * task.recipe.n_steps)),
        n_checkpoints=_N_CHECKPOINTS,
    )
    deadline = task.deadline
    if deadline is not None:
        deadline -= (1 - _SHARE_OF_TIME) * (deadline - perf_counter())
    pilot = task._replace(recipe=recipe, deadline=deadline)
    return [pilot._replace(design=design.resized(recipe)) for design in designs]
