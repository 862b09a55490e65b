"""Time per evaluation of L-BFGS: the loss of all rows, and its gradient."""

import sys
import warnings

from bench_fit import products_only
from common import beside, interleaved, machine, table
from sklearn.neural_network import MLPClassifier
from workloads import LIBRARIES, chosen, estimator_fit, make_rows, make_work_parser

from skmlp.training.loop import Epochs

EVALUATIONS = 50


def count_calls(owner, name):
    """A list that grows with each call of the method."""
    method, calls = getattr(owner, name), []

    def counted(*arguments):
        calls.append(name)
        return method(*arguments)

    setattr(owner, name, counted)
    return calls


CALLS = {
    "skmlp": count_calls(Epochs, "loss_and_gradient"),
    "scikit-learn": count_calls(MLPClassifier, "_loss_grad_lbfgs"),
}


def counted_fit(library, X, y, work):
    """Function that fits and returns the number of evaluations and the loss."""
    settings = {"solver": "lbfgs", "max_fun": work.epochs, "tol": 0}
    fit, _ = estimator_fit(LIBRARIES[library], X, y, work, **settings)

    def run():
        CALLS[library].clear()
        loss = fit()
        return len(CALLS[library]), loss

    return run


def measure(name, work, repeats):
    """A row of the table."""
    X, y = make_rows(work)
    runs = {library: counted_fit(library, X, y, work) for library in LIBRARIES}
    runs["products"] = products_only(X, y, work._replace(dtype="float64", epochs=1))
    medians, results = interleaved(runs, repeats)
    each = {library: medians[library] / results[library][0] for library in LIBRARIES}
    limit = f"{each['skmlp'] / medians['products']:.2f}"
    checks = [f"{n}, {loss:.4f}" for n, loss in map(results.get, LIBRARIES)]
    return name, *beside(each), limit, *checks


def main():
    parser = make_work_parser(__doc__, ["W1", "W4"], repeats=5)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    rows, descriptions = [], []
    for name, work in chosen(options).items():
        work = work._replace(batch_size=work.n_rows, epochs=EVALUATIONS)
        work = work.at_most(epochs=options.max_epochs)
        print(f"{name}: {work}", file=sys.stderr)
        descriptions.append(f"- {name}: {work}")
        rows.append(measure(name, work, options.repeats))
    print(machine())
    print(
        f"{options.dtype}, lbfgs, seconds of a fit over its evaluations, median of"
        f" {options.repeats} interleaved runs. Products are in float64, as in skmlp.\n"
    )
    print("\n".join(descriptions), end="\n\n")
    header = ["", "skmlp", "scikit-learn", "ratio", "skmlp / products alone"]
    header += ["skmlp: evaluations, loss", "scikit-learn: evaluations, loss"]
    print(table(header, rows, markdown=options.markdown))


if __name__ == "__main__":
    main()
