"""Memory that a fit takes beside its data, in RAM or on disk. (Linux only.)"""

import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
from common import beside, format_bytes, in_fresh_process, machine, peak_growth, table
from workloads import (
    LIBRARIES,
    Work,
    chosen,
    estimator_fit,
    make_model,
    make_rows,
    make_work_parser,
)

from skmlp.core.layout import make_layout

ON_DISK = Work(1_000_000, 20, 2, (100,), 200, 1)
CHUNK = 100_000
FILES = "X.npy", "y.npy"


def cost_in_memory(library, work):
    """Seconds and bytes of a fit, after one that loads what a process keeps."""
    fit, _ = estimator_fit(LIBRARIES[library], *make_rows(work), work)
    fit()
    return peak_growth(fit)


def cost_on_disk(library, work, folder, method):
    """Seconds and bytes of one epoch over rows in files."""
    X, y = (np.load(folder / name, mmap_mode="r")[: work.n_rows] for name in FILES)
    fit, _ = estimator_fit(LIBRARIES[library], X, y, work)

    def partial_fit():
        model = make_model(LIBRARIES[library], work)
        for start in range(0, work.n_rows, CHUNK):
            rows = slice(start, start + CHUNK)
            model.partial_fit(X[rows], y[rows], classes=[0, 1])

    np.sum(X), np.sum(y)  # maps the files whole, so that only other memory grows
    return peak_growth(fit if method == "fit" else partial_fit)


def compare(label, repeats, cost, *arguments):
    """Library -> seconds, and library -> bytes: medians of fresh processes."""
    print(label, file=sys.stderr)
    rounds = [
        {library: in_fresh_process(cost, library, *arguments) for library in LIBRARIES}
        for _ in range(repeats)
    ]

    def medians(i):
        return {name: median(costs[name][i] for costs in rounds) for name in LIBRARIES}

    return medians(0), medians(1)


def main():
    names = "W4", "W5", "W6", "S1", "S2"
    parser = make_work_parser(__doc__, names, dtype="float32", repeats=3)
    parser.set_defaults(max_epochs=2)
    options = parser.parse_args()
    in_memory, on_disk, descriptions = [], [], []
    for name, work in chosen(options).items():
        descriptions.append(f"- {name}: {work}")
        _, memory = compare(name, options.repeats, cost_in_memory, work)
        numbers = (
            work.n_rows * work.n_features * work.density,
            min(work.batch_size, work.n_rows) * work.n_features,
            make_layout(work.sizes).n_params,
        )
        sizes = [format_bytes(n * np.dtype(work.dtype).itemsize) for n in numbers]
        in_memory.append((name, *sizes, *beside(memory, format_bytes)))

    largest = ON_DISK._replace(dtype=options.dtype).at_most(options.max_rows)
    with TemporaryDirectory() as folder:
        for name, array in zip(FILES, make_rows(largest)):
            np.save(Path(folder, name), array)
        for method in ("fit", "partial_fit"):
            for n_rows in (largest.n_rows // 4, largest.n_rows // 2, largest.n_rows):
                label = f"{method}, {n_rows:,} rows"
                work = largest.at_most(n_rows)
                arguments = work, Path(folder), method
                times, memory = compare(
                    label, options.repeats, cost_on_disk, *arguments
                )
                on_disk.append((label, *beside(times), *beside(memory, format_bytes)))

    print(machine())
    print(f"{options.dtype}, adam, medians of {options.repeats} fresh processes.\n")
    print("\n".join(descriptions), end="\n\n")
    header = ["", "values of X", "dense minibatch", "parameters"]
    header += ["skmlp", "scikit-learn", "ratio"]
    print(table(header, in_memory, markdown=options.markdown))
    print(f"\nOn disk: {largest}; partial_fit by {CHUNK:,} rows.\n")
    header = ["", "skmlp", "scikit-learn", "ratio"]
    header += ["skmlp memory", "scikit-learn memory", "ratio"]
    print(table(header, on_disk, markdown=options.markdown))


if __name__ == "__main__":
    main()
