"""What a fit is told: the loss, and settings with the names of the estimators'
parameters."""

from collections.abc import Callable
from typing import Any, NamedTuple


class Objective(NamedTuple):
    """The loss to minimize.

    Attributes
    ----------
    loss : str
        Row of ``skmlp.core.losses.LOSSES``.
    hyper : dict
        Parameters of the loss, by name.
    """

    loss: str
    hyper: dict = {}


class Stepping(NamedTuple):
    """How steps are taken: parameters of the estimators, by their names.

    What only some have: a ``period``, of so many rows, takes the place of the epoch;
    ``rate_factors`` has a factor of the learning rate for each group of parameters;
    ``dropout_schedule`` gives factors of all dropout rates.
    """

    solver: str = "adam"
    batch_size: int = 200
    last_batch: str = "keep"
    shuffle: bool = True
    learning_rate: Any = "constant"
    learning_rate_init: float = 0.001
    power_t: float = 0.5
    momentum: float = 0.9
    nesterovs_momentum: bool = True
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    rho: float = 0.9
    max_iter: int = 200
    max_fun: int = 15000
    augmentation: Callable | None = None
    period: int | None = None
    rate_factors: Any = None
    dropout_schedule: Any = "constant"


class Stopping(NamedTuple):
    """When a fit ends: parameters of the estimators, by their names."""

    tol: float = 1e-4
    n_iter_no_change: float = 10
    early_stopping: bool = False
    max_time: float | None = None


class Penalties(NamedTuple):
    """Penalties and limits of weights and steps: parameters of the estimators, by
    their names; and a schedule, which gives factors of the weight decay."""

    alpha: float = 1e-4
    l1_ratio: float = 0.0
    weight_decay: float = 0.0
    clip_value: float | None = None
    clip_norm: float | None = None
    max_norm: float | None = None
    ema_decay: float | None = None
    weight_decay_schedule: Any = "constant"


class Settings(NamedTuple):
    """All settings of a fit."""

    stepping: Stepping = Stepping()
    stopping: Stopping = Stopping()
    penalties: Penalties = Penalties()
