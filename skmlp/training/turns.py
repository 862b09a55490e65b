"""Turns that threads take at products which BLAS spreads over threads of its own.

BLAS's threads serve one product at a time. Two fits that call them together make each
other wait, with all cores spinning: they take several times as long as one after the
other. Small products use no such threads, and run side by side.
"""

import os
import threading
from contextlib import nullcontext
from functools import cache

from sklearn.utils.parallel import _get_threadpool_controller

from skmlp.training.blocks import SMALL_PRODUCT

_turn = threading.Lock()


def turn(n_multiplications):
    """A context to run products of so many multiplications in."""
    if n_multiplications <= SMALL_PRODUCT or _blas_threads() <= 1:
        return nullcontext()
    return _turn


def _blas_threads():
    """How many there are just now; users may limit them at any time."""
    return max((library.num_threads for library in _blas_libraries()), default=1)


@cache
def _blas_libraries():
    return _get_threadpool_controller().select(user_api="blas").lib_controllers


def _renew():
    """A child forked during another thread's turn would wait for its end for ever."""
    global _turn
    _turn = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
