"""Error, log-loss and CPU time on real tables, beside boosting and other networks.

Each fit is a line of a file of results, which a later call adds to; the tables and the
picture are made from that file. All libraries get one thread, so that CPU time can be
compared. pytabkit (RealMLP, TabM), lightgbm and matplotlib are taken where they are
installed.
"""

import json
import sys
import warnings
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
from common import machine, make_parser
from real_data import FOLDER, read_table
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

SETS = tuple(name for name in FOLDER if name != "ag_news")  # 4,000 words: too sparse
MOST_TEST_ROWS = 25_000


def split(table, y, is_class, seed, max_rows):
    """75/25 by seed, at most ``max_rows`` of the former."""
    rows = np.arange(len(y))
    stratify = y if is_class else None
    train, test = train_test_split(
        rows, test_size=0.25, random_state=seed, stratify=stratify
    )
    if len(train) > max_rows:
        train, _ = train_test_split(
            train,
            train_size=max_rows,
            random_state=seed,
            stratify=None if stratify is None else y[train],
        )
    test = test[:MOST_TEST_ROWS]
    return table.iloc[train], table.iloc[test], y[train], y[test]


def boosting(is_class, seed):
    kind = HistGradientBoostingClassifier if is_class else HistGradientBoostingRegressor
    return kind(random_state=seed)


def lightgbm(is_class, seed):
    import lightgbm

    kind = lightgbm.LGBMClassifier if is_class else lightgbm.LGBMRegressor
    return kind(random_state=seed, n_jobs=1, verbose=-1)


def of_pytabkit(name):
    def make(is_class, seed):
        import pytabkit

        kind = getattr(pytabkit, f"{name}_{'Classifier' if is_class else 'Regressor'}")
        return Imputed(kind(random_state=seed, n_threads=1, device="cpu"))

    return make


class Imputed:
    """Numbers that are missing become the median: these networks take none."""

    def __init__(self, model):
        self.model = model

    def fit(self, X, y):
        self.median = X.median(numeric_only=True)
        self.model.fit(X.fillna(self.median), y)
        return self

    def __getattr__(self, name):
        predict = getattr(self.model, name)
        return lambda X: predict(X.fillna(self.median))


def of_skmlp(quality):
    def make(is_class, seed):
        import skmlp

        name = f"TabularMLP{'Classifier' if is_class else 'Regressor'}"
        return getattr(skmlp, name)(quality=quality, random_state=seed, n_jobs=1)

    return make


MODELS = {
    "hgb": boosting,
    "lightgbm": lightgbm,
    "realmlp_s": of_pytabkit("RealMLP_TD_S"),
    "realmlp": of_pytabkit("RealMLP_TD"),
    "tabm": of_pytabkit("TabM_D"),
    "fast": of_skmlp("fast"),
    "default": of_skmlp("default"),
    "best": of_skmlp("best"),
}


def measure(make, data, seed):
    """A line of results."""
    X, X_test, y, y_test, is_class = data
    wall, cpu = perf_counter(), process_time()
    model = make(is_class, seed).fit(X, y)
    result = {"cpu": process_time() - cpu, "wall": perf_counter() - wall}
    start = perf_counter()
    predicted = model.predict_proba(X_test) if is_class else model.predict(X_test)
    result["predict"] = perf_counter() - start
    if is_class:
        classes = np.unique(y)
        result["error"] = float(np.mean(classes[predicted.argmax(axis=1)] != y_test))
        predicted = np.clip(predicted.astype(float), 1e-12, None)
        predicted /= predicted.sum(axis=1, keepdims=True)
        result["log_loss"] = float(log_loss(y_test, predicted, labels=classes))
    else:
        difference = np.asarray(predicted, float).ravel() - y_test
        result["error"] = float(np.sqrt(np.mean(difference**2)) / y_test.std())
    return result


def run(options, path):
    """Measure what the file does not have."""
    done = {(line["model"], line["set"], line["seed"]) for line in read_results(path)}
    for seed in options.seeds:
        for name in options.sets:
            missing = [m for m in options.models if (m, name, seed) not in done]
            if not missing:
                continue
            table, y, is_class = read_table(name, options.data)
            data = *split(table, y, is_class, seed, options.rows), is_class
            for model in missing:
                line = {"model": model, "set": name, "seed": seed}
                line |= measure(MODELS[model], data, seed)
                with path.open("a") as file:
                    file.write(json.dumps(line) + "\n")
                print(json.dumps(line), flush=True)


def read_results(path):
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines()]


def ratio(results, model, other, what):
    """Geometric mean over sets of ratios of medians over seeds; sets; wins."""
    logs = []
    for name in sorted({line["set"] for line in results}):
        values = [
            np.median([v for v in _values(results, m, name, what)] or [np.nan])
            for m in (model, other)
        ]
        if np.isfinite(values).all() and min(values) > 0:
            logs.append(np.log(values[0] / values[1]))
    wins = int(np.sum(np.array(logs) < 0))
    return float(np.exp(np.mean(logs))) if logs else np.nan, len(logs), wins


def _values(results, model, name, what):
    return [
        line[what]
        for line in results
        if line["model"] == model and line["set"] == name and what in line
    ]


NAMES = {
    "hgb": "HistGradientBoosting",
    "lightgbm": "LightGBM",
    "realmlp_s": "RealMLP-TD-S",
    "realmlp": "RealMLP-TD",
    "tabm": "TabM",
    "fast": 'skmlp "fast"',
    "default": 'skmlp "default"',
    "best": 'skmlp "best"',
}


def report(results):
    """Ratios to boosting and to RealMLP, then errors of each set, as tables."""
    models = [m for m in MODELS if any(line["model"] == m for line in results)]
    print(
        "| | error / RealMLP-TD-S | sets with less | error / boosting |"
        " sets with less | CPU / RealMLP-TD-S | log-loss / boosting |"
    )
    print("|---|---|---|---|---|---|---|")
    for model in models:
        to_real, n_real, wins_real = ratio(results, model, "realmlp_s", "error")
        to_hgb, n_sets, wins = ratio(results, model, "hgb", "error")
        cpu, _, _ = ratio(results, model, "realmlp_s", "cpu")
        loss, _, _ = ratio(results, model, "hgb", "log_loss")
        print(
            f"| {NAMES[model]} | {to_real:.3f} | {wins_real} of {n_real} |"
            f" {to_hgb:.3f} | {wins} of {n_sets} | {cpu:.3f} | {loss:.3f} |"
        )
    for what, digits in (("error", 4), ("log_loss", 4), ("cpu", 1)):
        print(f"\n| {what} | {' | '.join(NAMES[m] for m in models)} |")
        print("|---" * (1 + len(models)) + "|")
        for name in SETS:
            values = [_values(results, model, name, what) for model in models]
            cells = [f"{np.median(own):.{digits}f}" if own else "" for own in values]
            if any(cells):
                print(f"| {name} | {' | '.join(cells)} |")


def draw(results, path):
    """Error over CPU time of all models, both as multiples of boosting's."""
    from plot import plot_errors

    points = {}
    for model, name in NAMES.items():
        error, n_sets, _ = ratio(results, model, "hgb", "error")
        cpu, _, _ = ratio(results, model, "hgb", "cpu")
        if n_sets:
            points[f"{name} ({n_sets} sets)"] = cpu, error
    plot_errors(points, path)


def main():
    parser = make_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=8000, help="training rows at most")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--sets", nargs="+", default=SETS)
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=MODELS)
    parser.add_argument("--out", type=Path, default=Path("tabular.jsonl"))
    parser.add_argument("--plot", type=Path, help="where to draw error over time")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    run(options, options.out)
    results = read_results(options.out)
    print(f"{machine()}\n")
    report(results)
    if options.plot:
        draw(results, options.plot)


if __name__ == "__main__":
    sys.exit(main())
