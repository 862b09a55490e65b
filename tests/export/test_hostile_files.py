"""Files that are damaged, or made to do harm: refused, or harmless."""

import json
import struct

import numpy as np
import pytest
from export.models import assert_same_outputs, fitted
from safetensors.numpy import save as save_tensors

from skmlp import load, save
from skmlp.export.container import FORMAT, pack, unpack

SMALL = "normalized", "amsgrad", "gaussian", "table multiclass", "table regression"


@pytest.fixture(params=SMALL)
def saved(request, tmp_path):
    """(fitted estimator, rows to predict, the bytes of its file)."""
    model, X = fitted(request.param)
    save(model, tmp_path / "good")
    return model, X[:3], (tmp_path / "good").read_bytes()


def check(data, path, model, X):
    """Bytes of a damaged file: refused, or of the same model. True if refused."""
    path.write_bytes(data)
    try:
        other = load(path)
    except ValueError:
        return True
    assert_same_outputs(model, other, X)
    return False


def test_a_flipped_bit(saved, tmp_path):
    """1,000 random bits, half of them in the header."""
    model, X, data = saved
    rng = np.random.default_rng(0)
    n_header = 8 + int.from_bytes(data[:8], "little")
    n_refused = 0
    for n_bytes in (n_header, len(data)):
        for place in rng.integers(8 * n_bytes, size=500):
            damaged = bytearray(data)
            damaged[place // 8] ^= 1 << (place % 8)
            n_refused += check(bytes(damaged), tmp_path / "bad", model, X)
    assert n_refused > 950


LETTERS_OF_JSON = list(b'0123456789{}[]",:-eE')


def mutate(data, rng):
    """Bytes with some cut out, put in, repeated, swapped or overwritten."""
    data = bytearray(data)
    n_header = 8 + int.from_bytes(data[:8], "little")
    for _ in range(rng.integers(1, 4)):
        end = n_header if rng.random() < 0.6 else len(data)
        first = int(rng.integers(max(end, 1)))
        last = first + int(rng.integers(1, 40))
        kind = rng.integers(6)
        if kind == 0:
            del data[first:last]
        elif kind == 1:
            data[first:first] = rng.bytes(last - first)
        elif kind == 2:
            data[first:first] = data[first:last]
        elif kind == 3:
            del data[first:]
        elif kind == 4:
            data[first:last] = rng.bytes(last - first)
        else:
            data[first : first + 1] = rng.choice(
                list(b'0123456789{}[]",:-eE')
            ).tobytes()
    return bytes(data)


def test_random_damage(saved, tmp_path):
    """600 files of each of five models."""
    model, X, data = saved
    rng = np.random.default_rng(1)
    for _ in range(600):
        check(mutate(data, rng), tmp_path / "bad", model, X)


HOSTILE_VALUES = (
    *(None, True, 0, -1, 1, 2, 3, 2**31, 2**62, 2**63, 10**400, 0.5, -0.5, 1e308),
    *("", "nan", "inf", "softmax", "__import__('os')", "\ud800", "x" * 1000),
    *([], [[]], [1, 2], [0] * 10_000, [1] * 100_000, {}, {"a": 1}),
    *({"float": "nan"}, {"tuple": [1]}, {"dict": [[[], 1]]}, {"dict": [1]}),
    *({"decimal": ["sNaN"]}, {"decimal": []}, {"bytes": [300]}, {"scalar": ["f4", []]}),
    *({"object": ["Cosine", {"a": 1}]}, {"object": ["os.system", {}]}),
    *({"object": ["Mixup", {"alpha": -1}]}, {"array": {"dtype": "U9", "values": "x"}}),
)


def nodes(value):
    """(container, key) of each node of a document."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in list(items):
        yield value, key
        if isinstance(item, (dict, list)):
            yield from nodes(item)


def hostile_tensor(array, rng):
    """Another tensor in the place of one."""
    random = np.frombuffer(rng.bytes(array.nbytes), array.dtype)
    floats = "f4" if array.dtype == "f4" else "f8"
    kinds = [
        lambda: array[:0],
        lambda: array[: len(array) // 2],
        lambda: np.concatenate([array, array]),
        lambda: array.ravel()[:, None],
        lambda: array.astype("f8"),
        lambda: array.astype("i8"),
        lambda: np.full(array.shape, -1).astype(array.dtype),
        lambda: np.full(array.shape, 255).astype(array.dtype),
        lambda: np.full(array.shape, np.nan, floats),
        lambda: np.full(array.shape, np.inf, floats),
        lambda: random.reshape(array.shape),
    ]
    with np.errstate(all="ignore"):
        return np.ascontiguousarray(rng.choice(kinds)())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", SMALL)
def test_wrong_content_with_a_right_digest(name, tmp_path):
    """Whoever writes such a file knows sha256 too: each part is checked, and what
    loads can predict, or refuses to."""
    model, X = fitted(name)
    save(model, tmp_path / "good")
    data, rng = (tmp_path / "good").read_bytes(), np.random.default_rng(2)
    n_loaded = 0
    for i in range(500):
        document, tensors = unpack(data)
        if i % 3:
            places = list(nodes(document))
            for _ in range(rng.integers(1, 3)):
                container, key = places[rng.integers(len(places))]
                container[key] = HOSTILE_VALUES[rng.integers(len(HOSTILE_VALUES))]
        else:
            key = rng.choice(sorted(tensors))
            tensors[key] = hostile_tensor(tensors[key], rng)
        try:
            (tmp_path / "bad").write_bytes(pack(document, tensors))
        except (ValueError, UnicodeError):
            continue  # not even JSON
        try:
            other = load(tmp_path / "bad")
        except ValueError:
            continue
        n_loaded += 1
        try:
            other.predict(X[:3])
        except ValueError:
            continue
    assert n_loaded < 250


def file_of(header, rest=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + rest


def about(**document):
    return {"skmlp": json.dumps(document)}


def described(**others):
    document = {"class": "MLPClassifier", "parameters": {}, "fitted": {}}
    return pack(document | others, {})


TENSOR = {"dtype": "F64", "shape": [2], "data_offsets": [0, 16]}
HOSTILE_FILES = {
    "empty": b"",
    "short": b"\x01\x00",
    "huge header": file_of({}, length=2**63),
    "header beyond the end": file_of({}, length=2**20),
    "no JSON": file_of(b"\xff\xfe{}"),
    "deep JSON": file_of(b"[" * 1_000_000),
    "a list": file_of([]),
    "duplicate keys": file_of(b'{"__metadata__":{"skmlp":"{}","skmlp":"{}"}}'),
    "another package": save_tensors({"a": np.zeros(3)}, metadata={"format": "pt"}),
    "no metadata": save_tensors({"a": np.zeros(3)}),
    "a pickle": b"\x80\x04cos\nsystem\n(S'true'\ntR.",
    "no format": file_of({"__metadata__": about()}),
    "newer format": file_of({"__metadata__": about(format=FORMAT + 1)}),
    "format zero": file_of({"__metadata__": about(format=0)}),
    "negative offset": file_of(
        {
            "__metadata__": about(format=1),
            "a": {**TENSOR, "data_offsets": [-16, 0]},
        },
        bytes(16),
    ),
    "overlapping": file_of(
        {"__metadata__": about(format=1), "a": TENSOR, "b": TENSOR}, bytes(16)
    ),
    "claims more": file_of(
        {
            "__metadata__": about(format=1),
            "a": {"dtype": "F64", "shape": [2**40], "data_offsets": [0, 2**43]},
        },
        bytes(16),
    ),
    "sizes overflow": file_of(
        {
            "__metadata__": about(format=1),
            "a": {"dtype": "F64", "shape": [2**62, 2**62], "data_offsets": [0, 16]},
        },
        bytes(16),
    ),
    "trailing bytes": file_of(
        {"__metadata__": about(format=1), "a": TENSOR}, bytes(17)
    ),
    "unknown type": file_of(
        {"__metadata__": about(format=1), "a": {**TENSOR, "dtype": "F128"}}, bytes(16)
    ),
    "no class": pack({}, {}),
    "unknown class": described(**{"class": "os.system"}),
    "nothing fitted": described(),
    "unknown parameter": described(parameters={"shell": "true"}),
}


@pytest.mark.parametrize("name", HOSTILE_FILES)
def test_hostile_files(name, tmp_path):
    path = tmp_path / "bad"
    path.write_bytes(HOSTILE_FILES[name])
    with pytest.raises(ValueError, match="bad holds no valid model: "):
        load(path)


def test_newer_format_says_so(tmp_path):
    path = tmp_path / "bad"
    path.write_bytes(HOSTILE_FILES["newer format"])
    with pytest.raises(ValueError, match="update skmlp"):
        load(path)


def test_a_million_layers(tmp_path):
    """Whatever a file claims, nothing is computed for it before its numbers are
    there."""
    model, _ = fitted("gaussian")
    save(model, tmp_path / "good")
    data = (tmp_path / "good").read_bytes()
    for n_layers, n_units in ((1_000_000, 1), (9_000, 2**31), (3, 2**31)):
        document, tensors = unpack(data)
        architecture = document["fitted"]["network"]["architecture"]
        architecture["sizes"] = [n_units] * n_layers
        for name, n in ("activations", 2), ("normalizations", 2), ("dropouts", 1):
            architecture[name] = architecture[name][:1] * min(n_layers - n, 9000)
        (tmp_path / "bad").write_bytes(pack(document, tensors))
        with pytest.raises(ValueError, match="holds no valid model"):
            load(tmp_path / "bad")


def test_nothing_is_run(tmp_path, monkeypatch):
    """Loading imports nothing beyond safetensors, and opens one file."""
    import sys

    model, _ = fitted("early stopping")
    save(model, tmp_path / "good")
    load(tmp_path / "good")
    opened = []
    sys.addaudithook(
        lambda event, args: (
            opened.append(event)
            if event in ("open", "exec", "compile", "import", "os.system")
            else None
        )
    )
    load(tmp_path / "good")
    events = opened.copy()
    assert events.count("open") == 1
    assert not {"exec", "compile", "os.system"} & set(events)
