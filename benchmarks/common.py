"""Interleaved timing, memory, tables, and what is needed to read a number later."""

import argparse
import ctypes
import os
import platform
import subprocess
import sys
import warnings
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from time import perf_counter, sleep

import scipy.linalg  # noqa: F401, loads the BLAS that threadpool_info lists
from threadpoolctl import threadpool_info

PACKAGES = ("numpy", "scipy", "scikit-learn", "numba", "joblib", "torch", "jax")
# What makes a library take other kernels than the fastest it has for the processor.
BRAKES = (
    *("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"),
    *("MKL_ENABLE_INSTRUCTIONS", "MKL_CBWR", "MKL_DEBUG_CPU_TYPE"),
    *("BLIS_ARCH_TYPE", "BLIS_MODEL_TYPE", "NPY_DISABLE_CPU_FEATURES"),
    *("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY", "XLA_FLAGS"),
    *("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES", "NUMBA_OPT", "GLIBC_TUNABLES"),
)
_PAUSE = 0.1  # seconds; OpenBLAS's threads, for one, wait for some 30 ms


def make_parser(description, *, dtype="float64", repeats=None):
    """The options of all scripts, and of those that repeat what they time.

    No script measures a library that is held back: a table must not compare with less
    than its best.
    """
    brakes = [name for name in BRAKES if name in os.environ]
    if brakes:
        sys.exit(
            f"{', '.join(brakes)} would make a library take other kernels than its"
            f" fastest: unset {' '.join(brakes)}"
        )
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--dtype", choices=("float32", "float64"), default=dtype)
    if repeats:
        parser.add_argument("--repeats", type=int, default=repeats)
    parser.add_argument("--markdown", action="store_true", help="print Markdown")
    return parser


def seconds(function, number=1):
    """Mean seconds of ``number`` calls in a row, and the last result."""
    start = perf_counter()
    for _ in range(number):
        result = function()
    return (perf_counter() - start) / number, result


def interleaved(functions, repeats, number=1):
    """Medians of ``repeats`` timings of each function, taken in turn.

    Before each there is a pause: threads of the library before, which wait for more
    work without giving up their cores, would slow down the next one.

    Parameters
    ----------
    functions : dict of str to callable
        One round calls each of them; every other round goes backwards, so that a
        machine which slows down is unfair to nobody.

    Returns
    -------
    medians : dict of str to float
        Seconds.
    results : dict of str to object
        What the last calls returned.
    """
    times, results = {name: [] for name in functions}, {}
    for repeat in range(repeats):
        names = list(functions)
        for name in names if repeat % 2 == 0 else reversed(names):
            sleep(_PAUSE)
            elapsed, results[name] = seconds(functions[name], number)
            times[name].append(elapsed)
            print(f"  {name}: {elapsed:.3g} s", file=sys.stderr, flush=True)
    return {name: median(values) for name, values in times.items()}, results


def in_fresh_process(function, *arguments):
    """What the function returns in a new interpreter."""
    with ProcessPoolExecutor(
        1, get_context("spawn"), warnings.simplefilter, ("ignore",)
    ) as pool:
        return pool.submit(function, *arguments).result()


def peak_growth(function):
    """Seconds of a call, and bytes by which resident memory grew at its peak.

    For Linux with glibc: memory that is free is given back first, so that nothing
    hides in it, and the kernel's record of the peak is set back to the present.
    """
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = _memory("VmRSS")
    elapsed, _ = seconds(function)
    return elapsed, _memory("VmHWM") - before


def _memory(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(name))


def format_seconds(value):
    """Three digits, in a fitting unit."""
    for unit, factor in (("s", 1), ("ms", 1e3), ("µs", 1e6)):
        if value * factor >= 1 or unit == "µs":
            return f"{value * factor:.3g} {unit}"


def format_bytes(value):
    """Megabytes."""
    return f"{value / 1e6:,.1f} MB"


def beside(values, cell=format_seconds):
    """Cells of skmlp and of scikit-learn, and how many times as much that takes."""
    ours, theirs = values["skmlp"], values["scikit-learn"]
    return cell(ours), cell(theirs), f"{theirs / ours:.2f}x"


def table(header, rows, *, markdown=True):
    """Rows of strings as a Markdown table, or as plain columns."""
    rows = [[str(cell) for cell in row] for row in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*rows)]
    padded = [[cell.ljust(w) for cell, w in zip(row, widths)] for row in rows]
    if not markdown:
        return "\n".join("  ".join(row).rstrip() for row in padded)
    lines = [f"| {' | '.join(row)} |" for row in padded]
    lines.insert(1, f"|{'|'.join('-' * (width + 2) for width in widths)}|")
    return "\n".join(lines)


def machine():
    """One paragraph: processor, cores, threads, kernels of BLAS, versions, commit."""
    from skmlp.machine import threads  # not where only others run

    libraries = [f"Python {platform.python_version()}"]
    for package in PACKAGES:
        try:
            libraries.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    blas = {
        f"{info['internal_api']} {info['version']} ({_kernels(info)},"
        f" {info['num_threads']} threads)"
        for info in threadpool_info()
        if info["user_api"] == "blas"
    }
    return (
        f"{_processor()}, {_usable_cores()} cores, {platform.system()};"
        f" BLAS: {', '.join(sorted(blas))}; skmlp: {threads.n_threads()} threads;"
        f" {', '.join(libraries)}; commit {_commit()}."
    )


def _kernels(info):
    """Those that a BLAS has chosen for this processor, if it tells."""
    return f"kernels for {info.get('architecture') or 'an unknown processor'}"


def _processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(
            line.split(":", 1)[1].strip()
            for line in lines
            if line.startswith("model name")
        )
    except (OSError, StopIteration):
        if platform.system() == "Darwin":
            command = ["sysctl", "-n", "machdep.cpu.brand_string"]
            return subprocess.check_output(command, text=True).strip()
        return platform.processor() or platform.machine()


def _usable_cores():
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _commit():
    command = ["git", "describe", "--always", "--dirty", "--abbrev=10"]
    folder = Path(__file__).parent
    try:
        return subprocess.check_output(
            command, cwd=folder, text=True, stderr=subprocess.DEVNULL
        ).strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
