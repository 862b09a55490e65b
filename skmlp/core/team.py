"""Threads that work on one fit together, and wait for each other.

All of them run the same kernel. Its pieces depend on shapes alone, each is done by one
thread, and sums over pieces are taken in the same order: results do not depend on how
many threads there are.
"""

from typing import NamedTuple

import numpy as np

from skmlp.core.intrinsics import DISMISSED, meet
from skmlp.core.jit import jit
from skmlp.core.memory import empty_arrays

# Looks at the counter: about a millisecond, and more than anyone takes.
_PATIENCE, _FOR_EVER = 8000, 2**62


class Team(NamedTuple):
    """A thread's place among those that run a kernel together.

    Attributes
    ----------
    rank, size : int
    counter : int
        Address of a number: how often one of them came to where they wait for each
        other.
    """

    rank: int
    size: int
    counter: int


ALONE = Team(0, 1, 0)


def make_teams(size):
    """One for each thread, and the array that holds their counter."""
    (counter,) = empty_arrays((((1,), np.int64),))
    counter[0] = 0
    return [Team(rank, size, counter.ctypes.data) for rank in range(size)], counter


def dismiss(counter):
    """Let nobody wait for a thread that will not come."""
    counter[0] = DISMISSED


@jit
def wait(team):
    """Until all threads have come here; returns whether they have."""
    if team.size == 1:
        return True
    return meet(team.counter, team.size, _FOR_EVER) < DISMISSED


@jit
def alone(team):
    """The thread as a team of its own."""
    return Team(np.int64(0), np.int64(1), team.counter)


@jit
def begin(team):
    """Wait for the first thread, which calls the others to work; whether it has come.

    If it does not come for a while they leave, all of them.
    """
    if team.size == 1:
        return True
    patience = _FOR_EVER if team.rank == 0 else _PATIENCE
    return meet(team.counter, team.size, patience) < DISMISSED


@jit
def share(n, rank, size):
    """First and last of this thread's part of n things in a row."""
    return n * rank // size, n * (rank + 1) // size
