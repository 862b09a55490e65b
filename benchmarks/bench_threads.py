"""Four fits one after the other, and in four threads.

skmlp's own threads keep to the limit of BLAS, and are shared between its fits.
"""

import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

from common import format_seconds, interleaved, machine, table
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits
from workloads import LIBRARIES, chosen, estimator_fit, make_rows, make_work_parser

N_FITS = 4
CASES = [(blas, n) for blas in (None, 1) for n in (1, N_FITS)]


def several_fits(fit, blas_threads, n_threads):
    """Function that fits several times."""

    def run():
        with (
            threadpool_limits(blas_threads, user_api="blas"),
            ThreadPoolExecutor(n_threads) as pool,
        ):
            return list(pool.map(lambda _: fit(), range(N_FITS)))

    return run


def main():
    parser = make_work_parser(__doc__, ["W1", "W3", "W4"], dtype="float32", repeats=5)
    options = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    rows, descriptions = [], []
    for name, work in chosen(options).items():
        print(f"{name}: {work}", file=sys.stderr)
        descriptions.append(f"- {name}: {work}")
        X, y = make_rows(work)
        fits = {lib: estimator_fit(LIBRARIES[lib], X, y, work)[0] for lib in LIBRARIES}
        runs = {
            (library, *case): several_fits(fit, *case)
            for library, fit in fits.items()
            for case in CASES
        }
        medians, _ = interleaved(runs, options.repeats)
        for library in LIBRARIES:
            row = [f"{name}, {library}"]
            for blas in (None, 1):
                one, many = (medians[library, blas, n] for n in (1, N_FITS))
                ratio = f"{one / many:.2f}x"
                row += [format_seconds(one), f"{format_seconds(many)} ({ratio})"]
            rows.append(row)
    print(machine())
    print(
        f"{N_FITS} fits, {options.dtype}, adam, median of {options.repeats} interleaved"
        " runs. (2.00x: threads take half the time.)\n"
    )
    print("\n".join(descriptions), end="\n\n")
    header = ["", "in turn", f"{N_FITS} threads"]
    header += [f"{column}, BLAS on one" for column in header[1:]]
    print(table(header, rows, markdown=options.markdown))


if __name__ == "__main__":
    main()
