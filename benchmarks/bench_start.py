"""Cold start, each time in a fresh process: import, first fit, warm-up command."""

import os
import subprocess
import sys
import tempfile
from statistics import median

from common import format_seconds, machine, make_parser, seconds, table

IMPORT = """
from time import perf_counter
start = perf_counter()
import sklearn.neural_network
middle = perf_counter()
import skmlp
print(middle - start, perf_counter() - middle)
"""

FIT = """
import warnings
from time import perf_counter
import numpy as np
from {module} import {estimator}

warnings.simplefilter("ignore")
X = np.random.default_rng(0).normal(size=(200, 20)).astype("{dtype}")
y = X[:, 0] > 0
for _ in range(2):
    start = perf_counter()
    {estimator}(max_iter=2).fit(X, y).predict(X)
    print(perf_counter() - start)
"""


def run(*arguments, cache):
    """Numbers that a fresh process prints."""
    output = subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "SKMLP_CACHE_DIR": cache},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return [float(word) for word in output.split()] if "-c" in arguments else None


def one_round(options, warm):
    """Name -> seconds of everything once; ``warm`` is the folder of a full cache."""
    dtype, times = options.dtype, {}
    with tempfile.TemporaryDirectory() as empty:
        times["import sklearn.neural_network"], times["import skmlp on top"] = run(
            "-c", IMPORT, cache=empty
        )
        peer = FIT.format(
            module="sklearn.neural_network", estimator="MLPClassifier", dtype=dtype
        )
        times["first fit and predict, scikit-learn"], _ = run("-c", peer, cache=empty)
        for estimator in ("MLPClassifier", "MLPRegressor"):
            ours = FIT.format(module="skmlp", estimator=estimator, dtype=dtype)
            what = f"{estimator}: first fit and predict"
            times[f"{what}, full cache"], second = run("-c", ours, cache=warm)
            with tempfile.TemporaryDirectory() as fresh:
                times[f"{what}, empty cache"], _ = run("-c", ours, cache=fresh)
            times[f"{estimator}: second fit and predict"] = second
        warmup = ("-m", "skmlp", "warmup", "--dtype", dtype)
        times[f"python {' '.join(warmup)}"], _ = seconds(
            lambda: run(*warmup, cache=empty)
        )
    return times


def main():
    options = make_parser(__doc__, repeats=5).parse_args()
    with tempfile.TemporaryDirectory() as warm:
        run("-m", "skmlp", "warmup", "--dtype", options.dtype, cache=warm)
        rounds = []
        for i in range(options.repeats):
            print(f"round {i + 1} of {options.repeats}", file=sys.stderr)
            rounds.append(one_round(options, warm))
    print(machine())
    print(f"{options.dtype}, median of {options.repeats} fresh processes.\n")
    rows = [
        (name, format_seconds(median(times[name] for times in rounds)))
        for name in rounds[0]
    ]
    print(table(["", "seconds"], rows, markdown=options.markdown))


if __name__ == "__main__":
    main()
