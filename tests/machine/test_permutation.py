import copy
import os
import pickle
import threading
from functools import partial

import numpy as np
import pytest

from skmlp.machine import permutation
from skmlp.machine.permutation import shuffle

SIZES = *range(18), 31, 32, 33, 1000, 4097


@pytest.fixture(autouse=True)
def of_any_size(monkeypatch):
    """By the kernel, however few rows."""
    monkeypatch.setattr(permutation, "_FEW_ROWS", 0)


def shuffler(random_state):
    """Ours, to be called like the method of that name."""
    return partial(shuffle, random_state=random_state)


def shuffled(shuffle, n_times=3):
    """Vectors of all sizes, one after the other."""
    vectors = [np.arange(n) for n in SIZES]
    for rows in vectors:
        for _ in range(n_times):
            shuffle(rows)
    return np.concatenate(vectors)


@pytest.mark.parametrize("bits", [np.random.MT19937, np.random.PCG64])
def test_the_same_as_shuffle(bits):
    """And the stream goes on where it would, with whatever is drawn in between."""
    ours, numpys = np.random.RandomState(bits(3)), np.random.RandomState(bits(3))
    for _ in range(3):
        actual, expected = shuffled(shuffler(ours)), shuffled(numpys.shuffle)
        np.testing.assert_array_equal(actual, expected)
        np.testing.assert_array_equal(ours.normal(size=5), numpys.normal(size=5))


def test_the_global_stream():
    everybodys = np.random.mtrand._rand
    results = []
    for method in shuffler(everybodys), everybodys.shuffle:
        everybodys.seed(1)
        results.append([*shuffled(method), everybodys.random_sample()])
    assert results[0] == results[1]


def test_a_stream_can_be_copied_and_set():
    state = np.random.RandomState(0)
    shuffle = shuffler(state)
    shuffle(np.arange(10))
    before = state.get_state()
    copies = copy.deepcopy(state), pickle.loads(pickle.dumps(state))
    expected = shuffled(shuffle)
    for other in copies:
        np.testing.assert_array_equal(shuffled(shuffler(other)), expected)
    state.set_state(before)
    np.testing.assert_array_equal(shuffled(shuffle), expected)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_no_child_inherits_a_lock_that_is_taken():
    state, done = np.random.RandomState(0), threading.Event()
    shuffle, lock = shuffler(state), state._bit_generator.lock

    def shuffle_on():
        rows = np.arange(100_000)
        while not done.is_set():
            shuffle(rows)

    thread = threading.Thread(target=shuffle_on)
    thread.start()
    codes = []
    for _ in range(10):
        child = os.fork()
        if child == 0:
            os._exit(not lock.acquire(timeout=5))
        codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    done.set()
    thread.join()
    assert codes == [0] * 10


def test_a_shuffle_of_ones_own():
    class Backwards(np.random.RandomState):
        def shuffle(self, x):
            x[:] = x[::-1]

    rows = np.arange(5)
    shuffler(Backwards(0))(rows)
    np.testing.assert_array_equal(rows, [4, 3, 2, 1, 0])
