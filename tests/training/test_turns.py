"""Threads that take turns at products of many threads."""

import os
import threading
from contextlib import nullcontext

import pytest
from threadpoolctl import threadpool_limits

from skmlp.training import turns
from skmlp.training.turns import turn


@pytest.fixture
def two_blas_threads(monkeypatch):
    monkeypatch.setattr(turns, "_blas_threads", lambda: 2)


def is_turn(context):
    return not isinstance(context, nullcontext)


@pytest.mark.usefixtures("two_blas_threads")
def test_large_products_only():
    assert is_turn(turn(10**9))
    assert not is_turn(turn(10**5))


def test_no_turns_while_blas_has_one_thread():
    with threadpool_limits(1, user_api="blas"):
        assert turns._blas_threads() == 1
        assert not is_turn(turn(10**9))


@pytest.mark.usefixtures("two_blas_threads")
def test_one_at_a_time():
    inside, most = [], []

    def work():
        for _ in range(200):
            with turn(10**9):
                inside.append(None)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1
    assert len(most) == 800


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.usefixtures("two_blas_threads")
def test_a_child_does_not_wait_for_its_parent():
    with turn(10**9):
        pid = os.fork()
        if pid == 0:
            os._exit(0 if turns._turn.acquire(timeout=5) else 1)
        _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
