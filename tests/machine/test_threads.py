"""Threads that work on one fit: all of it, once, to the same bits."""

import itertools
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import pytest
from builders import (
    PATIENT,
    as_kernel,
    epochs_of,
    force_replicas,
    make_problem,
    run_together,
)
from joblib import cpu_count
from scipy import sparse
from threadpoolctl import threadpool_limits

import skmlp
from skmlp import MLPClassifier, MLPRegressor
from skmlp.augmentation import GaussianNoise
from skmlp.core.predict import predict_blocks
from skmlp.machine import jit, pace, threads
from skmlp.machine.intrinsics import clock, give_way
from skmlp.machine.jit import DISABLED
from skmlp.machine.team import (
    ALONE,
    begin,
    dismiss,
    end_early,
    ends_before,
    is_dismissed,
    make_seats,
    share,
    wait,
)
from skmlp.machine.threads import Threads
from skmlp.training import blocks, inference, loop

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
TIMEOUT = 240  # seconds, for what would hang
together = pytest.mark.skipif(DISABLED, reason="threads need compiled kernels")
needs_cores = pytest.mark.skipif(
    threads._current_core is None or not hasattr(os, "sched_getaffinity"),
    reason="the system does not tell where a thread runs",
)


@as_kernel
def meet_all(seat, n):
    """Rank and size of the team, and how often all of it have come, of n times."""
    team, n_meetings = begin(seat), 0
    for _ in range(n):
        n_meetings += int(team.size > 0 and wait(team))
    return team.rank, team.size, n_meetings


@as_kernel
def sum_in_turns(seat, values, n_rounds):
    """Each round adds up all numbers, and then replaces each by the sum."""
    team = begin(seat)
    first, last = share(values.size, team.rank, team.size)
    for _ in range(n_rounds):
        total = 0
        for value in values:
            total += value
        if not wait(team):
            return
        values[first:last] = total % 1000 + 1
        wait(team)


@as_kernel
def work_through(seat, n, slow):
    """How many of n pieces are in a run in which a helper is slow in one."""
    team, i, last = begin(seat), np.int64(0), np.int64(n)
    while i < last:
        end_early(team, i)
        start = clock()
        while i == slow and team.rank == 1 and clock() - start < 50_000_000:
            give_way()
        wait(team)
        last = ends_before(team, last)
        wait(team)
        i += 1
    return i


@as_kernel
def part_of(n, rank, size):
    return share(n, rank, size)


def within(seconds, function):
    """What the function returns or raises, in a thread that may be given up."""
    outcome = []

    def call():
        try:
            outcome.append((function(), None))
        except BaseException as error:
            outcome.append((None, error))

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(seconds)
    assert outcome, "hangs"
    result, error = outcome[0]
    if error is not None:
        raise error
    return result


CHOOSE = threads.Pace.choose  # which most tests replace


@pytest.fixture
def allow(monkeypatch):
    """Set the number of threads."""
    return lambda n: monkeypatch.setattr(threads, "n_threads", lambda: n)


@pytest.fixture(autouse=True)
def no_other_runs(monkeypatch):
    """What hangs in one test counts in no other, nor does its pace."""
    monkeypatch.setattr(threads, "_running", threads._Running())
    monkeypatch.setattr(threads, "_pace_of", lru_cache(threads.Pace))


@pytest.fixture(autouse=True)
def whatever_the_pace(monkeypatch):
    """As many threads as there may be, one block a run, however late they come."""
    monkeypatch.setattr(threads.Pace, "choose", lambda self, most: (most, 1))
    monkeypatch.setattr(threads, "_ARRIVAL_SECONDS", 60)
    monkeypatch.setattr(threads, "_RETURN_SECONDS", 60)
    monkeypatch.setattr(threads, "_PATIENCE_SECONDS", 60)


def make_runner(n_pieces, block_flops=1e9, n_blocks=1000, **options):
    """For work that is large enough to be shared."""
    return Threads(n_pieces, block_flops, n_blocks, **options)


def run(runner, work):
    """One run of a single block; what ``work(seat)`` returns in the first thread."""
    results = []

    def work_on(seat, first, last):
        result = work(seat)
        if seat.number == 0:
            results.append(result)
        return last

    def run_in_context():
        with runner:
            runner.run(work_on, 0, 1)

    within(20, run_in_context)
    return results[0]


def size_of(runner):
    """How many threads are in one run."""
    return run(runner, lambda seat: meet_all(seat, 1))[1]


@pytest.mark.parametrize("size", [1, 2, 3, 8])
def test_parts_are_all_of_it(size):
    for n in range(40):
        parts = [range(*part_of(n, rank, size)) for rank in range(size)]
        assert list(itertools.chain(*parts)) == list(range(n))
        lengths = [len(part) for part in parts]
        assert max(lengths) - min(lengths) <= 1


def test_alone_there_is_nobody_to_wait_for():
    assert meet_all(ALONE, 3) == (0, 1, 3)


@together
@pytest.mark.parametrize("n", [2, 3, 8])
def test_each_thread_comes_once(n):
    seen = []

    def work(seat):
        seen.append((*meet_all(seat, 50), threading.get_ident()))

    for _ in range(5):
        seen.clear()
        within(20, lambda: threads.run_together(work, n))
        wait_until(lambda: len(seen) == n)
        ranks, sizes, n_meetings, idents = zip(*seen)
        assert sorted(ranks) == list(range(n))
        assert (set(sizes), set(n_meetings)) == ({n}, {50})
        assert len(set(idents)) == n


@together
@pytest.mark.parametrize("n", [2, 3, 8])
def test_what_is_written_before_a_meeting_is_read_after_it(n):
    expected = np.arange(37)
    sum_in_turns(ALONE, expected, 200)
    values = np.arange(37)
    within(20, lambda: run_together(n, lambda seat: sum_in_turns(seat, values, 200)))
    np.testing.assert_array_equal(values, expected)


@pytest.mark.parametrize(
    ("n_pieces", "allowed", "expected"),
    [(0, 4, 1), (1, 4, 1), (3, 4, 3), (9, 4, 4), (100, 100, 8), (5, 1, 1)],
)
def test_no_more_threads_than_pieces(allow, n_pieces, allowed, expected):
    allow(allowed)
    assert make_runner(n_pieces).most == (1 if DISABLED else expected)


@together
def test_the_only_thread_is_the_callers(allow):
    allow(1)
    seen = []

    def work(seat, first, last):
        seen.append((seat, first, last, threading.get_ident()))
        return last

    with make_runner(5) as runner:
        assert runner.run(work, 3, 7) == 4
    assert seen == [(ALONE, 3, 4, threading.get_ident())]


@together
def test_limits_of_each_run_are_obeyed(allow, monkeypatch):
    monkeypatch.setattr(threads, "RUN_SECONDS", 0)
    allow(4)
    runner = make_runner(10)
    for n, expected in (4, 4), (2, 2), (1, 1), (3, 3), (100, 4):
        allow(n)
        assert size_of(runner) == expected


@pytest.mark.parametrize("api", ["blas", "openmp"])
def test_limits_of_threadpoolctl_are_obeyed(api):
    with threadpool_limits(4):
        before = threads.n_threads()
        with threadpool_limits(1, user_api=api):
            assert threads.n_threads() == 1
            assert make_runner(100).most == 1
        assert threads.n_threads() == before
    with threadpool_limits(2, user_api=api):
        assert 1 <= threads.n_threads() <= 2


@together
def test_more_threads_if_blas_may_use_more():
    """The test suite itself allows one."""
    if cpu_count() < 2:
        pytest.skip("one core")
    with threadpool_limits(2):
        assert threads.n_threads() == 2


@together
@pytest.mark.parametrize(("flops", "expected"), [(3e7, 1), (5e7, 2), (1e9, 4)])
def test_little_work_is_not_shared(allow, flops, expected):
    allow(4)
    sizes = []

    def work(seat, first, last):
        sizes.append(seat.size)
        return last

    for n_blocks in 1, 5:
        with Threads(4, flops / n_blocks, n_blocks) as runner:
            runner.run(work, 2, 2 + n_blocks)
    assert set(sizes) == {expected}


@together
@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_exception_of_the_calling_thread_is_its_own(allow, kind):
    """The others, who wait for it, leave."""
    allow(3)
    results = []

    def work(seat):
        if seat.number == 0:
            time.sleep(0.02)
            raise kind("culprit")
        results.append(meet_all(seat, 10))

    with pytest.raises(kind, match="culprit"):
        run(make_runner(3), work)
    wait_until(lambda: len(results) == 2)
    assert results == [(0, 0, 0)] * 2
    assert size_of(make_runner(3)) == 3
    assert threads._running.count == 0


@together
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_without_a_thread_that_fails_the_others_go_on(allow, monkeypatch):
    allow(3)
    monkeypatch.setattr(threads, "_ARRIVAL_SECONDS", 0.05)
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: None)

    def work(seat):
        if seat.number == 1:
            raise MemoryError("culprit")
        return meet_all(seat, 10)

    assert run(make_runner(3), work) == (0, 2, 10)


@together
@pytest.mark.parametrize("n_started", [0, 1, 2])
def test_a_thread_that_cannot_start(monkeypatch, n_started):
    """Those that there are do the work."""
    start, n_calls = threads._thread.start_new_thread, itertools.count()

    def fail_later(*arguments):
        if next(n_calls) == n_started:
            raise RuntimeError("can't start new thread")
        return start(*arguments)

    monkeypatch.setattr(threads._thread, "start_new_thread", fail_later)
    work = partial(threads.run_together, lambda seat: meet_all(seat, 2), 4)
    assert within(20, work) == (0, 1 + n_started, 2)


@together
def test_threads_of_the_same_system_thread_do_not_count(monkeypatch):
    """As with gevent and eventlet, where a new thread is a part of the old one."""

    def call_at_once(function, arguments):
        function(*arguments)

    monkeypatch.setattr(threads, "_ARRIVAL_SECONDS", 0.01)
    monkeypatch.setattr(threads._thread, "start_new_thread", call_at_once)
    work = partial(threads.run_together, lambda seat: meet_all(seat, 2), 4)
    assert within(20, work) == (0, 1, 2)


@together
@pytest.mark.parametrize("late", [1, 2])
def test_a_run_begins_with_those_who_have_come(monkeypatch, late):
    """A late one is in no run, but may be in the next."""
    monkeypatch.setattr(threads, "_ARRIVAL_SECONDS", 0.05)
    is_open, results = threading.Event(), []

    def work(seat):
        if 0 < seat.number <= late:
            assert is_open.wait(20)
        result = meet_all(seat, 5)
        if seat.number > 0:
            results.append(result)
        return result

    crew = threads._Crew(work, 3)
    assert within(20, lambda: work(crew.seat)) == (0, 3 - late, 5)
    is_open.set()
    seat = crew.seat._replace(size=1 + late)
    wait_until(lambda: crew._board[0] % 2**16 == late)
    assert within(20, lambda: work(seat)) == (0, 1 + late, 5)
    crew.dismiss()
    wait_until(lambda: len(results) == 2)


@together
@pytest.mark.parametrize("culprit", [0, 1, 2])
def test_nobody_waits_for_ever_in_a_run(culprit):
    """As when a debugger holds a thread; the others learn that they are not all."""
    limits = PATIENT._replace(lost=0.05)
    seats, board = make_seats(3, limits)
    is_over, results = threading.Event(), {}

    def work(seat):
        if seat.number != culprit:
            results[seat.number] = meet_all(seat, 3)
            return
        results[seat.number] = meet_all(seat, 1)
        assert is_over.wait(20)

    with ThreadPoolExecutor(3) as pool:
        for seat in seats:
            pool.submit(work, seat)
        wait_until(lambda: len(results) == 3)
        is_over.set()
    dismiss(board)
    n_meetings = {number: result[2] for number, result in results.items()}
    assert n_meetings == {k: 1 for k in range(3)}


@together
def test_who_is_stopped_has_not_waited(monkeypatch):
    """Time in which the whole process stands still does not count."""
    import signal

    if not hasattr(signal, "SIGSTOP"):
        pytest.skip("the system cannot stop a process")
    assert output_of(STOPPED).split() == ["True"]


STOPPED = """
import os, subprocess, sys, threading, time
import numpy as np
from skmlp import MLPRegressor
from skmlp.machine import threads
threads.n_threads = lambda: 2
threads._LOST_SECONDS = 0.5
threads._ARRIVAL_SECONDS = threads._RETURN_SECONDS = 10
threads.Pace.choose = lambda self, most: (most, 10**6)
X = np.random.default_rng(0).standard_normal((4000, 60))
params = dict(hidden_layer_sizes=(200, 200), max_iter=6, random_state=0)
MLPRegressor(**params).fit(X, X[:, 0])
lost, original = [], threads.Threads._go_on_alone
threads.Threads._go_on_alone = lambda self: (lost.append(1), original(self))
stop = "for _ in 1 2 3; do kill -STOP $0; sleep 1; kill -CONT $0; sleep 0.1; done"
other = subprocess.Popen(["sh", "-c", stop, str(os.getpid())])
while other.poll() is None:
    MLPRegressor(**params).fit(X, X[:, 0])
print(not lost)
"""


@together
def test_runs_at_once_share_what_is_allowed(allow):
    allow(4)
    sizes, inside, done = {}, threading.Barrier(2), threading.Event()

    def first(seat):
        sizes.setdefault("first", seat.size)
        if seat.number == 0:
            inside.wait(30)
            assert done.wait(30)

    thread = threading.Thread(target=lambda: run(make_runner(4), first))
    thread.start()
    inside.wait(30)
    try:
        second = make_runner(4)
        assert second.most == 4
        sizes["2"] = size_of(second)
    finally:
        done.set()
        thread.join(30)
    sizes["a moment later"] = size_of(second)
    time.sleep(2 * threads._CROWD_SECONDS)
    sizes["later"] = size_of(second)
    assert sizes == {"first": 4, "2": 2, "a moment later": 2, "later": 4}


def system_threads():
    """Numbers of those of this process, Python's and others."""
    return set(os.listdir("/proc/self/task"))


@together
@pytest.mark.skipif(
    not Path("/proc/self/task").exists(), reason="the system does not list threads"
)
def test_threads_end_with_their_run():
    before, during = system_threads(), set()

    def work(seat):
        if seat.number == 0:
            during.update(system_threads() - before)
        return meet_all(seat, 1)

    threads.run_together(work, 3)
    assert len(during) == 2
    wait_until(lambda: not system_threads() & during)


@as_kernel
def count_runs(seat, counts):
    """As an entry kernel whose threads stay does."""
    while True:
        team = begin(seat)
        if team.size == 0:
            return False
        counts[team.rank] += 1
        wait(team)
        if team.rank == 0:
            return True


def wait_until(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "too long"
        time.sleep(0.001)


@together
@pytest.mark.parametrize("n", [2, 3])
def test_threads_that_stay(allow, monkeypatch, n):
    """They are there for the next run, or leave if there is none for a while."""
    allow(n)
    counts, crews = np.zeros(n, np.int64), []

    def work(seat, first, last):
        assert count_runs(seat, counts) or seat.number > 0
        return last

    def runs():
        with make_runner(n, stay=True) as runner:
            for _ in range(200):
                runner.run(work, 0, 1)
                crews.append(runner._crew)
            wait_until(lambda: runner._crew.has_left)
            runner.run(work, 0, 1)
            crew = runner._crew
            assert crew is not crews[-1]
            runner.dismiss()
            assert not any(at_work.locked() is False for at_work in crew._at_work)
            runner.run(work, 0, 1)

    monkeypatch.setattr(threads, "_PATIENCE_SECONDS", 0.05)
    within(60, runs)
    np.testing.assert_array_equal(counts, 202)
    assert len(set(crews)) < 20  # if busy, some leave


@together
def test_as_many_threads_stay_as_are_allowed(allow, monkeypatch):
    monkeypatch.setattr(threads, "RUN_SECONDS", 0)
    counts = np.zeros(4, np.int64)

    def work(seat, first, last):
        count_runs(seat, counts)
        return last

    def runs():
        with make_runner(4, stay=True) as runner:
            for n in 4, 2, 1, 3:
                allow(n)
                runner.run(work, 0, 1)

    allow(4)
    within(60, runs)
    np.testing.assert_array_equal(counts, [4, 3, 2, 1])


@together
def test_nobody_waits_for_ever_for_a_run():
    limits = PATIENT._replace(arrival=0.01, patience=0.01)
    seats, board = make_seats(2, limits)
    counts = np.zeros(2, np.int64)
    assert not within(20, lambda: count_runs(seats[1], counts))
    assert is_dismissed(board)
    assert within(20, lambda: count_runs(seats[0], counts))
    np.testing.assert_array_equal(counts, [1, 0])


@together
@pytest.mark.parametrize("seed", range(3))
def test_threads_that_come_and_go_at_random(seed):
    """Each is in a run or not, in one of its own, and none is left waiting."""
    rng, n, n_runs = np.random.default_rng(seed), 4, 300
    limits = PATIENT._replace(arrival=0, back=2e-5, patience=1e-4)
    pauses = rng.exponential(2e-4, (n, n_runs)) * rng.integers(2, size=(n, n_runs))

    def work(seat):
        total = 0
        for k in range(n_runs):
            time.sleep(pauses[seat.number, k])
            _, size, n_meetings = meet_all(seat, 3)
            assert n_meetings == (3 if size else 0)
            total += size > 0
            if seat.number > 0 and size == 0:
                break
        return total

    def runs():
        seats, board = make_seats(n, limits)
        with ThreadPoolExecutor(n) as pool:
            results = [pool.submit(work, seat) for seat in seats]
            assert results[0].result() == n_runs
            dismiss(board)
            return [result.result() for result in results]

    within(60, runs)


@together
def test_only_one_thread_outside_of_the_context(allow):
    allow(4)
    sizes = []

    def work(seat, first, last):
        sizes.append(seat.size)
        return last

    make_runner(4).run(work, 0, 1)
    assert sizes == [1]


@together
def test_what_runs_within_another_counts_once(allow, monkeypatch):
    """As predictions for early stopping do within a fit."""
    allow(4)
    sizes = []

    def work(seat, first, last):
        if seat.number == 0:
            sizes.append(seat.size)
        return last

    monkeypatch.setattr(threads, "_ARRIVAL_SECONDS", 0)
    with make_runner(4):
        with make_runner(4) as inner:
            inner.run(work, 0, 1)
        # In another thread.
        run(make_runner(4), lambda seat: work(seat, 0, 1))
    assert sizes == [4, 2]
    assert threads._running.count == 0


@together
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_has_threads_of_its_own(allow):
    """It knows nothing of runs that its parent's other threads are in."""
    allow(2)
    meet_all(ALONE, 1)
    inside, done = threading.Event(), threading.Event()

    def work(seat):
        inside.set()
        assert done.wait(60)

    thread = threading.Thread(target=lambda: run(make_runner(2), work))
    thread.start()
    assert inside.wait(30)
    try:
        status = exit_status_of_child()
    finally:
        done.set()
        thread.join(30)
    assert status == 0


@together
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_waits_for_no_lock_of_its_parent(allow):
    """Another thread may hold it at the moment of the fork."""
    allow(2)
    held, done = threading.Event(), threading.Event()

    def hold():
        with threads._running._lock:
            held.set()
            assert done.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(30)
    # The parent may wait for the lock before it forks.
    threading.Timer(1, done.set).start()
    assert exit_status_of_child() == 0
    thread.join(30)


def exit_status_of_child():
    """0 if a run of two threads has two threads there."""
    pid = os.fork()
    if pid == 0:
        import signal

        signal.alarm(30)  # ends a child that hangs
        os._exit(0 if size_of(make_runner(2)) == 2 else 1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


FIT_IN_CHILD = """
import os, signal
import numpy as np
from skmlp import MLPRegressor
from skmlp.machine import threads
threads.n_threads = lambda: 2
X = np.random.default_rng(0).standard_normal((1500, 60))
params = dict(hidden_layer_sizes=(90, 80), max_iter=2, batch_size=500, random_state=0)
make = lambda: MLPRegressor(**params)
expected = make().fit(X, X[:, 0]).predict(X).tobytes()
pid = os.fork()
if pid == 0:
    signal.alarm(100)
    os._exit(0 if make().fit(X, X[:, 0]).predict(X).tobytes() == expected else 1)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


@together
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_fit_in_a_child():
    assert output_of(FIT_IN_CHILD).strip() == "0"


def output_of(code, **environment):
    """What another process prints, which must not fail."""
    folder = str(Path(skmlp.__file__).parent.parent)
    path = os.pathsep.join([folder, os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


N_ROWS, N_FEATURES = 2500, 70
BLOCKS = {"batch_size": 2300}  # minibatches of several blocks, the last one short
BIG = {"hidden_layer_sizes": (90, 80), "batch_size": 600}
CASES = {
    "plain": {},
    "blocks": BLOCKS,
    "one layer": {"hidden_layer_sizes": (200,), "batch_size": 1000},
    "no hidden layer": {"hidden_layer_sizes": (), **BLOCKS},
    "wide": {"hidden_layer_sizes": (600, 40), "batch_size": 300},
    "mixed": {"hidden_layer_sizes": (120, 7, 110), "batch_size": 1001},
    "layer": {"normalization": "layer", **BLOCKS},
    "batch": {"normalization": "batch"},
    "dropout": {"dropout": 0.3, **BLOCKS},
    "gated": {"activation": "swiglu", "normalization": "layer"},
    "tanh": {"activation": "tanh", "clip_norm": 0.05, "max_norm": 1.0},
    "average": {"ema_decay": 0.9, "weight_decay": 0.1, "solver": "adamw"},
    "l1": {"l1_ratio": 0.5, "alpha": 0.1, "clip_value": 0.01},
    "nadam": {"solver": "nadam", "alpha": 0.5, **BLOCKS},
    "schedule_free": {"solver": "schedule_free", "weight_decay": 0.1, "alpha": 0.1},
    "sgd": {"solver": "sgd", "early_stopping": True},
    "lbfgs": {"solver": "lbfgs", "max_iter": 3},
    "everything": {
        "solver": "schedule_free",
        "activation": "swiglu",
        "normalization": ["layer", None],
        "dropout": [0.2, 0.1],
        "clip_norm": 0.1,
        "max_norm": 2.0,
        "weight_decay": 0.1,
        "weighted": True,
        **BLOCKS,
    },
    "weights": {"weighted": True, **BLOCKS},
}


def make_rows(kind, dtype, as_csr):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((N_ROWS, N_FEATURES)).astype(dtype)
    y = X[:, 0] * X[:, 1] + 0.1 * rng.standard_normal(N_ROWS)
    if kind is MLPClassifier:
        y = np.digitize(y, [-0.5, 0.5])
    if as_csr:
        X[rng.random(X.shape) < 0.8] = 0
        X = sparse.csr_array(X)
    return X, y


def numbers_of_fit(kind, dtype, as_csr, weighted=False, **params):
    """All bits of a fit and of its predictions."""
    X, y = make_rows(kind, dtype, as_csr)
    model = kind(**{**BIG, "max_iter": 2, "random_state": 0, **params})
    weight = np.random.default_rng(1).random(N_ROWS) if weighted else None
    model.fit(X, y, sample_weight=weight)
    predict = model.predict_proba if kind is MLPClassifier else model.predict
    loss = getattr(model, "loss_curve_", [model.loss_])
    arrays = [*model.coefs_, *model.intercepts_, np.array(loss), predict(X)]
    assert model.coefs_[0].dtype == dtype
    return [array.tobytes() for array in arrays]


def assert_same_for_all_numbers_of_threads(allow, sizes, *arguments, **params):
    seen = set()
    original = threads.make_seats

    def make_seats(size, limits):
        seen.add(size)
        return original(size, limits)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threads, "make_seats", make_seats)
        results = []
        for n in sizes:
            allow(n)
            fit = partial(numbers_of_fit, *arguments, **params)
            results.append(within(TIMEOUT, fit))
    assert seen or params.get("hidden_layer_sizes") == (), "too small"
    for result in results[1:]:
        assert result == results[0]


@together
@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("as_csr", [False, True], ids=["dense", "csr"])
@pytest.mark.parametrize("case", ["plain", "blocks"])
def test_threads_change_no_bit(allow, kind, dtype, as_csr, case):
    arguments = kind, dtype, as_csr
    sizes = 1, 2, 3, 8
    assert_same_for_all_numbers_of_threads(allow, sizes, *arguments, **CASES[case])


@pytest.fixture(params=[False, True], ids=["shared", "replicas"])
def parameters_of_threads(request, monkeypatch):
    force_replicas(monkeypatch, request.param)


@together
@pytest.mark.usefixtures("parameters_of_threads")
@pytest.mark.parametrize("as_csr", [False, True], ids=["dense", "csr"])
@pytest.mark.parametrize("case", sorted(CASES.keys() - {"plain", "blocks"}))
def test_threads_change_no_bit_of_any_kind_of_fit(allow, as_csr, case):
    i = sorted(CASES).index(case)
    kind = (MLPClassifier, MLPRegressor)[i % 2]
    dtype = (np.float32, np.float64)[(i // 2 + as_csr) % 2]
    assert_same_for_all_numbers_of_threads(
        allow, (1, 3, 8), kind, dtype, as_csr, **CASES[case]
    )


@together
def test_threads_that_stay_see_new_arrays(allow):
    """Augmented rows are other ones in each epoch."""
    augmented = {"augmentation": GaussianNoise(0.1), "max_iter": 4}
    for kind in MLPClassifier, MLPRegressor:
        sizes = 1, 3
        assert_same_for_all_numbers_of_threads(
            allow, sizes, kind, np.float32, False, **augmented
        )


@together
@pytest.mark.usefixtures("parameters_of_threads")
@pytest.mark.parametrize("case", ["blocks", "lbfgs", "schedule_free"])
def test_bits_do_not_depend_on_a_change_within_a_fit(monkeypatch, case):
    """As when other fits begin and end; parameters move between runs, too."""
    params = {**CASES[case], "max_iter": 12}
    fit = partial(numbers_of_fit, MLPRegressor, np.float64, False, **params)
    monkeypatch.setattr(threads, "n_threads", lambda: 1)
    expected = fit()
    numbers = itertools.cycle([8, 8, 8, 1, 3, 3, 2])
    monkeypatch.setattr(threads, "n_threads", lambda: next(numbers))
    monkeypatch.setattr(threads, "perf_counter", itertools.count().__next__)
    assert within(TIMEOUT, fit) == expected


@together
@pytest.mark.usefixtures("parameters_of_threads")
@pytest.mark.parametrize("case", ["plain", "everything"])
def test_bits_do_not_depend_on_the_pace(allow, monkeypatch, case):
    """A clock at random, so that numbers of threads and lengths of runs are too."""
    allow(1)
    expected = numbers_of_fit(MLPClassifier, np.float32, False, **CASES[case])
    monkeypatch.setattr(threads.Pace, "choose", CHOOSE)
    monkeypatch.setattr(threads, "_pace_of", lru_cache(threads.Pace))
    allow(4)
    seen, rng, now = set(), np.random.default_rng(0), [0.0]

    def clock():
        now[0] += rng.exponential(0.05)
        return now[0]

    def make_seats(size, limits):
        seen.add(size)
        return original(size, limits)

    original = threads.make_seats
    monkeypatch.setattr(threads, "make_seats", make_seats)
    monkeypatch.setattr(pace, "perf_counter", clock)
    monkeypatch.setattr(threads, "perf_counter", clock)
    for _ in range(3):
        actual = within(
            TIMEOUT,
            lambda: numbers_of_fit(MLPClassifier, np.float32, False, **CASES[case]),
        )
        assert actual == expected
    assert len(seen) > 1


@together
@pytest.mark.usefixtures("parameters_of_threads")
@pytest.mark.parametrize("case", ["blocks", "average", "schedule_free", "everything"])
@pytest.mark.parametrize("stall", [-1, 1e-6])
@pytest.mark.parametrize("n_threads", [2, 5])
def test_bits_do_not_depend_on_runs_that_end_early(
    allow, monkeypatch, case, stall, n_threads
):
    """After each block, or after those in which threads have waited at all."""
    allow(1)
    fit = partial(numbers_of_fit, MLPClassifier, np.float64, False, **CASES[case])
    expected = fit()
    allow(n_threads)
    monkeypatch.setattr(threads, "_STALL_SECONDS", stall)
    monkeypatch.setattr(threads.Pace, "choose", lambda self, most: (most, 1000))
    measured = []
    monkeypatch.setattr(
        threads.Pace, "measured", lambda self, *run, is_first: measured.append(run)
    )
    assert within(TIMEOUT, fit) == expected
    if stall < 0:
        n_blocks = [n for size, n, _ in measured if size > 1]
        assert n_blocks.count(1) >= 6  # others go on in the next epoch, or predict


@together
@pytest.mark.parametrize(("slow", "stall", "expected"), [(3, 0.02, 5), (3, 1e9, 50)])
def test_a_run_ends_early_where_threads_have_waited(slow, stall, expected):
    """Behind the piece after the slow one, for all threads."""
    seats, board = make_seats(2, PATIENT._replace(stall=stall))
    with ThreadPoolExecutor(2) as pool:
        results = [pool.submit(work_through, seat, 50, slow) for seat in seats]
        assert [result.result(60) for result in results] == [expected] * 2
    dismiss(board)


class Lost:
    """The place of ``entry_point``: at the n-th run a helper does nothing, and is lost
    after so many meetings; it comes back later, and writes to all that it knows."""

    def __init__(self, n, n_meetings):
        self.n, self.n_meetings, self.is_over = n, n_meetings, threading.Event()
        self.n_lost, self._calls = 0, itertools.count()

    def __call__(self, kernel, dtype, arguments):
        compiled = jit.entry_point(kernel, dtype, arguments)

        def call(*arguments):
            *own, seat = arguments
            if seat.number != 1 or next(self._calls) != self.n:
                return compiled(*own, seat)
            meet_all(seat, self.n_meetings)
            self.n_lost += 1
            assert self.is_over.wait(60)
            known = own[5:6] if kernel is predict_blocks else itertools.chain(*own[1:3])
            for array in known:
                if isinstance(array, np.ndarray) and array.flags.writeable:
                    array[:] = 77
            return 0

        return call


@together
@pytest.mark.parametrize("case", ["blocks", "average", "lbfgs", "everything"])
@pytest.mark.parametrize("n", [0, 2])
@pytest.mark.parametrize(
    ("replicas", "n_meetings"), [(True, 0), *((False, k) for k in range(4))]
)
def test_bits_do_not_depend_on_a_lost_thread(
    allow, monkeypatch, case, n, replicas, n_meetings
):
    """In the middle of a step, too. Whatever it may write to is no longer in use."""
    force_replicas(monkeypatch, replicas)
    allow(1)
    params = {**CASES[case], "max_iter": 4}
    fit = partial(numbers_of_fit, MLPRegressor, np.float64, False, **params)
    expected = fit()
    allow(3)
    monkeypatch.setattr(threads, "_LOST_SECONDS", 0.2)
    monkeypatch.setattr(threads, "_LEAVING_SECONDS", 0)
    lost = Lost(n, n_meetings)
    monkeypatch.setattr(loop, "entry_point", lost)
    monkeypatch.setattr(threads._Crew, "has_left", True)  # a new one for each run
    original = loop.Epochs.run

    def run(epochs, *arguments, **options):
        was_lost = epochs.threads.is_lost
        loss = original(epochs, *arguments, **options)
        if epochs.threads.is_lost and not was_lost:
            lost.is_over.set()
            time.sleep(0.02)
        return loss

    monkeypatch.setattr(loop.Epochs, "run", run)
    actual = within(TIMEOUT, fit)
    assert lost.n_lost == 1
    assert actual == expected


@together
@pytest.mark.parametrize("n_meetings", [0, 1])
def test_predictions_do_not_depend_on_a_lost_thread(allow, monkeypatch, n_meetings):
    allow(1)
    problem = make_problem((20, 60, 3), n_rows=4000)
    predict = partial(inference.predict, problem.architecture, problem.params)
    expected = predict(problem.data)
    allow(3)
    monkeypatch.setattr(threads, "_FLOPS_FOR_A_THREAD", 1)
    monkeypatch.setattr(threads, "_LOST_SECONDS", 0.2)
    monkeypatch.setattr(threads, "_LEAVING_SECONDS", 0)
    lost = Lost(1, n_meetings)
    monkeypatch.setattr(inference, "entry_point", lost)
    actual = within(TIMEOUT, lambda: predict(problem.data))
    lost.is_over.set()
    time.sleep(0.02)
    assert lost.n_lost == 1
    np.testing.assert_array_equal(actual, expected)


@together
@needs_cores
def test_when_a_run_has_ended_nobody_reads_its_numbers(allow, monkeypatch):
    """On one core a thread goes on when the first one, whose chunk is the larger, waits
    for the next run, with another rate."""
    allow(2)
    force_replicas(monkeypatch, True)
    monkeypatch.setattr(threads.Pace, "choose", lambda self, most: (most, 1000))
    monkeypatch.setattr(blocks, "training_chunk_size", lambda *arguments: 100)
    problem = make_problem((100, 900, 1), n_rows=220, loss="squared_error")
    rows, hyper = np.arange(220), np.array([0.9, 0.0])
    moments = np.zeros((1, problem.params.size))
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        with epochs_of(problem, 110, "sgd", n_epochs=1000) as epochs:
            for k in range(20):
                epochs.run(rows, 1e-4 * (1 + k % 2), moments, hyper)
    finally:
        os.sched_setaffinity(0, cores)
    replica = epochs._arguments[1][1]
    assert replica.moments.tobytes() == moments.tobytes()


@together
@pytest.mark.parametrize("case", ["plain", "everything"])
def test_fits_at_once_are_those_alone(allow, case):
    allow(4)
    params = {**CASES[case], "max_iter": 3}

    def fit(seed):
        dtype = (np.float32, np.float64)[seed % 2]
        kind = (MLPClassifier, MLPRegressor)[seed // 2]
        return numbers_of_fit(kind, dtype, False, **{**params, "random_state": seed})

    expected = [fit(seed) for seed in range(4)]

    def fit_at_once():
        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(fit, range(4)))

    assert within(TIMEOUT, fit_at_once) == expected
    assert threads._running.count == 0


@together
@pytest.mark.parametrize("n", [1, 3])
def test_interrupt_before_the_kernel(allow, monkeypatch, n):
    """In the calling thread only, as Python does; the fit keeps what it has."""
    allow(n)
    original, calls = loop.run_blocks, itertools.count()

    def run_blocks(*arguments):
        if arguments[6].number == 0 and next(calls) == 3:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(loop, "run_blocks", run_blocks)
    X, y = make_rows(MLPRegressor, np.float64, False)
    model = MLPRegressor(**BIG, max_iter=50, random_state=0)

    def fit():
        with pytest.warns(UserWarning, match="Training interrupted by user"):
            model.fit(X, y)

    within(TIMEOUT, fit)
    assert all(np.isfinite(W).all() for W in model.coefs_)
    assert threads._running.count == 0


def call_together(function, n):
    """Call ``function()`` in so many threads; what it returns in each."""
    results = []
    within(20, lambda: threads.run_together(lambda seat: results.append(function()), n))
    wait_until(lambda: len(results) == n)
    return results


@needs_cores
@pytest.mark.parametrize("n", [2, 3])
def test_threads_on_one_core_move_apart(monkeypatch, n):
    """As if all were on the first core: each is kept off what others have taken."""
    cores = sorted(os.sched_getaffinity(0))
    core_of, calls = {}, []

    def move(pid, mask):
        thread = threading.get_ident()
        calls.append((thread, frozenset(mask)))
        if not mask:
            raise OSError
        if core_of.get(thread, cores[0]) not in mask:
            core_of[thread] = min(mask)

    def current():
        return core_of.get(threading.get_ident(), cores[0])

    monkeypatch.setattr(threads, "_current_core", current)
    monkeypatch.setattr(os, "sched_setaffinity", move)
    call_together(lambda: wait_until(lambda: len(dict(calls)) == n - 1), n)
    by_thread = {thread: [] for thread, _ in calls}
    for thread, mask in calls:
        by_thread[thread].append(mask)
    assert len(by_thread) == n - 1  # the first one stays
    narrowed = sorted((masks[0] for masks in by_thread.values()), key=len)
    for i, mask in enumerate(reversed(narrowed), start=1):
        assert mask == set(cores[min(i, len(cores)) :])
    assert all(masks[1] == set(cores) for masks in by_thread.values())


@needs_cores
@pytest.mark.parametrize("permitted", [True, False])
def test_threads_may_run_everywhere_after_they_moved(monkeypatch, permitted):
    before = os.sched_getaffinity(0)
    monkeypatch.setattr(threads, "_current_core", lambda: min(before))
    if not permitted:

        def refuse(pid, mask):
            raise PermissionError

        monkeypatch.setattr(os, "sched_setaffinity", refuse)
    n_come, all_come = itertools.count(1), threading.Event()

    def affinity():
        if next(n_come) == 3:
            all_come.set()
        assert all_come.wait(20)
        return os.sched_getaffinity(0)

    assert call_together(affinity, 3) == [before] * 3


@together
def test_systems_that_do_not_tell_where_threads_run(monkeypatch):
    monkeypatch.setattr(threads, "_current_core", None)
    work = partial(threads.run_together, lambda seat: meet_all(seat, 1), 3)
    assert within(20, work) == (0, 3, 1)


@together
def test_runs_of_the_same_work_share_what_is_known_of_its_pace(allow, monkeypatch):
    """A second fit knows from the first that two threads are slower than one."""
    monkeypatch.setattr(threads.Pace, "choose", CHOOSE)
    allow(2)
    sizes = []

    def work(seat, first, last):
        if seat.number == 0:
            sizes.append(seat.size)
            time.sleep((last - first) * (1e-4 if seat.size == 1 else 3e-4))
        return last

    def first_size(block_flops, n_blocks):
        sizes.clear()
        first = 0
        with make_runner(2, block_flops) as runner:
            while first < n_blocks:
                first = runner.run(work, first, n_blocks)
        return sizes[0]

    assert first_size(1e8, 2000) == 2
    assert first_size(1e8, 100) == 1
    assert first_size(2e8, 100) == 2


@pytest.mark.parametrize(("n_seconds", "n_measured"), [(0.0, 1), (1e-3, 20)])
def test_short_runs_are_measured_together(monkeypatch, n_seconds, n_measured):
    """All of their blocks, the last ones at the end of the context."""
    clock, measured = [0.0], []
    monkeypatch.setattr(threads, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(threads.Pace, "choose", lambda self, most: (1, 1000))
    monkeypatch.setattr(
        threads.Pace,
        "measured",
        lambda self, *run, is_first=False: measured.append(run),
    )

    def work(seat, first, last):
        clock[0] += n_seconds
        return last

    with make_runner(1) as runner:
        for _ in range(20):
            assert runner.run(work, 0, 5) == 5
    assert len(measured) == n_measured
    sizes, n_blocks, seconds = zip(*measured)
    assert set(sizes) == {1}
    assert sum(n_blocks) == 100
    assert sum(seconds) == pytest.approx(20 * n_seconds)
