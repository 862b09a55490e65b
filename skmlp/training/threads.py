"""Threads that run a kernel together, as many as there is room for.

Results do not depend on how many there are, so that each run may have another number:
what is fastest, and fits that run at the same time, in threads of the user's, share
what is allowed.
"""

import ctypes
import os
from contextlib import suppress
from functools import lru_cache, partial
from threading import Lock, Thread
from time import perf_counter

from sklearn.utils._openmp_helpers import _openmp_effective_n_threads

from skmlp.core.jit import DISABLED
from skmlp.core.team import ALONE, dismiss, make_teams
from skmlp.training import blas
from skmlp.training.pace import Pace

_MOST = 8
_FLOPS_FOR_A_THREAD = 2e7  # in a run; with less, starting it takes longer than it saves


_current_core = None
if hasattr(os, "sched_setaffinity"):  # Linux, for one
    with suppress(AttributeError, OSError):
        _current_core = ctypes.CDLL(None).sched_getcpu


class _Running:
    """How many runs there are at this moment that could use several threads."""

    def __init__(self):
        self.count, self._lock = 0, Lock()

    def __enter__(self):
        with self._lock:
            self.count += 1
            return self.count

    def __exit__(self, *error):
        with self._lock:
            self.count -= 1


def _begin_anew():
    """None of the runs that a forked child's parent was in goes on in the child.

    What is known of the pace is shared by all runs of the same work: the fits of a
    search or of cross-validation need not find out anew, each by itself.
    """
    global _running, _pace_of
    _running, _pace_of = _Running(), lru_cache(maxsize=256)(Pace)


_begin_anew()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)


def n_threads():
    """How many are allowed just now: as many as OpenMP and BLAS may use."""
    return min([_openmp_effective_n_threads(), *blas.limits()])


class Threads:
    """The thread that calls, and others, which are there for one run only.

    Parameters
    ----------
    n_pieces : int
        Of the work that can be done at the same time.
    block_flops : float
        Of one block of the work, about.

    Attributes
    ----------
    most : int
        How many threads there may be.
    """

    def __init__(self, n_pieces, block_flops):
        shared = n_pieces > 1 and not DISABLED
        self.most = min(n_pieces, _MOST, n_threads()) if shared else 1
        self._block_flops = block_flops

    def run(self, work, first, stop):
        """Call ``work(team, first, last)`` in each thread, for some of the blocks.

        Parameters
        ----------
        work : callable
            Does the blocks from ``first`` up to ``last``, together with the others.
        first, stop : int
            Which blocks are left.

        Returns
        -------
        last : int
            Which block is the next.
        """
        worthwhile = int((stop - first) * self._block_flops / _FLOPS_FOR_A_THREAD)
        most = min(self.most, worthwhile)
        if most <= 1:
            return self._run(work, first, stop, 1)
        with _running as n_running:
            most = min(most, n_threads() // n_running)
            return self._run(work, first, stop, max(most, 1))

    def _run(self, work, first, stop, most):
        pace = _pace_of(self._block_flops)
        size, n_blocks = pace.choose(most)
        last = min(first + n_blocks, stop)
        started = perf_counter()
        run_together(partial(work, first=first, last=last), size)
        pace.measured(size, last - first, perf_counter() - started)
        return last


class _Cores:
    """The cores that the threads of a team run on, as far as the system tells.

    On virtual machines Linux holds cores that have slept for a while for busy: it puts
    a new thread on the core of the thread that starts it, and moves it only after tens
    of milliseconds, in which both wait for each other all the time.
    """

    def __init__(self):
        self._taken, self._lock = set(), Lock()

    def take(self):
        """Take a core for this thread that no other one has, if it can be had."""
        if _current_core is None:
            return
        with self._lock:
            if _current_core() in self._taken:
                self._leave_taken()
            self._taken.add(_current_core())

    def _leave_taken(self):
        allowed = os.sched_getaffinity(0)
        with suppress(OSError):  # not permitted, or there is no other core
            try:
                os.sched_setaffinity(0, allowed - self._taken)
            finally:
                os.sched_setaffinity(0, allowed)


def run_together(work, size):
    """Call ``work(team)`` in so many threads, and return when all have returned.

    Where no more can be started, the calling thread does it all.
    """
    if size == 1:
        work(ALONE)
        return
    teams, counter = make_teams(size)
    errors, cores = [], _Cores()

    def join(team):
        try:
            cores.take()
            work(team)
        except BaseException as error:
            errors.append(error)
            dismiss(counter)

    others = [Thread(target=join, args=(team,), name="skmlp") for team in teams[1:]]
    try:
        try:
            for other in others:
                other.start()
        except RuntimeError:  # no thread to be had; those there are do nothing alone
            dismiss(counter)
            teams[0] = ALONE
        cores.take()
        work(teams[0])
    except BaseException:
        dismiss(counter)
        raise
    finally:
        for other in others:
            if other.is_alive():
                other.join()
    if errors:
        raise errors[0]
