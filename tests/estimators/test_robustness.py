"""Ctrl-C, threads, forks, processes, memory."""

import hashlib
import itertools
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from endurance import times
from problems import make_estimator, make_problem
from processes import run_python
from sklearn.model_selection import cross_val_score
from threadpoolctl import threadpool_limits

from skmlp.machine import pace, threads
from skmlp.training import inference, loop

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
SOLVERS = "adam", "sgd", "lbfgs"


def flat(estimator):
    arrays = [*estimator.coefs_, *estimator.intercepts_]
    return np.concatenate([array.ravel() for array in arrays])


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("task", ["binary", "regression"])
def test_keyboard_interrupt_keeps_the_estimator(
    task, early_stopping, solver, monkeypatch
):
    """Like scikit-learn: a warning, and the weights reached so far."""

    def run_blocks(*args):
        nonlocal n_runs
        n_runs += 1
        if n_runs == 12:
            raise KeyboardInterrupt
        return original(*args)

    n_runs, original = 0, loop.run_blocks
    monkeypatch.setattr(loop, "run_blocks", run_blocks)
    X, y = make_problem(task)
    params = {"solver": solver, "early_stopping": early_stopping, "max_iter": 100}
    model = make_estimator(task, **params)
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        assert model.fit(X, y) is model
    assert 1 <= model.n_iter_ <= 11
    assert len(model.loss_curve_) == model.n_iter_
    assert np.isfinite(flat(model)).all()
    assert len(model.predict(X)) == len(y)
    n_runs = 100
    model.set_params(max_iter=5).fit(X, y)
    params["max_iter"] = 5
    np.testing.assert_array_equal(
        flat(model), flat(make_estimator(task, **params).fit(X, y))
    )


def test_long_work_is_cut_into_runs(monkeypatch):
    """What answers Ctrl-C: no kernel is handed an epoch, a batch or a matrix whole."""
    n_blocks, n_rows = [], []

    def run_blocks(*args):
        first, last, _ = args[5].span
        n_blocks.append(last - first)
        return train(*args)

    def predict_blocks(*args):
        rows, _, run, _ = args[4:]
        first, last = (k * run.block_size for k in (run.first, run.last))
        n_rows.append(min(last, rows.size) - first)
        return predict(*args)

    train, predict = loop.run_blocks, inference.predict_blocks
    monkeypatch.setattr(loop, "run_blocks", run_blocks)
    monkeypatch.setattr(inference, "predict_blocks", predict_blocks)
    monkeypatch.setattr(threads, "perf_counter", itertools.count(0, 0.1).__next__)
    X, y = make_problem("regression", n_rows=5000)
    params = {"hidden_layer_sizes": (100,), "max_iter": 2}
    huge_batch = make_estimator("regression", batch_size=5000, **params)
    huge_batch.fit(X, y)
    assert n_blocks == [5, 1, 1, 1, 1, 1]  # the first is short by its own estimate
    n_blocks.clear()
    make_estimator("regression", batch_size=10, **params).fit(X, y)
    assert set(n_blocks[10:]) == {1}
    monkeypatch.setattr(pace, "RUN_SECONDS", 1e-4)
    huge_batch.predict(X)
    assert sum(n_rows) == 5000
    assert max(n_rows) <= 1000


SIGINT = """
import os, signal, threading, warnings
import numpy as np
from problems import make_estimator, make_problem
from processes import run_python
signal.signal(signal.SIGINT, signal.default_int_handler)  # a parent may ignore it
X, y = make_problem("regression", n_rows=20000, n_features=100)
params = dict(solver="{solver}", hidden_layer_sizes=(512, 512), max_iter=100000,
    tol=0, n_iter_no_change=np.inf, batch_size={batch_size})
make_estimator("regression", solver=params["solver"], max_iter=1).fit(X[:50], y[:50])
threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    reg = make_estimator("regression", **params).fit(X, y)
assert any("interrupted by user" in str(w.message) for w in caught)
assert np.isfinite(reg.predict(X)).all()
assert threading.active_count() == 1, threading.enumerate()
reg.set_params(max_iter=1, hidden_layer_sizes=(5,)).fit(X[:50], y[:50])
print("usable")
"""


@pytest.mark.parametrize(
    ("solver", "batch_size"), [("adam", 200), ("adam", 20000), ("lbfgs", 200)]
)
def test_signal_ends_training(solver, batch_size):
    code = SIGINT.format(solver=solver, batch_size=batch_size)
    assert run_python(code) == "usable"


@pytest.fixture
def threaded_blas():
    """Products large enough are shared between two threads, as outside of tests."""
    with threadpool_limits(2, "blas"):
        yield


@pytest.mark.parametrize("solver", SOLVERS)
def test_concurrent_fits_equal_serial_ones(solver, threaded_blas):
    X, y = make_problem("multiclass", n_rows=300)

    def fit(seed):
        params = {"solver": solver, "max_iter": 4, "hidden_layer_sizes": (200, 200)}
        return flat(make_estimator("multiclass", random_state=seed, **params).fit(X, y))

    serial = [fit(seed) for seed in range(16)]
    with ThreadPoolExecutor(16) as pool:
        for ours, expected in zip(pool.map(fit, range(16)), serial):
            np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize("csr", [False, True])
def test_concurrent_predictions(csr, threaded_blas):
    X, y = make_problem("multiclass", n_rows=300, csr=csr)
    clf = make_estimator("multiclass", hidden_layer_sizes=(200, 200), max_iter=4)
    clf.fit(X, y)
    expected = clf.predict_proba(X)
    before = set(threading.enumerate())
    with ThreadPoolExecutor(20) as pool:
        for y_prob in pool.map(lambda _: clf.predict_proba(X), range(200)):
            np.testing.assert_array_equal(y_prob, expected)
    assert set(threading.enumerate()) <= before


FORK_AFTER_FIT = """
import os
from problems import make_estimator, make_problem
from processes import run_python
X, y = make_problem("binary", n_rows=500)
clf = make_estimator("binary", hidden_layer_sizes=(200, 200)).fit(X, y)
expected = clf.predict_proba(X).tobytes()
children = []
for _ in range(5):
    pid = os.fork()
    if pid == 0:
        same = clf.predict_proba(X).tobytes() == expected
        again = make_estimator("binary", hidden_layer_sizes=(200, 200)).fit(X, y)
        same = same and again.predict_proba(X).tobytes() == expected
        os._exit(0 if same else 1)
    children.append(pid)
print([os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children])
"""
FORK_WHILE_COMPILING = """
import os, signal, threading, time
from problems import make_estimator, make_problem
from processes import run_python
X, y = make_problem("binary")
thread = threading.Thread(target=lambda: make_estimator("binary").fit(X, y))
thread.start()
statuses = []
for _ in range(2):
    time.sleep(0.3)
    pid = os.fork()
    if pid == 0:
        signal.alarm(100)  # ends a child that hangs
        make_estimator("binary", max_iter=1).fit(X, y)
        os._exit(0)
    statuses.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
thread.join()
print(statuses)
"""
needs_fork = pytest.mark.skipif(
    not hasattr(os, "fork"), reason="the system has no fork"
)


FORK_IN_MID_FIT = """
import os, signal, sys, threading, time
from problems import make_estimator, make_problem
X, y = make_problem("binary", n_rows=2000)
params = {"hidden_layer_sizes": (200, 200)}
expected = make_estimator("binary", **params).fit(X, y).predict_proba(X).tobytes()
stop, wrong = False, []
def fit_on():
    while not stop:
        fit = make_estimator("binary", **params).fit(X, y)
        wrong.extend([1] * (fit.predict_proba(X).tobytes() != expected))
threads = [threading.Thread(target=fit_on) for _ in range(2)]
for thread in threads:
    thread.start()
statuses = set()
for i in range(int(sys.argv[1])):
    time.sleep(0.013 * (i % 7))
    pid = os.fork()
    if pid == 0:
        signal.alarm(100)  # ends a child that hangs
        fit = make_estimator("binary", **params).fit(X, y)
        os._exit(0 if fit.predict_proba(X).tobytes() == expected else 1)
    statuses.add(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
stop = True
for thread in threads:
    thread.join()
print(statuses, wrong)
"""
EXIT_IN_MID_FIT = """
import sys, threading, time
from problems import make_estimator, make_problem
X, y = make_problem("binary", n_rows=int(sys.argv[2]))
def fit():
    while True:
        make_estimator("binary", hidden_layer_sizes=(200, 200)).fit(X, y)
if sys.argv[3] == "warm":
    make_estimator("binary", hidden_layer_sizes=(200, 200), max_iter=1).fit(X, y)
threading.Thread(target=fit, daemon=True).start()
time.sleep(float(sys.argv[1]))
print("ends")
"""


@needs_fork
def test_fork_in_mid_fit():
    assert run_python(FORK_IN_MID_FIT, str(times(5, 200))) == "{0} []"


@pytest.mark.parametrize("n_rows", [200, 20000])
def test_exit_in_mid_fit(n_rows):
    """Of a daemon, which training must not outlive."""
    for delay in np.linspace(0.1, 0.4, times(1, 50)):
        assert run_python(EXIT_IN_MID_FIT, str(delay), str(n_rows), "warm") == "ends"


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_no_fit_is_in_numpy_s_unique_at_exit(task, monkeypatch):
    """It aborts the process then, if a daemon thread is in it (NumPy 2.3 to 2.4)."""
    X, y = make_problem(task)

    def unique(*args, **kwargs):
        raise AssertionError("np.unique is called")

    monkeypatch.setattr(np, "unique", unique)
    for options in {}, {"early_stopping": True}, {"solver": "lbfgs"}:
        if task == "regression" or not options.get("early_stopping"):
            make_estimator(task, **options).fit(X, y).predict(X)


def test_exit_while_compiling(tmp_path):
    for i, delay in enumerate(np.linspace(0.2, 4, times(1, 20))):
        folder = str(tmp_path / str(i))
        arguments = str(delay), "200", "cold"
        assert run_python(EXIT_IN_MID_FIT, *arguments, SKMLP_CACHE_DIR=folder) == "ends"


@needs_fork
def test_fork_after_fit():
    assert run_python(FORK_AFTER_FIT) == "[0, 0, 0, 0, 0]"


@needs_fork
def test_fork_while_compiling(tmp_path):
    assert run_python(FORK_WHILE_COMPILING, SKMLP_CACHE_DIR=str(tmp_path)) == "[0, 0]"


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_cross_validation_in_processes(task):
    X, y = make_problem(task, n_rows=200)
    model = make_estimator(task, max_iter=20)
    serial = cross_val_score(model, X, y, cv=3)
    parallel = cross_val_score(model, X, y, cv=3, n_jobs=2)
    np.testing.assert_array_equal(parallel, serial)


DIGEST = """
import hashlib
from problems import make_estimator, make_problem
from processes import run_python
digest = hashlib.sha256()
for task, solver in [("multiclass", "adam"), ("multiclass", "lbfgs")]:
    X, y = make_problem(task, n_rows=500)
    params = {"solver": solver, "max_iter": 30, "hidden_layer_sizes": (50, 50)}
    model = make_estimator(task, **params)
    for array in model.fit(X, y).coefs_ + model.intercepts_ + [model.predict(X)]:
        digest.update(array.tobytes())
print(digest.hexdigest())
"""


def test_bit_identical_in_other_processes(tmp_path):
    cold = run_python(DIGEST, SKMLP_CACHE_DIR=str(tmp_path))
    assert any(tmp_path.iterdir())
    warm = run_python(DIGEST, SKMLP_CACHE_DIR=str(tmp_path))
    digest = hashlib.sha256()
    for task, solver in [("multiclass", "adam"), ("multiclass", "lbfgs")]:
        X, y = make_problem(task, n_rows=500)
        params = {"solver": solver, "max_iter": 30, "hidden_layer_sizes": (50, 50)}
        model = make_estimator(task, **params).fit(X, y)
        for array in [*model.coefs_, *model.intercepts_, model.predict(X)]:
            digest.update(array.tobytes())
    assert cold == warm == digest.hexdigest()


def resident_bytes():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def fit_well(X, y):
    return make_estimator("regression", hidden_layer_sizes=(100,)).fit(X, y)


def fit_into_the_gate(X, y):
    X = X.copy()
    X[-1, -1] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        fit_well(X, y)


def fit_until_divergence(X, y):
    params = {"solver": "sgd", "learning_rate_init": 1e9, "activation": "identity"}
    with pytest.raises(ValueError, match="non-finite"), np.errstate(all="ignore"):
        make_estimator("regression", max_iter=100, **params).fit(X, y)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("fit", [fit_well, fit_into_the_gate, fit_until_divergence])
def test_memory_does_not_grow(fit):
    X, y = make_problem("regression", n_rows=400, n_features=50)
    for _ in range(20):
        fit(X, y)
    before = resident_bytes()
    for _ in range(times(200, 1000)):
        fit(X, y)
    assert resident_bytes() - before < 5e6
