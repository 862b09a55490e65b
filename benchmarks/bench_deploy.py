"""Ways to serve a fitted classifier: sizes, start-up, latency and throughput."""

import ctypes
import pickle
import shutil
import subprocess
import sys
import warnings
from functools import partial
from importlib.metadata import distribution
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import onnxruntime
from common import (
    format_bytes,
    format_seconds,
    interleaved,
    machine,
    make_parser,
    seconds,
    table,
)
from sklearn import neural_network
from sklearn.exceptions import ConvergenceWarning

import skmlp
from skmlp.export import to_c, to_onnx

N_FEATURES = 50
N_ROWS = 1000
_OF_PYTHON = "numpy", "scipy", "scikit-learn", "joblib", "threadpoolctl", "narwhals"
_OF_SKMLP = *_OF_PYTHON, "numba", "llvmlite", "skmlp"
# What must be installed beside Python itself.
NEEDS = {
    "skmlp, in the process": _OF_SKMLP,
    "pickle": _OF_SKMLP,
    "safetensors": (*_OF_SKMLP, "safetensors"),
    "onnxruntime": ("numpy", "onnxruntime", "flatbuffers", "protobuf", "packaging"),
    "C": (),
    "scikit-learn, pickle": _OF_PYTHON,
}
_PREDICT = "model.predict_proba(np.ones((1, {n}), np.float32))"
STARTS = {
    "pickle": "import pickle, numpy as np\n"
    "model = pickle.load(open({path!r}, 'rb'))\n" + _PREDICT,
    "safetensors": "import numpy as np, skmlp\nmodel = skmlp.load({path!r})\n"
    + _PREDICT,
    "onnxruntime": "import numpy as np, onnxruntime\n"
    "model = onnxruntime.InferenceSession({path!r})\n"
    "model.run(None, {{'X': np.ones((1, {n}), np.float32)}})",
}
STARTS["scikit-learn, pickle"] = STARTS["pickle"]
_WRAPPER = """
#include "net.h"

void rows(const float *x, float *out, int n, int times)
{
    for (int k = 0; k < times; k++)
        for (int i = 0; i < n; i++)
            net_predict_proba(x + i * NET_N_FEATURES, out + i * NET_N_CLASSES);
}

int main(void)
{
    float x[NET_N_FEATURES] = {0}, out[NET_N_CLASSES];
    rows(x, out, 1, 1);
    return out[0] < 0.0f;
}
"""


def installed_bytes(names):
    """Of the files of some packages."""
    total = 0
    for name in names:
        for file in distribution(name).files or ():
            path = Path(file.locate())
            total += path.stat().st_size if path.is_file() else 0
    if "skmlp" in names:  # from a clone, its files are elsewhere
        sources = Path(skmlp.__file__).parent.rglob("*.py")
        total += sum(path.stat().st_size for path in sources)
    return total


def make_models(options):
    """Fitted classifiers: skmlp's, and scikit-learn's on the same rows."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2000, N_FEATURES)).astype(np.float32)
    y = np.digitize(X[:, 0] + X[:, 1] * X[:, 2], [-1, 0, 1])
    if options.tables:
        ours = skmlp.TabularMLPClassifier(quality=options.tables, random_state=0)
        return ours.fit(X, y), None
    settings = {"hidden_layer_sizes": options.hidden, "max_iter": 20}
    models = skmlp.MLPClassifier(**settings), neural_network.MLPClassifier(**settings)
    return [model.fit(X, y) for model in models]


def write_files(ours, theirs, folder):
    """The path of the file of each way."""
    paths = {name: folder / name.replace(", ", "-") for name in NEEDS}
    del paths["skmlp, in the process"]
    paths["pickle"].write_bytes(pickle.dumps(ours))
    skmlp.save(ours, paths["safetensors"], resume=False)
    paths["onnxruntime"].write_bytes(to_onnx(ours).SerializeToString())
    if theirs is None:
        del paths["scikit-learn, pickle"]
    else:
        paths["scikit-learn, pickle"].write_bytes(pickle.dumps(theirs))
    (folder / "net.h").write_text(to_c(ours, "net"))
    (folder / "net.c").write_text(_WRAPPER)
    cc = [shutil.which("cc"), "-std=c99", "-O3", "-march=native", "-ffast-math"]
    for kind, output in ([], "C"), (["-shared", "-fPIC"], "net.so"):
        command = [*cc, *kind, "net.c", "-o", output, "-lm"]
        subprocess.run(command, cwd=folder, check=True)
    return paths


def make_calls(ours, theirs, paths, folder):
    """Of each way, a function of rows that gives their probabilities."""
    session = onnxruntime.InferenceSession(paths["onnxruntime"])
    library = ctypes.CDLL(str(folder / "net.so"))
    n_classes = len(ours.classes_)

    def in_c(X, times=1):
        out = np.empty((len(X), n_classes), np.float32)
        memory = (ctypes.c_void_p(array.ctypes.data) for array in (X, out))
        library.rows(*memory, len(X), times)
        return out

    calls = {
        "skmlp, in the process": ours.predict_proba,
        "onnxruntime": lambda X: session.run(["probabilities"], {"X": X})[0],
        "C": in_c,
    }
    if theirs is not None:
        calls["scikit-learn, pickle"] = theirs.predict_proba
    return calls


def start_up(paths, n_repeats):
    """Medians of seconds from the start of a process to its first prediction."""
    times = {name: [] for name in paths}
    for _ in range(n_repeats):
        for name, path in paths.items():
            command = [str(path)]
            if name != "C":
                code = STARTS[name].format(path=str(path), n=N_FEATURES)
                command = [sys.executable, "-W", "ignore", "-c", code]
            times[name].append(seconds(partial(subprocess.run, command, check=True))[0])
    return {name: median(values) for name, values in times.items()}


def main():
    parser = make_parser(__doc__, repeats=11)
    parser.add_argument("--hidden", type=int, nargs="+", default=[100])
    parser.add_argument(
        "--tables", choices=("fast", "default", "best"), help="of TabularMLPClassifier"
    )
    options = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    ours, theirs = make_models(options)
    rng = np.random.default_rng(1)
    X = rng.normal(size=(N_ROWS, N_FEATURES)).astype(np.float32)
    with TemporaryDirectory() as name:
        folder = Path(name)
        paths = write_files(ours, theirs, folder)
        calls = make_calls(ours, theirs, paths, folder)
        expected = ours.predict_proba(X)
        for way in ("onnxruntime", "C"):
            np.testing.assert_allclose(calls[way](X), expected, atol=2e-5)
        one = {name: partial(call, X[:1]) for name, call in calls.items()}
        one["C"] = partial(calls["C"], X[:1], 100)  # the call from Python takes longer
        latency, _ = interleaved(one, options.repeats, 200)
        latency["C"] /= 100
        many = {name: partial(call, X) for name, call in calls.items()}
        throughput, _ = interleaved(many, options.repeats, 5)
        starts = start_up(paths, options.repeats)
        sizes = {name: path.stat().st_size for name, path in paths.items()}
    for name in ("pickle", "safetensors"):  # once loaded, they are the same
        latency[name] = latency["skmlp, in the process"]
        throughput[name] = throughput["skmlp, in the process"]
    what = f"MLPClassifier, hidden {options.hidden}"
    if options.tables:
        what = f"TabularMLPClassifier, quality {options.tables!r}"
    print(machine())
    print(
        f"{what}, {N_FEATURES} features, {len(ours.classes_)} classes, float32, median"
        f" of {options.repeats} interleaved runs, warm cache of kernels.\n"
    )
    rows = [
        (
            name,
            f"{sizes[name] / 1e3:,.0f} kB" if name in sizes else "",
            format_bytes(installed_bytes(NEEDS[name])),
            format_seconds(starts[name]) if name in starts else "",
            format_seconds(latency[name]),
            format_seconds(throughput[name]),
        )
        for name in NEEDS
        if name in latency
    ]
    header = ["", "file", "installed beside it", "start-up"]
    header += ["one row", f"{N_ROWS:,} rows"]
    print(table(header, rows, markdown=options.markdown))


if __name__ == "__main__":
    main()
