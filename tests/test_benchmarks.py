"""The benchmarks run: a trial of each that looks inside skmlp."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from skmlp.core.jit import DISABLED

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
TRIAL = ["--repeats", "1", "--max-rows", "1000", "--max-epochs", "1"]


@pytest.mark.skipif(DISABLED, reason="they measure compiled kernels")
@pytest.mark.parametrize(
    ("script", "options"),
    [
        ("bench_fit", "--workloads W1,W4 --peers sklearn"),
        ("bench_fit", "--workloads S1 --peers sklearn --dtype float64"),
        ("bench_parts", "--workloads W1"),
        ("bench_lbfgs", "--workloads W1"),
        ("bench_threads", "--workloads W1"),
    ],
)
def test_a_trial(script, options):
    done = subprocess.run(
        [sys.executable, f"{script}.py", *options.split(), *TRIAL],
        cwd=BENCHMARKS,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert options.split()[1].split(",")[0] in done.stdout
