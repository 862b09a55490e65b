"""The benchmarks run: a trial of each that looks inside skmlp."""

import ast
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from skmlp.machine.jit import DISABLED

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
COMMON = runpy.run_path(str(BENCHMARKS / "common.py"))
BRAKES = COMMON["BRAKES"]
TRIAL = ["--repeats", "1", "--max-rows", "1000", "--max-epochs", "1"]


def run(*arguments, **environment):
    unset = {key: value for key, value in os.environ.items() if key not in BRAKES}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=BENCHMARKS,
        env={**unset, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.skipif(DISABLED, reason="they measure compiled kernels")
@pytest.mark.parametrize(
    ("script", "options"),
    [
        ("bench_fit", "--workloads W1,W4 --peers sklearn"),
        ("bench_fit", "--workloads S1 --peers sklearn --dtype float64"),
        ("bench_parts", "--workloads W1"),
        ("bench_lbfgs", "--workloads W1"),
        ("bench_threads", "--workloads W1"),
        ("bench_load", "--workloads W1"),
    ],
)
def test_a_trial(script, options):
    done = run(f"{script}.py", *options.split(), *TRIAL)
    assert done.returncode == 0, done.stderr
    assert options.split()[1].split(",")[0] in done.stdout
    assert "kernels for" in done.stdout


def test_which_kernels_each_blas_runs():
    code = "import common; print(common.machine()); print(common.threadpool_info())"
    done = run("-c", code)
    for info in ast.literal_eval(done.stdout.splitlines()[1]):
        if info["internal_api"] == "openblas":
            assert f"kernels for {info['architecture']}, " in done.stdout


@pytest.mark.parametrize("brake", BRAKES)
def test_nothing_is_measured_that_is_held_back(brake, monkeypatch):
    monkeypatch.setenv(brake, "1")
    with pytest.raises(SystemExit, match=f"unset .*{brake}"):
        COMMON["make_parser"]("")
