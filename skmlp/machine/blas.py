"""BLAS's own threads: how many there may be, and doing without them for a while."""

import _thread
import os
from contextlib import contextmanager
from functools import cache
from threading import Lock, Thread

from threadpoolctl import ThreadpoolController

from skmlp.machine.room import is_green

_PATIENCE_SECONDS = 1.0  # for a late thread, after which BLAS keeps its limit


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
        self._entered = self._leave = self._left = _thread.allocate_lock()

    def __enter__(self):
        with self._lock:
            if self._n_inside == 0:
                self._begin()
            self._n_inside += 1
            entered = self._entered
        _pass(entered)

    def __exit__(self, *error):
        with self._lock:
            self._n_inside -= 1
            if self._n_inside > 0:
                return
            _open(self._leave)
            left = self._left
        _pass(left)
        with self._lock:
            if self._n_inside == 0:
                self.limits_outside = None

    def _begin(self):
        self.limits_outside = self.limits_outside or _limits()
        before, doors = self._left, [_closed_door() for _ in range(3)]
        self._entered, self._leave, self._left = doors
        try:
            if not is_green():
                Thread(target=_hold, args=(before, *doors), daemon=True).start()
                return
        except RuntimeError:
            pass
        for door in doors:  # the thread could not start: BLAS keeps its limit
            door.release()


# Doors are locks that one thread opens for those that wait behind. Nobody waits while
# holding another lock, nor without limit: under gevent and eventlet, who waits may be
# the thread that is waited for.


def _closed_door():
    door = _thread.allocate_lock()
    door.acquire()
    return door


def _open(door):
    if door.locked():
        door.release()


def _pass(door):
    if door.acquire(timeout=_PATIENCE_SECONDS):
        door.release()


def _hold(before, entered, leave, left):
    try:
        _pass(before)
        if leave.locked():
            with _controller().limit(limits=1, user_api="blas"):
                entered.release()
                leave.acquire()
    finally:
        _open(entered)
        left.release()


@cache
def _controller():
    """The loaded BLAS and OpenMP libraries; looking for them takes milliseconds."""
    return ThreadpoolController()


@cache
def _libraries(user_api):
    return _controller().select(user_api=user_api).lib_controllers


def _limits(user_api="blas"):
    return [library.num_threads for library in _libraries(user_api)]


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


def limits_of_openmp():
    """How many threads each OpenMP may use in the calling thread."""
    return _limits("openmp")


@contextmanager
def on_one_thread():
    """BLAS uses one thread, unless a limit that the user has set is in force.

    The bits of its sums do not depend on the number of processors then, and its idle
    threads, which go on spinning for a while, take none from others.
    """
    own = _controller().select(
        threading_layer="openmp"
    )  # there a limit is the thread's own
    with _keeper, own.limit(limits=1, user_api="blas"):
        yield
