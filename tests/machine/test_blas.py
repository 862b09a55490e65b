import os
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Thread

import numpy as np
import pytest
from sklearn.datasets import make_regression
from threadpoolctl import threadpool_limits

from skmlp import MLPRegressor
from skmlp.machine import blas, threads
from skmlp.machine.blas import on_one_thread

LIBRARIES = blas._libraries("blas")
own_limits = [getattr(x, "threading_layer", "") == "openmp" for x in LIBRARIES]
pytestmark = [
    pytest.mark.skipif(os.cpu_count() < 2, reason="one core"),
    pytest.mark.skipif(any(own_limits), reason="each thread has limits of its own"),
]


def allowed():
    return [library.num_threads for library in LIBRARIES]


@pytest.fixture
def nobody_limits():
    """BLAS may use two threads, and no thread that lives has said so."""

    def allow(limits):
        for library, limit in zip(LIBRARIES, limits):
            library.set_num_threads(limit)

    def in_a_thread(limits):
        thread = Thread(target=allow, args=(limits,))
        thread.start()
        thread.join()

    before = allowed()
    in_a_thread([2] * len(before))
    assert set(allowed()) == {2}
    yield
    in_a_thread(before)
    assert allowed() == before


def test_inside_and_outside(nobody_limits):
    for _ in range(2):
        with on_one_thread():
            assert set(allowed()) == {1}
            assert set(blas.limits()) == {2}
            with on_one_thread():
                assert set(allowed()) == {1}
            assert set(allowed()) == {1}
        assert set(allowed()) == set(blas.limits()) == {2}


def test_the_limit_of_the_threads_of_a_fit_stays(nobody_limits):
    before = threads.n_threads()
    with on_one_thread():
        assert threads.n_threads() == before


def test_an_error_frees_blas(nobody_limits):
    with pytest.raises(KeyboardInterrupt), on_one_thread():
        raise KeyboardInterrupt
    assert set(allowed()) == {2}


def test_who_comes_first_may_leave_first(nobody_limits):
    inside, both_inside = Event(), Event()

    def first():
        with on_one_thread():
            inside.set()
            assert both_inside.wait(30)

    thread = Thread(target=first)
    thread.start()
    assert inside.wait(30)
    with on_one_thread():
        both_inside.set()
        thread.join(30)
        assert set(allowed()) == {1}
    assert set(allowed()) == {2}


def test_a_limit_of_the_users_stays_in_force():
    """In all threads alike, so that they get the same bits."""
    with threadpool_limits(2, "blas"), on_one_thread():
        assert set(allowed()) == set(blas.limits()) == {2}
    with threadpool_limits(1, "blas"), on_one_thread():
        assert set(allowed()) == set(blas.limits()) == {1}


def test_many_threads_in_and_out(nobody_limits):
    def enter_often(_):
        seen = set()
        for _ in range(20):
            with on_one_thread():
                seen.update(allowed())
        return seen

    with ThreadPoolExecutor(8) as pool:
        assert set().union(*pool.map(enter_often, range(8))) == {1}
    assert set(allowed()) == {2}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_of_somebody_inside_may_enter(nobody_limits):
    with on_one_thread():
        pid = os.fork()
        if pid == 0:
            import signal

            signal.alarm(30)  # ends a child that hangs
            with on_one_thread():
                ones = set(allowed()) == {1}
            os._exit(0 if ones else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.mark.filterwarnings("ignore:lbfgs failed to converge")
def test_lbfgs_does_not_depend_on_threads_of_blas(nobody_limits):
    """Of whose sums over more than 10,000 numbers the last bits do."""
    X, y = make_regression(300, 40, noise=10, random_state=0)
    X, y = X / 2, y / y.std()

    def bits():
        model = MLPRegressor(
            hidden_layer_sizes=(250, 40), solver="lbfgs", max_iter=8, random_state=0
        )
        model.fit(X, y)
        assert model.n_parameters_ > 10_000
        return np.concatenate([w.ravel() for w in model.coefs_]).tobytes()

    expected = bits()
    with threadpool_limits(1, "blas"):
        assert bits() == expected
