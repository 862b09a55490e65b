"""Fresh interpreters, whose crash is a failure and not the end of the tests."""

import os
import subprocess
import sys
from pathlib import Path

import skmlp

TIMEOUT = 240  # seconds, for what would hang


def run_python(code, *arguments, **environment):
    """Output of a fresh interpreter that imports what this one does."""
    paths = Path(skmlp.__file__).parent.parent, Path(__file__).parent
    path = os.pathsep.join([*map(str, paths), os.environ.get("PYTHONPATH", "")])
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()
