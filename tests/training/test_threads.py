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
from builders import as_kernel, epochs_of, force_replicas, make_problem
from joblib import cpu_count
from scipy import sparse
from threadpoolctl import threadpool_limits

import skmlp
from skmlp import MLPClassifier, MLPRegressor
from skmlp.augmentation import GaussianNoise
from skmlp.core.jit import DISABLED
from skmlp.core.team import ALONE, Team, begin, dismiss, make_teams, share, wait
from skmlp.training import loop, pace, threads
from skmlp.training.threads import Threads, run_together

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
TIMEOUT = 240  # seconds, for what would hang
together = pytest.mark.skipif(DISABLED, reason="threads need compiled kernels")
needs_cores = pytest.mark.skipif(
    threads._current_core is None or not hasattr(os, "sched_getaffinity"),
    reason="the system does not tell where a thread runs",
)


@as_kernel
def meet_all(team, n):
    """Whether all of a team come n times."""
    together = True
    for _ in range(n):
        together = together and wait(team)
    return together


@as_kernel
def sum_in_turns(team, values, n_rounds):
    """Each round adds up all numbers, and then replaces each by the sum."""
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
    """As many threads as there may be, one block a run."""
    monkeypatch.setattr(threads.Pace, "choose", lambda self, most: (most, 1))


def make_runner(n_pieces, block_flops=1e9, n_blocks=1000, **options):
    """For work that is large enough to be shared."""
    return Threads(n_pieces, block_flops, n_blocks, **options)


def run(runner, work):
    """One run of a single block."""

    def run_in_context():
        with runner:
            runner.run(lambda team, first, last: work(team), 0, 1)

    within(20, run_in_context)


@pytest.mark.parametrize("size", [1, 2, 3, 8])
def test_parts_are_all_of_it(size):
    for n in range(40):
        parts = [range(*part_of(n, rank, size)) for rank in range(size)]
        assert list(itertools.chain(*parts)) == list(range(n))
        lengths = [len(part) for part in parts]
        assert max(lengths) - min(lengths) <= 1


def test_alone_there_is_nobody_to_wait_for():
    assert Team(0, 1, 0) == ALONE
    assert meet_all(ALONE, 3)


@together
@pytest.mark.parametrize("n", [2, 3, 8])
def test_each_thread_comes_once(n):
    teams = []

    def work(team):
        assert meet_all(team, 50)
        teams.append((team.rank, team.size, threading.get_ident()))

    for _ in range(5):
        teams.clear()
        within(20, lambda: run_together(work, n))
        assert sorted(team[0] for team in teams) == list(range(n))
        assert {team[1] for team in teams} == {n}
        assert len({team[2] for team in teams}) == n


@together
@pytest.mark.parametrize("n", [2, 3, 8])
def test_what_is_written_before_a_meeting_is_read_after_it(n):
    expected = np.arange(37)
    sum_in_turns(ALONE, expected, 200)
    values = np.arange(37)
    teams, counter = make_teams(n)

    def run():
        with ThreadPoolExecutor(n) as pool:
            list(pool.map(lambda team: sum_in_turns(team, values, 200), teams))

    within(20, run)
    np.testing.assert_array_equal(values, expected)
    assert counter[0] == 400 * n


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

    def work(team, first, last):
        seen.append((team, first, last, threading.get_ident()))

    with make_runner(5) as runner:
        assert runner.run(work, 3, 7) == 4
    assert seen == [(ALONE, 3, 4, threading.get_ident())]


@together
def test_limits_of_each_run_are_obeyed(allow, monkeypatch):
    monkeypatch.setattr(threads, "RUN_SECONDS", 0)
    sizes = []
    allow(4)
    runner = make_runner(10)
    for n, expected in (4, 4), (2, 2), (1, 1), (3, 3), (100, 4):
        allow(n)
        sizes.clear()
        run(runner, lambda team: sizes.append(team.size))
        assert sizes == [expected] * expected


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

    def run(n_blocks):
        with Threads(4, flops / n_blocks, n_blocks) as runner:
            work = lambda team, first, last: sizes.append(team.size)  # noqa: E731
            runner.run(work, 2, 2 + n_blocks)

    for n_blocks in 1, 5:
        within(20, partial(run, n_blocks))
        assert sizes == [expected] * expected
        sizes.clear()


@together
@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("culprit", [0, 1, 2])
@pytest.mark.parametrize("late", [False, True])
def test_an_exception_reaches_the_caller(allow, kind, culprit, late):
    """Before its thread meets the others, who do not wait for it."""
    allow(3)
    arrived = []

    def work(team):
        if team.rank == culprit:
            if late:
                time.sleep(0.1)
            raise kind("culprit")
        arrived.append(meet_all(team, 10))

    runner = make_runner(3)
    with pytest.raises(kind, match="culprit"):
        run(runner, work)
    assert arrived == [False, False]
    arrived.clear()
    culprit = None
    run(runner, work)
    assert arrived == [True] * 3
    assert threads._running.count == 0


@together
@pytest.mark.parametrize("n_started", [0, 1, 2])
def test_a_thread_that_cannot_start(monkeypatch, n_started):
    """The calling thread does the work; whoever has started does none of it."""
    start, n_calls, done = threading.Thread.start, itertools.count(), []

    def fail_later(thread):
        if thread.name == "skmlp" and next(n_calls) == n_started:
            raise RuntimeError("can't start new thread")
        start(thread)

    def work(team):
        if meet_all(team, 2):
            done.append(team)

    monkeypatch.setattr(threading.Thread, "start", fail_later)
    within(20, lambda: run_together(work, 4))
    assert done == [ALONE]


@together
def test_dismissed_threads_do_not_wait():
    teams, counter = make_teams(3)
    dismiss(counter)
    assert not within(20, lambda: meet_all(teams[1], 1))


@together
def test_runs_at_once_share_what_is_allowed(allow):
    allow(4)
    sizes, inside, done = {}, threading.Barrier(2), threading.Event()

    def first(team):
        sizes.setdefault("first", team.size)
        if team.rank == 0:
            inside.wait(30)
            assert done.wait(30)

    thread = threading.Thread(target=lambda: run(make_runner(4), first))
    thread.start()
    inside.wait(30)
    try:
        second = make_runner(4)
        assert second.most == 4
        run(second, lambda team: sizes.setdefault("2", team.size))
    finally:
        done.set()
        thread.join(30)
    run(second, lambda team: sizes.setdefault("a moment later", team.size))
    time.sleep(2 * threads._CROWD_SECONDS)
    run(second, lambda team: sizes.setdefault("later", team.size))
    assert sizes == {"first": 4, "2": 2, "a moment later": 2, "later": 4}


@together
def test_threads_end_with_their_run():
    before, during = set(threading.enumerate()), []

    def work(team):
        assert meet_all(team, 1)
        if team.rank == 0:
            during.extend(threading.enumerate())
        meet_all(team, 1)

    run_together(work, 3)
    assert len(set(during) - before) == 2
    assert set(threading.enumerate()) <= before


@as_kernel
def count_runs(team, counts):
    """As an entry kernel whose threads stay does."""
    while begin(team):
        counts[team.rank] += 1
        wait(team)
        if team.rank == 0:
            return True
    return False


def helpers():
    return {thread for thread in threading.enumerate() if thread.name == "skmlp"}


def wait_until(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "too long"
        time.sleep(0.001)


@together
@pytest.mark.parametrize("n", [2, 3])
def test_threads_that_stay(allow, n):
    """They are there for the next run, or leave if there is none for a while."""
    allow(n)
    before, seen, counts = helpers(), set(), np.zeros(n, np.int64)

    def work(team, first, last):
        return count_runs(team, counts)

    def runs():
        with make_runner(n, stay=True) as runner:
            for _ in range(200):
                runner.run(work, 0, 1)
                seen.update(helpers() - before)
            wait_until(lambda: not helpers() - before)
            runner.run(work, 0, 1)
            runner.dismiss()
            assert not helpers() - before
            runner.run(work, 0, 1)

    within(60, runs)
    assert not helpers() - before
    np.testing.assert_array_equal(counts, 202)
    assert len(seen) < 200 * (n - 1)  # if busy, some leave


@together
def test_as_many_threads_stay_as_are_allowed(allow, monkeypatch):
    monkeypatch.setattr(threads, "RUN_SECONDS", 0)
    counts = np.zeros(4, np.int64)

    def runs():
        with make_runner(4, stay=True) as runner:
            for n in 4, 2, 1, 3:
                allow(n)
                runner.run(lambda team, first, last: count_runs(team, counts), 0, 1)

    allow(4)
    within(60, runs)
    np.testing.assert_array_equal(counts, [4, 3, 2, 1])


@together
def test_nobody_waits_for_ever_for_a_run():
    teams, _counter = make_teams(2)
    counts = np.zeros(2, np.int64)
    assert not within(20, lambda: count_runs(teams[1], counts))
    assert not within(20, lambda: count_runs(teams[0], counts))
    assert not counts.any()


@together
def test_an_exception_in_a_thread_that_stays(allow):
    allow(2)
    counts, fails = np.zeros(2, np.int64), True

    def work(team, first, last):
        if team.rank == 1 and fails:
            raise MemoryError("culprit")
        return count_runs(team, counts)

    runner = make_runner(2, stay=True)
    with pytest.raises(MemoryError, match="culprit"), runner:
        within(20, lambda: runner.run(work, 0, 1))
    fails = False
    with runner:
        within(20, lambda: runner.run(work, 0, 1))
    np.testing.assert_array_equal(counts, 1)


@together
def test_only_one_thread_outside_of_the_context(allow):
    allow(4)
    sizes = []
    runner = make_runner(4)
    runner.run(lambda team, first, last: sizes.append(team.size), 0, 1)
    assert sizes == [1]


@together
def test_what_runs_within_another_counts_once(allow):
    """As predictions for early stopping do within a fit."""
    allow(4)
    sizes = []
    with make_runner(4):
        with make_runner(4) as inner:
            inner.run(lambda team, first, last: sizes.append(team.size), 0, 1)
        run(make_runner(4), lambda team: sizes.append(team.size))
    assert sizes == [4] * 4 + [2] * 2  # `run` is in another thread
    assert threads._running.count == 0


@together
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_has_threads_of_its_own(allow):
    """It knows nothing of runs that its parent's other threads are in."""
    allow(2)
    meet_all(ALONE, 1)
    inside, done = threading.Event(), threading.Event()

    def work(team):
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
        sizes = []
        run(make_runner(2), lambda team: sizes.append(team.size))
        os._exit(0 if sizes == [2, 2] else 1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


FIT_IN_CHILD = """
import os, signal
import numpy as np
from skmlp import MLPRegressor
from skmlp.training import threads
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
    folder = str(Path(skmlp.__file__).parent.parent)
    path = os.pathsep.join([folder, os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FIT_IN_CHILD],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "0"


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
    original = threads.make_teams

    def make_teams(size):
        seen.add(size)
        return original(size)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threads, "make_teams", make_teams)
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

    def make_teams(size):
        seen.add(size)
        return original(size)

    original = threads.make_teams
    monkeypatch.setattr(threads, "make_teams", make_teams)
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
@needs_cores
def test_when_a_run_has_ended_nobody_reads_its_numbers(allow, monkeypatch):
    """On one core a thread goes on when the first one, whose chunk is the larger, waits
    for the next run, with another rate."""
    allow(2)
    force_replicas(monkeypatch, True)
    monkeypatch.setattr(threads.Pace, "choose", lambda self, most: (most, 1000))
    monkeypatch.setattr(loop, "training_chunk_size", lambda *arguments: 100)
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
        if arguments[6].rank == 0 and next(calls) == 3:
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


@needs_cores
@pytest.mark.parametrize("n", [2, 3])
def test_threads_on_one_core_move_apart(monkeypatch, n):
    """As if all were on the first core: each is kept off what others have taken."""
    cores = sorted(os.sched_getaffinity(0))
    core_of, calls = {}, []

    def move(pid, mask):
        thread = threading.get_ident()
        calls.append((thread, set(mask)))
        if not mask:
            raise OSError
        if core_of.get(thread, cores[0]) not in mask:
            core_of[thread] = min(mask)

    def current():
        return core_of.get(threading.get_ident(), cores[0])

    monkeypatch.setattr(threads, "_current_core", current)
    monkeypatch.setattr(os, "sched_setaffinity", move)
    within(20, lambda: run_together(lambda team: None, n))
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
    before, after = os.sched_getaffinity(0), []
    monkeypatch.setattr(threads, "_current_core", lambda: min(before))
    if not permitted:

        def refuse(pid, mask):
            raise PermissionError

        monkeypatch.setattr(os, "sched_setaffinity", refuse)
    work = partial(run_together, lambda team: after.append(os.sched_getaffinity(0)), 3)
    within(20, work)
    assert after == [before] * 3


def test_systems_that_do_not_tell_where_threads_run(monkeypatch):
    monkeypatch.setattr(threads, "_current_core", None)
    ranks = []
    within(20, lambda: run_together(lambda team: ranks.append(team.rank), 3))
    assert sorted(ranks) == [0, 1, 2]


@together
def test_runs_of_the_same_work_share_what_is_known_of_its_pace(allow, monkeypatch):
    """A second fit knows from the first that two threads are slower than one."""
    monkeypatch.setattr(threads.Pace, "choose", CHOOSE)
    allow(2)
    sizes = []

    def work(team, first, last):
        if team.rank == 0:
            sizes.append(team.size)
        time.sleep((last - first) * (1e-4 if team.size == 1 else 3e-4))

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

    def work(team, first, last):
        clock[0] += n_seconds

    with make_runner(1) as runner:
        for _ in range(20):
            assert runner.run(work, 0, 5) == 5
    assert len(measured) == n_measured
    sizes, n_blocks, seconds = zip(*measured)
    assert set(sizes) == {1}
    assert sum(n_blocks) == 100
    assert sum(seconds) == pytest.approx(20 * n_seconds)
