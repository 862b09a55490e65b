"""A few random configurations; ``.ci/run`` checks two thousand."""

import os
import subprocess
import sys
from pathlib import Path

import guards
import pytest

import skmlp
from skmlp.machine.jit import DISABLED

HERE = Path(__file__).resolve().parent


@pytest.mark.skipif(DISABLED, reason="threads and their memory need compiled kernels")
@pytest.mark.skipif(not guards.is_possible(), reason="guard pages are those of Linux")
def test_random_configurations():
    paths = str(Path(skmlp.__file__).parent.parent), os.environ.get("PYTHONPATH", "")
    run = subprocess.run(
        [sys.executable, "-W", "ignore", str(HERE / "run.py"), "--n=16", "--seed=17"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "16 configurations" in run.stdout
