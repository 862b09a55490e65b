"""A network, and what its training carries along from one fit to the next."""

from dataclasses import dataclass, field

import numpy as np

from skmlp.core.architecture import Architecture
from skmlp.machine.permutation import shuffle
from skmlp.training.optimizer_state import OptimizerState, writable

_ROWS_IN_PICKLES = 2**16  # an order of as many takes 128 KiB


@dataclass
class Carried:
    """State of training, beside the weights, that one fit hands to the next.

    A fit rebinds attributes, so that a shallow copy stays as it is but for the
    optimizer, which belongs to one fit at a time.

    Attributes
    ----------
    moving : ndarray of shape (n_total,) or None
        What the optimizer changes, where the weights are an average of it.
    optimizer : OptimizerState or None
        None before the first epoch.
    order : ndarray of int or None
        The order of rows in the previous call for a single epoch.
    mask_seed : int or None
        Seed of dropout's masks.
    n_seen : int
        Rows seen in all epochs.
    """

    moving: np.ndarray | None = None
    optimizer: OptimizerState | None = None
    order: np.ndarray | None = None
    mask_seed: int | None = None
    n_seen: int = 0

    def __getstate__(self):
        """An order of very many rows is left out, and drawn anew then."""
        state = vars(self).copy()
        if self.order is not None:
            is_short = self.order.size <= _ROWS_IN_PICKLES
            state["order"] = self.order.astype(np.uint16) if is_short else None
        return state

    def __setstate__(self, state):
        """Own all arrays: joblib may hand over read-only memory maps."""
        vars(self).update(state)
        if self.moving is not None:
            self.moving = writable(self.moving)


@dataclass
class Model:
    """A network in training.

    Attributes
    ----------
    architecture : Architecture
    params : ndarray of shape (n_total,)
        The weights that predict.
    carried : Carried
    """

    architecture: Architecture
    params: np.ndarray
    carried: Carried = field(default_factory=Carried)

    def take_optimizer(self, name, *, keep):
        """The optimizer of this name: the one that there is, with ``keep`` and where it
        fits the network, or a new one."""
        n_params, dtype = self.architecture.layout().n_params, self.params.dtype
        optimizer = self.carried.optimizer
        if not (keep and optimizer and optimizer.fits(name, n_params, dtype)):
            self.carried.optimizer = OptimizerState(name, n_params, dtype)
        return self.carried.optimizer

    def seed_of_masks(self, random_state):
        """Drawn once for each network, and only if it has dropout."""
        if not any(self.architecture.dropouts):
            return 0
        if self.carried.mask_seed is None:
            self.carried.mask_seed = int(random_state.randint(2**31))
        return self.carried.mask_seed

    def next_order(self, rows, random_state):
        """``rows`` in an order that goes on from the previous one of as many, so that n
        calls shuffle like n epochs of one fit. ``random_state`` is None if they are not
        to be shuffled."""
        order, previous = np.arange(rows.size), self.carried.order
        if previous is not None and previous.size == rows.size:
            order[:] = previous
        if random_state is not None:
            shuffle(order, random_state)
        self.carried.order = order  # positions, since the rows that count may change
        return rows[order]
