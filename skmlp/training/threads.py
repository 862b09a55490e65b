"""Threads that run a kernel together, as many as there is room for.

Results do not depend on how many there are, so that each run may have another number:
fits that run at the same time, in threads of the user's, share what is allowed.
"""

import os
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache

from sklearn.utils._openmp_helpers import _openmp_effective_n_threads
from sklearn.utils.parallel import _get_threadpool_controller

from skmlp.core.jit import DISABLED
from skmlp.core.team import ALONE, dismiss, make_teams

_MOST = 8


class _Running:
    """How many runs there are at this moment that could use several threads."""

    def __init__(self):
        self.count, self._lock = 0, threading.Lock()

    def __enter__(self):
        with self._lock:
            self.count += 1
            return self.count

    def __exit__(self, *error):
        with self._lock:
            self.count -= 1


def _begin_anew():
    """None of the runs that a forked child's parent was in goes on in the child."""
    global _running
    _running = _Running()


_begin_anew()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)


def n_threads():
    """How many are allowed just now: as many as OpenMP and BLAS may use."""
    limits = [library.num_threads for library in _blas_libraries()]
    return min([_openmp_effective_n_threads(), *limits])


@cache
def _blas_libraries():
    return _get_threadpool_controller().select(user_api="blas").lib_controllers


class Threads:
    """The thread that calls, and others, which are started when they are needed.

    Parameters
    ----------
    n_pieces : int
        Of the work that is to be shared.

    Attributes
    ----------
    most : int
        How many threads there may be.
    """

    def __init__(self, n_pieces):
        shared = n_pieces > 1 and not DISABLED
        self.most = min(n_pieces, _MOST, n_threads()) if shared else 1
        self._executor = None

    def run(self, work):
        """Call ``work(team)`` in each thread, and return when all have returned."""
        if self.most == 1:
            work(ALONE)
            return
        with _running as n_running:
            size = min(self.most, n_threads() // n_running)
            if size <= 1:
                work(ALONE)
            else:
                self._run_together(work, *make_teams(size))

    def _run_together(self, work, teams, counter):
        others = []
        try:
            for team in teams[1:]:
                others.append(self._threads().submit(_join, work, team, counter))
            work(teams[0])
        except BaseException:
            dismiss(counter)
            raise
        finally:
            wait(others)
        for other in others:
            other.result()

    def _threads(self):
        if self._executor is None:
            self._executor = ThreadPoolExecutor(self.most - 1, "skmlp")
        return self._executor


def _join(work, team, counter):
    try:
        work(team)
    except BaseException:
        dismiss(counter)
        raise
