"""Fits and predictions end where threads are not what they seem, each in a process."""

import os
import sys

import pytest
from processes import run_python

from skmlp.machine.jit import DISABLED

pytestmark = pytest.mark.skipif(DISABLED, reason="threads need compiled kernels")

FITS = """
import numpy as np
from skmlp import MLPRegressor
from skmlp.machine import threads
threads.n_threads = lambda: 2
X = np.random.default_rng(0).standard_normal((3000, 40))
y = X[:, 0] * X[:, 1]

def bits():
    arrays = []
    for settings in {}, {"early_stopping": True}, {"solver": "lbfgs"}:
        model = MLPRegressor(
            hidden_layer_sizes=(100, 60), max_iter=12, random_state=0, **settings
        ).fit(X, y)
        arrays += [*model.coefs_, model.predict(np.repeat(X, 20, axis=0))]
    return [array.tobytes() for array in arrays]
"""
QUIET = FITS + "expected = bits()\n"


def passes(script):
    """Whether it comes to its end, where it prints True."""
    return run_python(script).splitlines()[-1] == "True"


GEVENT = """
import gevent
parts = [gevent.spawn(bits) for _ in range(2)]
gevent.joinall(parts)
print(parts[0].value == parts[1].value == bits())
"""
EVENTLET = """
import eventlet
parts = [eventlet.spawn(bits) for _ in range(2)]
print(parts[0].wait() == parts[1].wait() == bits())
"""


@pytest.mark.parametrize("is_first", [True, False], ids=["first", "last"])
@pytest.mark.parametrize(
    ("patch", "script"),
    [
        ("from gevent import monkey; monkey.patch_all()", GEVENT),
        ("import eventlet; eventlet.monkey_patch()", EVENTLET),
    ],
    ids=["gevent", "eventlet"],
)
def test_threads_that_are_parts_of_one(patch, script, is_first):
    parts = (patch, FITS) if is_first else (FITS, patch)
    assert passes("\n".join([*parts, script]))


def test_a_thread_that_keeps_python_busy():
    """Helpers come late, since they need Python's lock to begin."""
    script = """
import threading
over = threading.Event()
def spin():
    while not over.is_set():
        sum(range(1000))
threading.Thread(target=spin).start()
actual = bits()
over.set()
print(actual == expected)
"""
    assert passes(QUIET + script)


@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
def test_no_further_thread_can_be_started():
    script = """
import _thread
def refuse(*arguments):
    raise RuntimeError("can't start new thread")
_thread.start_new_thread = refuse
print(bits() == expected)
"""
    assert passes(QUIET + script)


@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
def test_one_core():
    script = """
import os
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
print(bits() == expected)
"""
    assert passes(QUIET + script)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no masks here")
def test_the_mask_of_the_process_counts():
    """Not the number of cores that the machine has."""
    script = """
import os
os.environ.pop("OPENBLAS_NUM_THREADS", None)
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from skmlp.machine.threads import n_threads
print(n_threads() == 1)
"""
    assert passes(script)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_fork_between_two_epochs():
    """The child goes on in a fit whose helpers stayed with its parent."""
    script = """
import os, signal
calls = []

def fork(X, y, rng):
    calls.append(None)
    if len(calls) == 3:
        children.append(os.fork())
        if children[-1] == 0:
            signal.alarm(60)
    return X, y

def weights():
    calls.clear()
    model = MLPRegressor(hidden_layer_sizes=(200, 100), max_iter=5, random_state=0,
                         augmentation=fork)
    return model.fit(X, y).coefs_[0].tobytes()

children = []
there = weights()
if children[-1] == 0:
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(children[-1], 0)[1]) == 0)
"""
    assert passes(FITS + script)
