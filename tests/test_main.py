"""``python -m skmlp``."""

import os
import subprocess
import sys

import pytest

import skmlp
from skmlp.machine.jit import DISABLED

needs_jit = pytest.mark.skipif(DISABLED, reason="nothing is compiled")

COUNT_COMPILATIONS = """
import numpy as np
from numba.core import event

listener = event.RecordingListener()
event.register("numba:compile", listener)
from skmlp import MLPClassifier, MLPRegressor
from skmlp import TabularMLPClassifier, TabularMLPRegressor

X = np.random.default_rng(0).normal(size=(60, 3)).astype("float32")
for activation, solver in [("tanh", "sgd"), ("relu", "adam")]:
    model = MLPClassifier(4, activation, solver=solver, max_iter=2, tol=0)
    model.partial_fit(X, X[:, 0] > 0, classes=[False, True]).predict_proba(X)
model.partial_fit(X, X[:, 1] > 0)
MLPRegressor("poisson", n_iter_no_change=1, tol=9).fit(X, abs(X)).predict(X)
X = np.random.default_rng(0).normal(size=(200, 60)).astype("float32")
large = MLPRegressor(hidden_layer_sizes=(90, 80), max_iter=1, tol=0)
large.fit(X, X[:, 0]).predict(X)  # its products are large
TabularMLPClassifier(n_steps=9).fit(X, X[:, 0] > 0).predict(X)
TabularMLPClassifier(n_steps=9).fit(X, np.digitize(X[:, 0], [-1, 1])).predict(X)
TabularMLPRegressor(n_steps=9, max_time=99.0).fit(X, X[:, 0]).predict(X)
print(len(listener.buffer))
"""

COMPILE_ONE_KERNEL = """
import sys
import numpy as np
from skmlp import __main__ as command
from skmlp.core.losses import link_address

command.warm_up = lambda dtype: link_address("identity", np.dtype(dtype))
sys.exit(command.main(["warmup", "--dtype", "float32"]))
"""


def run(*arguments, **environment):
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )


@needs_jit
def test_after_warmup_nothing_is_compiled(tmp_path):
    first = run(
        *("-m", "skmlp", "warmup", "--dtype", "float32"), SKMLP_CACHE_DIR=str(tmp_path)
    )
    assert first.returncode == 0, first.stderr
    assert f"saved in {tmp_path}" in first.stdout
    assert "float64" not in first.stdout

    again = run(
        *("-m", "skmlp", "warmup", "--dtype", "float32"), SKMLP_CACHE_DIR=str(tmp_path)
    )
    assert again.returncode == 0, again.stderr
    assert "\n0 compiled" in again.stdout

    fits = run("-c", COUNT_COMPILATIONS, SKMLP_CACHE_DIR=str(tmp_path))
    assert fits.stdout.strip() == "0", fits.stderr


@needs_jit
def test_warmup_fails_where_nothing_can_be_saved(tmp_path):
    (tmp_path / "file").touch()
    folder = str(tmp_path / "file" / "folder")
    result = run("-c", COMPILE_ONE_KERNEL, SKMLP_CACHE_DIR=folder)
    assert result.returncode == 1
    assert f"1 kernels could not be saved in {folder}" in result.stderr


@needs_jit
def test_warmup_fails_without_a_cache():
    result = run("-c", COMPILE_ONE_KERNEL, SKMLP_CACHE="0")
    assert result.returncode == 1
    assert "SKMLP_CACHE" in result.stderr


@needs_jit
def test_warmup_fails_where_code_cannot_be_read():
    unreadable = "from skmlp.machine.jit import STAMP; STAMP.value = None; "
    result = run("-c", unreadable + COMPILE_ONE_KERNEL)
    assert result.returncode == 1
    assert "cannot be read" in result.stderr


def test_version():
    result = run("-m", "skmlp", "--version")
    assert result.returncode == 0
    assert result.stdout.strip() == f"skmlp {skmlp.__version__}"


def test_a_command_is_needed():
    assert run("-m", "skmlp").returncode == 2
