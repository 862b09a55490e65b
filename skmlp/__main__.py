"""The command line, ``python -m skmlp``.

``warmup`` compiles all kernels ahead of time, into the cache; ``export`` turns a model
file into an ONNX model or a C header.
"""

import argparse
import re
import sys
from pathlib import Path
from time import perf_counter

import numpy as np

import skmlp
from skmlp.core.activations import parametric_addresses
from skmlp.core.architecture import make_architecture
from skmlp.export import to_c, to_onnx
from skmlp.export.container import write
from skmlp.machine.cache import candidate_folders, enabled
from skmlp.machine.intrinsics import address
from skmlp.machine.jit import DISABLED, ENTRY_KERNELS, STAMP
from skmlp.machine.permutation import shuffle
from skmlp.tabular.recipe import RECIPES
from skmlp.training.inference import predict
from skmlp.training.loop import Epochs
from skmlp.training.rows import TrainingRows, make_data
from skmlp.training.settings import Objective

DTYPES = ("float32", "float64")


def warm_up(dtype):
    """Compile whatever a network of ``dtype`` can need, or load it from the cache."""
    dtype = np.dtype(dtype)
    if dtype == np.float32:  # the only one of the estimators for tables
        for recipe in RECIPES.values():
            parametric_addresses(recipe.activation, dtype, training=True)
    for kernel in ENTRY_KERNELS:
        if kernel.form is not None:
            address(kernel, dtype)
    architecture = make_architecture([1, 1])
    data = make_data(np.ones((1, 1)), dtype, np.ones((1, 1)))
    epochs = Epochs(
        architecture,
        np.ones(architecture.layout().n_total, dtype),
        TrainingRows(data, np.arange(1)),
        Objective("squared_error"),
        alpha=0.0,
        batch_size=1,
    )
    shuffle(np.arange(1000), np.random.RandomState(0))
    epochs.loss_and_gradient(np.arange(1))
    predict(architecture, epochs.params, data, link="identity")


def cache_files():
    """Paths in the cache with the times of their last change."""
    return {
        path: path.stat().st_mtime_ns
        for folder in candidate_folders()
        for path in folder.glob("*.kernel")
    }


def run_warmup(dtypes):
    """Warm up and report; the exit status tells whether all kernels are cached."""
    if DISABLED:
        print("Nothing to compile: NUMBA_DISABLE_JIT is set.", file=sys.stderr)
        return 1
    before = cache_files()
    for dtype in dtypes:
        start = perf_counter()
        warm_up(dtype)
        print(f"{dtype}: kernels ready after {perf_counter() - start:.1f} s")
    statistics = [kernel.stats for kernel in ENTRY_KERNELS]
    n_loaded = sum(sum(s.cache_hits.values()) for s in statistics)
    n_compiled = sum(sum(s.cache_misses.values()) for s in statistics)
    saved = [path for path, _ in cache_files().items() - before.items()]
    print(f"{n_compiled} compiled, {n_loaded} loaded from the cache")
    if not enabled():
        print("Nothing was saved: SKMLP_CACHE switches the cache off.", file=sys.stderr)
        return 1
    if STAMP.value is None:
        print(
            "Nothing was saved: the code of the package cannot be read, so that changed"
            " kernels could not be told from old ones.",
            file=sys.stderr,
        )
        return 1
    for folder in candidate_folders():
        n_saved = sum(path.parent == folder for path in saved)
        if n_saved:
            print(f"{n_saved} saved in {folder}")
    if len(saved) < n_compiled:
        folders = ", ".join(str(folder) for folder in candidate_folders())
        print(
            f"{n_compiled - len(saved)} kernels could not be saved in {folders}."
            " Set SKMLP_CACHE_DIR to a folder that can be written.",
            file=sys.stderr,
        )
        return 1
    return 0


def run_export(model, to, output, name):
    """Export a model file; the exit status tells whether that was possible."""
    try:
        estimator = skmlp.load(model)
        if to == "onnx":
            data = to_onnx(estimator, name=name).SerializeToString()
        else:
            name = name or re.sub("^(?=[0-9])|[^A-Za-z0-9_]", "_", Path(output).stem)
            data = to_c(estimator, name).encode()
        write(output, data)
    except (OSError, ValueError, ImportError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def main(arguments=None):
    """The command line; returns an exit status."""
    parser = argparse.ArgumentParser(prog="python -m skmlp", description=skmlp.__doc__)
    parser.add_argument(
        "--version", action="version", version=f"skmlp {skmlp.__version__}"
    )
    commands = parser.add_subparsers(dest="command", required=True)
    warmup = commands.add_parser(
        "warmup",
        help="compile all kernels ahead of time",
        description="Compile all kernels and save them in the cache, so that no"
        " later process has to. Exit status 1 if they could not be saved.",
    )
    warmup.add_argument(
        "--dtype",
        nargs="+",
        choices=DTYPES,
        default=DTYPES,
        help="working types to compile for (default: both)",
    )
    export = commands.add_parser(
        "export",
        help="turn a model file into an ONNX model or a C header",
        description="Turn a file of skmlp.save into an ONNX model or a C header.",
    )
    export.add_argument("model", help="file that skmlp.save has written")
    export.add_argument("--to", choices=("onnx", "c"), required=True)
    export.add_argument("-o", "--output", metavar="FILE", required=True)
    export.add_argument(
        "--name", help="of the ONNX graph, or what all names of the C header begin with"
    )
    options = parser.parse_args(arguments)
    if options.command == "warmup":
        return run_warmup(options.dtype)
    return run_export(options.model, options.to, options.output, options.name)


if __name__ == "__main__":
    sys.exit(main())
