"""Prediction of one and of many rows, and partial_fit of one row."""

import sys
import warnings
from copy import deepcopy
from functools import partial

import numpy as np
from common import beside, interleaved, machine, make_parser, table
from sklearn.exceptions import ConvergenceWarning
from workloads import LIBRARIES

N_FEATURES = 50
CASES = [("predict", 1), ("predict", 1_000), ("predict", 100_000), ("partial_fit", 1)]


def fitted(module, X, y, options):
    """A classifier that has seen all classes."""
    return module.MLPClassifier(
        options.hidden, options.activation, max_iter=2, random_state=0
    ).fit(X, y)


def main():
    parser = make_parser(__doc__, repeats=21)
    parser.add_argument("--activation", default="relu")
    parser.add_argument("--hidden", type=int, nargs="+", default=[100])
    parser.add_argument("--classes", type=int, default=5)
    options = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)

    random = np.random.default_rng(0)
    n_rows = max(n for _, n in CASES)
    X = random.normal(size=(n_rows, N_FEATURES)).astype(options.dtype)
    y = random.integers(options.classes, size=n_rows)
    models = {
        name: fitted(module, X[:1000], y[:1000], options)
        for name, module in LIBRARIES.items()
    }
    rows = []
    for method, n in CASES:
        print(f"{method}, {n:,} rows", file=sys.stderr)
        arguments = (X[:n],) if method == "predict" else (X[:n], y[:n])
        calls = {
            name: partial(getattr(deepcopy(model), method), *arguments)
            for name, model in models.items()
        }
        for call in calls.values():
            call()
        number = max(1, 2_000 // n if method == "predict" else 500)
        medians, _ = interleaved(calls, options.repeats, number)
        rows.append((f"{method}, {n:,} row{'s' * (n > 1)}", *beside(medians)))
    print(machine())
    print(
        f"{N_FEATURES} features, hidden {options.hidden}, {options.classes} classes,"
        f" {options.activation}, {options.dtype}, median of {options.repeats}"
        " interleaved runs.\n"
    )
    header = ["", "skmlp", "scikit-learn", "ratio"]
    print(table(header, rows, markdown=options.markdown))


if __name__ == "__main__":
    main()
