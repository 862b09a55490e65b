"""The tests that scikit-learn ships for its own MLP pass unmodified."""

import os
import re
import subprocess
import sys
from pathlib import Path

import skmlp

TESTS = Path(__file__).resolve().parent.parent
PACKAGE = Path(skmlp.__file__).resolve().parent.parent


def test_upstream_test_file(tmp_path):
    paths = [str(TESTS), str(PACKAGE), os.environ.get("PYTHONPATH", "")]
    run = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", "upstream_plugin"),
            *("-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", str(tmp_path)),
            *("--pyargs", "sklearn.neural_network.tests.test_mlp"),
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    passed = re.search(r"\b(\d+) passed\b(?!.*(failed|skipped|xfailed))", run.stdout)
    assert int(passed[1]) >= 58  # which scikit-learn 1.7 has; later ones have more
    assert "MLPClassifier of skmlp.estimators.classifier" in run.stdout
    assert "MLPRegressor of skmlp.estimators.regressor" in run.stdout
    assert "of sklearn" not in run.stdout
