"""Kernels are compiled and loaded where the stack has room."""

import subprocess
import sys
import threading
import tracemalloc
import warnings
from contextlib import contextmanager

import numpy as np
import pytest

from skmlp.core.activations import relu_forward
from skmlp.machine import jit
from skmlp.machine.jit import DISABLED
from skmlp.machine.room import os_thread, with_room

needs_jit = pytest.mark.skipif(DISABLED, reason="nothing is compiled with the JIT off")
SMALL = 1 << 16


@contextmanager
def stack_size(size):
    before = threading.stack_size(size)
    try:
        yield
    finally:
        threading.stack_size(before)


def in_thread(function):
    """What it returns or raises in a thread, which must end."""
    outcome = []

    def call():
        try:
            outcome.append((function(), None))
        except BaseException as error:
            outcome.append((None, error))

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(60)
    assert outcome, "hangs"
    result, error = outcome[0]
    if error is not None:
        raise error
    return result


def test_the_main_thread_stays():
    assert with_room(threading.get_ident) == threading.get_ident()


def test_other_threads_have_one_that_waits_for_nobody():
    before = threading.active_count()
    name, is_daemon = in_thread(
        lambda: with_room(
            lambda: (threading.current_thread().name, threading.current_thread().daemon)
        )
    )
    assert (name, is_daemon) == ("skmlp compiler", False)
    assert threading.active_count() <= before


def test_what_is_raised_arrives():
    def fail():
        raise KeyError("x")

    with pytest.raises(KeyError, match="x"):
        in_thread(lambda: with_room(fail))


def test_other_threads_get_the_size_that_was_set():
    with stack_size(SMALL):
        sizes = [in_thread(lambda: with_room(int)) for _ in range(3)]
        assert threading.stack_size(SMALL) == SMALL
    assert sizes == [0] * 3


@pytest.fixture
def nothing_starts(monkeypatch):
    """Only threads of this file."""
    start = threading.Thread.start

    def refuse(thread):
        if thread.name == "skmlp compiler":
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)


def test_without_threads_large_stacks_do(nothing_starts):
    assert in_thread(lambda: with_room(threading.get_ident) == threading.get_ident())


def test_without_threads_small_stacks_are_refused(nothing_starts):
    with (
        stack_size(SMALL),
        pytest.raises(RuntimeError, match=r"65536 bytes.*in the main thread"),
    ):
        in_thread(lambda: with_room(int))


def test_parts_of_a_thread_stay(monkeypatch):
    """Under gevent and eventlet, waiting for a new thread would stop that very one."""

    def call():
        here = threading.get_ident()
        with monkeypatch.context() as patch:
            patch.setattr(threading, "get_ident", lambda: 1)
            there = with_room(os_thread)
        return here == there

    assert in_thread(call)


@needs_jit
def test_a_compilation_inside_of_another_stays_there():
    kernel = jit.jit(entry=True)(relu_forward.py_func)
    Z = np.array([[-3.0, 2.0]])

    def call():
        with jit.global_compiler_lock:
            kernel(Z, Z, np.ones(2))

    in_thread(call)
    assert Z.tolist() == [[0, 3]]


# The public package imports scikit-learn, which takes longer than all the rest.
IN_A_SMALL_THREAD = """
import os, sys, threading, types
package = types.ModuleType("skmlp")
package.__path__ = [sys.argv[1]]
sys.modules["skmlp"] = package

import numpy as np
from skmlp.core.losses import loss_address
from skmlp.machine.products import product_kernels
from skmlp.core.activations import ACTIVATIONS

def work():
    product_kernels(np.dtype(np.float32), back=True, copies=True)
    loss_address("binary_log_loss", np.dtype(np.float32))
    Z = np.array([[-3.0, 2.0]])
    ACTIVATIONS["relu"].forward(Z, Z, np.ones(2))
    print(Z)

threading.stack_size(int(sys.argv[2]))
thread = threading.Thread(target=work)
thread.start()
thread.join()
"""


@needs_jit
def test_small_stacks_are_enough(tmp_path, monkeypatch):
    """To compile, and then to load."""
    monkeypatch.setenv("SKMLP_CACHE_DIR", str(tmp_path))
    folder = str(next(iter(sys.modules["skmlp"].__path__)))
    for _ in "compile", "load":
        done = subprocess.run(
            [sys.executable, "-c", IN_A_SMALL_THREAD, folder, str(SMALL)],
            capture_output=True,
            text=True,
        )
        assert (done.returncode, done.stdout) == (0, "[[0. 3.]]\n"), done.stderr
    assert any(tmp_path.iterdir())


@pytest.fixture
def tracing(monkeypatch):
    jit._warn_of_tracing.cache_clear()
    tracemalloc.start(1)
    yield
    tracemalloc.stop()


def call_first(kernel):
    Z = np.array([[-3.0, 2.0]])
    kernel(Z, Z, np.ones(2))
    assert Z.tolist() == [[0, 3]]


def new_kernel():
    return jit.jit(entry=True)(relu_forward.py_func)


@needs_jit
@pytest.mark.parametrize("call", [in_thread, lambda function: function()])
def test_tracing_is_warned_of_once(tracing, tmp_path, monkeypatch, call):
    monkeypatch.setenv("SKMLP_CACHE_DIR", str(tmp_path))
    with pytest.warns(UserWarning, match="tracemalloc.*minutes") as caught:
        call(lambda: call_first(new_kernel()))
    assert [warning.filename for warning in caught] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        monkeypatch.setenv("SKMLP_CACHE_DIR", str(tmp_path / "another"))
        call(lambda: call_first(new_kernel()))


@needs_jit
def test_tracing_costs_little_where_nothing_is_compiled(tracing, tmp_path, monkeypatch):
    monkeypatch.setenv("SKMLP_CACHE_DIR", str(tmp_path))
    tracemalloc.stop()
    call_first(new_kernel())
    tracemalloc.start(1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = new_kernel()
        call_first(loaded)
        call_first(loaded)
    assert sum(loaded.stats.cache_hits.values()) == 1
