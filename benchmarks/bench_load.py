"""Fits beside busy processes, and beside a thread that keeps the GIL busy.

What counts is how much slower each library becomes under the same load.
"""

import subprocess
import sys
import warnings
from collections import defaultdict
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from statistics import median
from threading import Event, Thread
from time import sleep

from common import format_seconds, interleaved, machine, table
from sklearn.exceptions import ConvergenceWarning
from workloads import LIBRARIES, chosen, estimator_fit, make_rows, make_work_parser

_BUSY = "import os\nparent = os.getppid()\nwhile os.getppid() == parent: pass"
_SETTLE = 0.3  # seconds, until the load is there


@contextmanager
def busy_processes(n):
    """So many processes that do nothing but compute."""
    with ExitStack() as stack:
        for _ in range(n):
            process = stack.enter_context(
                subprocess.Popen([sys.executable, "-c", _BUSY])
            )
            stack.callback(process.kill)
        sleep(_SETTLE)
        yield


@contextmanager
def busy_thread():
    """A thread in pure Python, which gives the GIL away only when it is made to."""
    done = Event()

    def compute():
        while not done.is_set():
            sum(range(1000))

    thread = Thread(target=compute)
    thread.start()
    try:
        sleep(_SETTLE)
        yield
    finally:
        done.set()
        thread.join()


def measure(fits, loads, repeats):
    """Medians of seconds by load and library, all of them in turn."""
    times = defaultdict(list)
    for repeat in range(repeats):
        order = fits if repeat % 2 == 0 else dict(reversed(fits.items()))
        for name, load in loads.items():
            print(f" {name}", file=sys.stderr)
            with load():
                for library, value in interleaved(order, 1)[0].items():
                    times[name, library].append(value)
    return {case: median(values) for case, values in times.items()}


def cells(medians, loads, library):
    """Seconds under each load, and how many times as long as without any."""
    quiet, *loaded = (medians[load, library] for load in loads)
    slower = (f"{format_seconds(value)} ({value / quiet:.2f}x)" for value in loaded)
    return [format_seconds(quiet), *slower]


def main():
    names = ["W1", "W2", "W3", "W4"]
    parser = make_work_parser(__doc__, names, dtype="float32", repeats=7)
    parser.add_argument("--processes", type=int, default=2, help="that are busy")
    options = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    loads = {
        "quiet": nullcontext,
        f"{options.processes} busy processes": partial(
            busy_processes, options.processes
        ),
        "busy thread": busy_thread,
    }
    rows, descriptions = [], []
    for name, work in chosen(options).items():
        print(f"{name}: {work}", file=sys.stderr)
        descriptions.append(f"- {name}: {work}")
        X, y = make_rows(work)
        fits = {lib: estimator_fit(LIBRARIES[lib], X, y, work)[0] for lib in LIBRARIES}
        medians = measure(fits, loads, options.repeats)
        rows += [
            [f"{name}, {library}", *cells(medians, loads, library)]
            for library in LIBRARIES
        ]
    print(machine())
    print(
        f"{options.dtype}, adam, median of {options.repeats} interleaved runs. (2.00x:"
        " twice as long as without load.)\n"
    )
    print("\n".join(descriptions), end="\n\n")
    print(table(["", *loads], rows, markdown=options.markdown))


if __name__ == "__main__":
    main()
