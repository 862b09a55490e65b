"""What goes beyond scikit-learn, on against off, on real data."""

import sys
import warnings
from itertools import product

import joblib
import numpy as np
from additions import ADDITIONS, BASE, EPOCHS, POSITIVE
from common import machine, make_parser, seconds, table
from gains import on_each_set, overview
from real_data import BUNDLED, FOLDER, KINDS, make_split
from scores import SCORES, USUAL
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from skmlp import MLPClassifier, MLPRegressor


def task_of(name):
    return "regression" if "regression" in KINDS[name] else "classification"


def is_tried(addition, name):
    return not addition.kind or addition.kind in {name, *KINDS[name]}


def fit(split, task, parameters):
    """A model, and the targets of the test in its units, of variance one."""
    y, y_test = split.y, split.y_test
    if task == "classification":
        return MLPClassifier(**parameters).fit(split.X, y), y_test
    centre = 0 if parameters.get("loss") in POSITIVE else y.mean()
    model = MLPRegressor(**parameters).fit(split.X, (y - centre) / y.std())
    return model, (y_test - centre) / y.std()


def judge(seed, name, options):
    """(addition, score, value when off, value when on) of all on one split."""
    warnings.simplefilter("ignore", ConvergenceWarning)
    task, split = task_of(name), make_split(name, options.data, seed, options.max_rows)
    base = BASE | {
        "max_iter": options.max_epochs or EPOCHS[task],
        "dtype": options.dtype,
        "random_state": seed,
    }
    fitted = {}  # many are compared with the same

    def value(parameters, score):
        key = repr(sorted(parameters.items()))
        if key not in fitted:
            fitted[key] = fit(split, task, base | parameters)
        model, y_test = fitted[key]
        return SCORES[score].function(model, split.X_test, y_test)

    return [
        (title, score, value(addition.off, score), value(addition.on, score))
        for title, addition in options.additions.items()
        if is_tried(addition, name)
        for score in addition.scores or USUAL[task]
    ]


def measure(options):
    """Nested dicts: addition, score, set -> array of (off, on), a row per seed."""
    results = {title: {} for title in options.additions}
    tasks = list(product(range(options.seeds), options.sets))
    with joblib.parallel_config("loky", inner_max_num_threads=1):
        parallel = joblib.Parallel(options.jobs, return_as="generator")
        runs = parallel(joblib.delayed(judge)(*task, options) for task in tasks)
        for (seed, name), judged in zip(tasks, runs):
            print(f"seed {seed}, {name}", file=sys.stderr, flush=True)
            for title, score, *pair in judged:
                of_score = results[title].setdefault(score, {})
                of_score.setdefault(name, []).append(pair)
    return {
        title: {
            score: {name: np.array(pairs) for name, pairs in sets.items()}
            for score, sets in row.items()
        }
        for title, row in results.items()
    }


def parse_options():
    parser = make_parser(__doc__, dtype="float32")
    parser.add_argument(
        "--data", metavar="DIR", help="a folder of sets, and its loader"
    )
    parser.add_argument("--sets", help="some of them, or of those of scikit-learn")
    parser.add_argument("--only", default="", help="additions whose names contain this")
    parser.add_argument("--seeds", type=int, default=5, help="two at least")
    parser.add_argument("--max-rows", type=int, default=2_000)
    parser.add_argument("--max-epochs", type=int, help="fewer epochs, for a trial run")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    every_set = FOLDER if options.data else BUNDLED
    options.sets = options.sets.split(",") if options.sets else list(every_set)
    options.additions = {
        title: addition
        for title, addition in ADDITIONS.items()
        if options.only in title
    }
    return options


def main():
    options = parse_options()
    elapsed, results = seconds(lambda: measure(options))
    with threadpool_limits(1, user_api="blas"):
        print(machine())
    print(
        f"{options.seeds} seeds, {options.dtype}, at most {options.max_rows:,} rows to"
        " train on, and twice as many to judge by;"
        f" {elapsed / 60:.0f} minutes. Gains: positive is better."
    )
    print("\nMean over sets, and on how many of them it is (better, worse):\n")
    print(table(*overview(results), markdown=options.markdown))
    for score in SCORES:
        if any(score in row for row in results.values()):
            print(f"\n{score} on each set:\n")
            print(table(*on_each_set(results, score), markdown=options.markdown))


if __name__ == "__main__":
    main()
