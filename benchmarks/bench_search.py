"""A grid search on the digits: processes with either library, threads with skmlp."""

import os
import warnings

import joblib
from common import (
    format_seconds,
    interleaved,
    machine,
    make_parser,
    seconds,
    table,
)
from sklearn import neural_network
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from threadpoolctl import threadpool_limits

import skmlp

GRID = {
    "hidden_layer_sizes": [(50,), (100,), (100, 50)],
    "alpha": [1e-4, 1e-2],
    "learning_rate_init": [1e-3, 1e-2],
}


def search(module, backend, options, blas_threads=None):
    """Function that runs the whole search and returns the best score."""
    X, y = load_digits(return_X_y=True)
    X = (X / 16).astype(options.dtype)[: options.max_rows]

    def run():
        model = module.MLPClassifier(max_iter=options.max_iter, random_state=0)
        grid = GridSearchCV(model, GRID, cv=5, n_jobs=options.jobs)
        with (
            joblib.parallel_config(backend),
            threadpool_limits(blas_threads, user_api="blas"),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            return grid.fit(X, y[: len(X)]).best_score_

    return run


def main():
    parser = make_parser(__doc__, repeats=3)
    parser.add_argument("--max-iter", type=int, default=50)
    parser.add_argument("--max-rows", type=int, help="fewer rows, for a trial run")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    os.environ["PYTHONWARNINGS"] = "ignore"  # for the processes of loky

    runs = {
        "scikit-learn, processes": search(neural_network, "loky", options),
        "skmlp, processes": search(skmlp, "loky", options),
        "skmlp, threads": search(skmlp, "threading", options),
        "skmlp, threads, BLAS on one": search(skmlp, "threading", options, 1),
    }
    first = {name: seconds(run)[0] for name, run in runs.items()}
    medians, scores = interleaved(runs, options.repeats)
    base = medians["scikit-learn, processes"]
    rows = [
        (
            name,
            format_seconds(medians[name]),
            f"{base / medians[name]:.2f}x",
            format_seconds(first[name]),
            f"{scores[name]:.4f}",
        )
        for name in runs
    ]
    n_fits = 5 * len(GRID["hidden_layer_sizes"]) * len(GRID["alpha"]) * 2
    print(machine())
    print(
        f"{n_fits} fits of {options.max_iter} epochs, {options.jobs} jobs,"
        f" {options.dtype}, median of {options.repeats} interleaved runs."
        " The first search, apart, starts processes and loads or compiles kernels.\n"
    )
    header = ["", "seconds", "ratio", "first search", "best score"]
    print(table(header, rows, markdown=options.markdown))


if __name__ == "__main__":
    main()
