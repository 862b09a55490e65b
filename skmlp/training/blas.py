"""BLAS's own threads: how many there may be, and doing without them for a while."""

import os
from contextlib import contextmanager
from functools import cache
from threading import Event, Lock, Thread

from sklearn.utils.parallel import _get_threadpool_controller


class _Keeper:
    """Holds all of a process's BLAS to one thread for as long as anyone is inside.

    In a thread of its own: a limit is the process's, and threadpoolctl lets only the
    thread that set one change it, which may be gone before the others are.

    Attributes
    ----------
    limits_outside : list of int or None
        What was allowed before; None if nobody is inside.
    """

    def __init__(self):
        self.limits_outside = None
        self._lock, self._n_inside = Lock(), 0
        self._leave, self._thread = Event(), None

    def __enter__(self):
        with self._lock:
            self._n_inside += 1
            try:
                if self._n_inside == 1:
                    self._begin()
            except BaseException:
                self._end()
                raise

    def __exit__(self, *error):
        with self._lock:
            self._end()

    def _begin(self):
        self.limits_outside = _limits()
        entered, self._leave = Event(), Event()
        hold = Thread(target=_hold, args=(entered, self._leave), daemon=True)
        try:
            hold.start()
        except RuntimeError:  # no thread to be had; BLAS keeps its own
            return
        self._thread = hold
        entered.wait()

    def _end(self):
        self._n_inside -= 1
        if self._n_inside == 0:
            self._leave.set()
            try:
                if self._thread is not None:
                    self._thread.join()
            finally:
                self._thread, self.limits_outside = None, None


def _hold(entered, leave):
    try:
        with _get_threadpool_controller().limit(limits=1, user_api="blas"):
            entered.set()
            leave.wait()
    finally:
        entered.set()


@cache
def _libraries():
    return _get_threadpool_controller().select(user_api="blas").lib_controllers


def _limits():
    return [library.num_threads for library in _libraries()]


def _begin_anew():
    """None of those inside goes on in a forked child."""
    global _keeper
    _keeper = _Keeper()


_begin_anew()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)


def limits():
    """How many threads each BLAS may use, apart from `on_one_thread`."""
    return _keeper.limits_outside or _limits()


@contextmanager
def on_one_thread():
    """BLAS uses one thread, unless a limit that the user has set is in force.

    The bits of its sums do not depend on the number of processors then, and its idle
    threads, which go on spinning for a while, take none from others.
    """
    every = _get_threadpool_controller()
    own = every.select(threading_layer="openmp")  # there a limit is the thread's own
    with _keeper, own.limit(limits=1, user_api="blas"):
        yield
