"""Threads that work on one run of a kernel together, and wait for each other.

All of them call the same kernel. Its pieces depend on shapes alone, each is done by one
thread, and sums over pieces are taken in the same order: results do not depend on how
many threads there are.

A run waits for no thread that has not arrived, and for none without limit. The first
thread opens a run (`begin`) with the helpers that have arrived by a deadline. A helper
that comes later waits for the next run, and leaves if there is none soon. Within a run
threads meet at barriers (`wait`). A thread that waits too long at one dismisses the
team: all barriers are open from then on, and all threads leave. The memory that a lost
thread may still write to must then be given up. If threads have waited for each other
for long, as on a busy machine, the first thread ends the run early (`ends_before`), and
the next one may have fewer.
"""

from typing import NamedTuple

import numpy as np

from skmlp.machine.intrinsics import (
    add_to_word,
    clock,
    give_way,
    load_word,
    relax,
    replace_word,
    store_word,
)
from skmlp.machine.jit import jit
from skmlp.machine.memory import LINE, empty_arrays

DISMISSED = 2**62
# Places on the board, in bytes; each in a line of the cache of its own.
_DOOR, _GO, _COUNTER, _LIMITS = range(0, 4 * LINE, LINE)
_BASE = _GO + 8
_ARRIVAL, _RETURN, _PATIENCE, _LOST, _STALL = range(_LIMITS, _LIMITS + 40, 8)
_WAITED, _STOP = _LIMITS + 40, _LIMITS + 48
_RUN = 2**16  # door and go: number of the run times this, plus a number of threads
_SPINS = 1000  # tens of microseconds, before a waiting thread yields its core
_LONGEST_LOOK = 50_000_000  # nanoseconds: in a longer gap this thread was stopped


class Limits(NamedTuple):
    """How long threads wait for each other, in seconds.

    Attributes
    ----------
    arrival : float
        For helpers, at the first run.
    back : float
        For helpers that were in the run before.
    patience : float
        For the next run.
    lost : float
        For each other at a barrier.
    stall : float
        For each other in a run, all together, before it ends early.
    """

    arrival: float
    back: float
    patience: float
    lost: float
    stall: float


class Seat(NamedTuple):
    """A thread's place in a team.

    Attributes
    ----------
    number : int
        Zero for the first thread, which opens runs. Helpers get their rank in a run
        when they come.
    size : int
        How many threads there may be.
    board : int
        Address of the numbers by which they know of each other.
    """

    number: int
    size: int
    board: int


class Team(NamedTuple):
    """A thread's place among those that are in a run.

    Attributes
    ----------
    rank, size : int
        The size is zero if there is no run for this thread.
    board : int
    base : int
        What the counter of meetings was before the run.
    run : int
        Number of the run.
    """

    rank: int
    size: int
    board: int
    base: int
    run: int


ALONE = Seat(0, 1, 0)


def make_seats(size, limits):
    """A seat for each thread, and the array that is their board."""
    (board,) = empty_arrays((((4 * LINE // 8,), np.int64),))
    board[:] = 0
    board[_LIMITS // 8 :][: len(limits)] = [int(1e9 * limit) for limit in limits]
    address = board.ctypes.data
    return [Seat(number, size, address) for number in range(size)], board


def dismiss(board):
    """Dismiss all helpers: those that wait and those yet to arrive."""
    board[_DOOR // 8] = board[_GO // 8] = DISMISSED


def is_dismissed(board):
    """Whether helpers have left, or will."""
    return board[_DOOR // 8] >= DISMISSED


@jit
def waiting_time(place, goal, limit):
    """Wait until the number at ``place`` reaches ``goal``; returns nanoseconds, zero if
    it is soon, or -1 if it does not in time.

    It waits a while without giving up its core, since others mostly come at once.
    """
    for _ in range(_SPINS):
        if load_word(place) >= goal:
            return np.int64(0)
        relax()
    waited, before = np.int64(0), clock()
    while load_word(place) < goal:
        if waited > limit:
            return np.int64(-1)
        give_way()
        now = clock()
        waited += min(now - before, _LONGEST_LOOK)
        before = now
    return waited


@jit
def reaches(place, goal, limit):
    """Wait until the number at ``place`` reaches ``goal``; whether it did in time."""
    return waiting_time(place, goal, limit) >= 0


@jit
def are_together(team):
    """Whether all threads came to the last barrier."""
    return team.size == 1 or load_word(team.board + _COUNTER) < DISMISSED


@jit
def wait(team):
    """A barrier: wait for all threads of the run; returns whether they came."""
    if team.size == 1:
        return True
    counter = team.board + _COUNTER
    n_before = add_to_word(counter, 1) - team.base
    goal = team.base + (n_before // team.size + 1) * team.size
    goal = min(goal, DISMISSED)
    waited = waiting_time(counter, goal, load_word(team.board + _LOST))
    if waited > 0:
        add_to_word(team.board + _WAITED, waited)
    if waited < 0:
        seen = load_word(counter)
        while seen < goal and not replace_word(counter, seen, DISMISSED):
            seen = load_word(counter)
    return are_together(team)


@jit
def end_early(team, i):
    """End the run behind its i-th piece if threads have waited for each other for long.

    The first thread decides before a barrier in this piece. All threads read it behind
    that barrier, and before another one that ends the piece or the run: the first
    thread opens the next run only after all have read.
    """
    if team.size == 1 or team.rank > 0:
        return
    if load_word(team.board + _WAITED) > load_word(team.board + _STALL):
        store_word(team.board + _STOP, i + 1)


@jit
def ends_before(team, last):
    """Behind which piece the run ends: ``last``, or an earlier one."""
    if team.size == 1:
        return last
    return min(last, load_word(team.board + _STOP))


@jit
def alone(team):
    """The thread as a team of its own."""
    return Team(np.int64(0), np.int64(1), team.board, team.base, team.run)


@jit
def begin(seat):
    """The team of the next run, of size zero if this thread is not in it."""
    none = np.int64(0)
    if seat.size == 1:
        return Team(none, np.int64(1), np.int64(seat.board), none, none)
    return open_run(seat) if seat.number == 0 else join_run(seat)


@jit
def open_run(seat):
    """Begin a run with the helpers that have arrived."""
    door, none = seat.board + _DOOR, np.int64(0)
    arrived = load_word(door)
    run = arrived // _RUN
    if arrived < DISMISSED:
        limit = load_word(seat.board + (_ARRIVAL if run == 0 else _RETURN))
        reaches(door, run * _RUN + seat.size - 1, limit)
        arrived = load_word(door)
    while arrived < DISMISSED and not replace_word(door, arrived, (run + 1) * _RUN):
        arrived = load_word(door)
    if arrived >= DISMISSED:
        return Team(none, np.int64(1), np.int64(seat.board), none, none)
    size, base = arrived - run * _RUN + 1, load_word(seat.board + _COUNTER)
    store_word(seat.board + _BASE, base)
    store_word(seat.board + _WAITED, none)
    store_word(seat.board + _STOP, np.int64(DISMISSED))
    store_word(seat.board + _GO, (run + 1) * _RUN + size)
    return Team(none, size, np.int64(seat.board), base, run)


@jit
def join_run(seat):
    """Wait for the next run. If none begins for a while, all helpers leave."""
    door, go, none = seat.board + _DOOR, seat.board + _GO, np.int64(0)
    leaves = Team(none, none, np.int64(seat.board), none, none)
    arrived = add_to_word(door, 1)
    if arrived >= DISMISSED:
        return leaves
    run, rank = arrived // _RUN, arrived % _RUN + 1
    if not reaches(go, (run + 1) * _RUN, load_word(seat.board + _PATIENCE)):
        seen = load_word(door)
        while seen < (run + 1) * _RUN and not replace_word(door, seen, DISMISSED):
            seen = load_word(door)
        if seen < (run + 1) * _RUN or seen >= DISMISSED:
            return leaves
        # The run has begun just now.
        reaches(go, (run + 1) * _RUN, load_word(seat.board + _LOST))
    begun = load_word(go)
    if begun // _RUN != run + 1:
        return leaves
    return Team(
        rank, begun % _RUN, np.int64(seat.board), load_word(seat.board + _BASE), run
    )


@jit
def share(n, rank, size):
    """First and last of this thread's part of n things in a row."""
    return n * rank // size, n * (rank + 1) // size
