"""What the estimators for tables cost: time over rows, memory, predictions, start."""

import sys
import tempfile
import warnings
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
from bench_start import FIT, run
from bench_tabular import of_skmlp
from common import in_fresh_process, machine, make_parser, peak_growth
from real_data import read_table

SETS = "fars", "diamonds", "adult", "electricity"
FIRST_FIT = FIT.replace("(max_iter=2)", "(quality='fast', n_steps=10)")


def seconds_over_rows(name, folder):
    """Rows, and seconds of a fit with them: a quarter of them, and all."""
    table, y, is_class = read_table(name, folder)
    order = np.random.default_rng(0).permutation(len(y))
    for n_rows in len(y) // 4, len(y):
        rows = order[:n_rows]
        start = perf_counter()
        of_skmlp("default")(is_class, 0).fit(table.iloc[rows], y[rows])
        yield n_rows, perf_counter() - start


def growth(n_rows):
    """Seconds and bytes of a fit to so many rows of 50 numbers, after a small one."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_rows, 50))
    y = X[:, 0] + X[:, 1] * X[:, 2] > 0
    model = of_skmlp("fast")(True, 0)
    model.fit(X[:2000], y[:2000])
    return peak_growth(lambda: model.fit(X, y))


def predictions(quality, repeats):
    """Median seconds for 1,000 rows and for one, of 20 numbers."""
    X = np.random.default_rng(0).normal(size=(1000, 20))
    model = of_skmlp(quality)(False, 0).set_params(n_steps=100)
    model.fit(X, X[:, 0] + X[:, 1] ** 2)
    for rows in X, X[:1]:
        model.predict(rows)
        times = []
        for _ in range(repeats):
            start = perf_counter()
            model.predict(rows)
            times.append(perf_counter() - start)
        yield median(times)


def first_fit(estimator, text):
    """Seconds of the first fit and prediction, with an empty cache."""
    code = text.format(module="skmlp", estimator=estimator, dtype="float32")
    with tempfile.TemporaryDirectory() as cache:
        return run("-c", code, cache=cache)[0]


def main():
    parser = make_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the memory's X")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    print(f"{machine()}\n")
    print("| default, all rows | rows | seconds | rows, times | seconds, times |")
    print("|---|---|---|---|---|")
    for name in SETS:
        (few, short), (many, long) = seconds_over_rows(name, options.data)
        times = f"{many / few:.1f} | {long / short:.2f}"
        print(f"| {name} | {many:,} | {long:.1f} | {times} |", flush=True)
    seconds, size = in_fresh_process(growth, options.rows)
    share = size / (options.rows * 50 * 8)
    print(
        f"\n{options.rows:,} x 50: {seconds:.1f} s, {size / 1e6:.0f} MB beside X, which"
        f" is {share:.2f} of it\n"
    )
    print("| predict | 1,000 rows, ms | one row, µs |")
    print("|---|---|---|")
    for quality in "fast", "default", "best":
        many, one = predictions(quality, 200)
        print(f"| {quality} | {many * 1e3:.1f} | {one * 1e6:.0f} |", flush=True)
    plain, own = (
        median(first_fit(name, text) for _ in range(3))
        for name, text in (
            ("MLPClassifier", FIT),
            ("TabularMLPClassifier", FIRST_FIT),
        )
    )
    print(f"\nfirst fit, empty cache: {own:.1f} s, MLPClassifier {plain:.1f} s")


if __name__ == "__main__":
    sys.exit(main())
