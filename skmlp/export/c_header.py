"""Fitted estimators as C99 headers."""

import json
import re
from textwrap import dedent, indent

import numpy as np

from skmlp.export import c_code
from skmlp.export.labels import kind_of_labels
from skmlp.export.plan import GATES, make_plan
from skmlp.machine.version import __version__


def to_c(model, name):
    """A fitted estimator as the text of a C99 header, without heap or state.

    The header has

    - ``void <name>_predict(const float *x, float *out)`` for one row of
      ``<NAME>_N_FEATURES`` numbers. It writes ``<NAME>_N_OUT`` of them: targets,
      followed by their standard deviations with loss="gaussian_nll"; quantiles; of a
      classifier the number of the class, from 0; 0 or 1 for each label if they are
      multilabel;
    - ``void <name>_predict_proba(const float *x, float *out)`` of a classifier, which
      writes ``<NAME>_N_CLASSES`` probabilities;
    - ``<name>_class(int i)``, the label of a class: ``long long`` or ``const char *``.

    Categories come as codes, which a comment lists; any other number, such as -1, is no
    category. Missing numbers are NaN. All functions are static and thread-safe. What is
    before and behind the networks of an estimator for tables is computed in double.

    Parameters
    ----------
    model : MLPClassifier, MLPRegressor, TabularMLPClassifier or TabularMLPRegressor
        Fitted.
    name : str
        What all names begin with.

    Returns
    -------
    str

    Raises
    ------
    NotFittedError
        If the model is not fitted.
    TypeError
        If it is none of these.
    ValueError
        If ``name`` is no identifier of C, or if labels are neither integers nor
        strings.

    Examples
    --------
    >>> from skmlp import MLPRegressor
    >>> from skmlp.export import to_c
    >>> regr = MLPRegressor(solver="lbfgs").fit([[0.0], [1.0]], [1.0, 3.0])
    >>> "void line_predict(const float *x, float *out)" in to_c(regr, "line")
    True
    """
    if not (isinstance(name, str) and re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name)):
        raise ValueError(f"name must be an identifier of C, such as 'model': {name!r}.")
    plan = make_plan(model)
    header = Header(name)
    _write_network(header, plan)
    _write_mean(header, plan)
    if plan.is_classifier:
        _write_classifier(header, plan)
    else:
        _write_regressor(header, plan)
    return header.text(plan)


class Header:
    """A header that grows: constants and functions, whose names begin alike."""

    def __init__(self, name):
        self.name = name
        self._n_bytes = self._stack = 0
        self._parts = []

    def floats(self, name, values):
        """A constant array of float; returns its name."""
        values = np.ravel(values).astype(np.float32)
        return self._array("float", name, [_float(value) for value in values], 4)

    def doubles(self, name, values):
        """A constant array of double."""
        items = [repr(float(value)) for value in np.ravel(values)]
        return self._array("double", name, items, 8)

    def integers(self, name, values):
        """A constant array of int."""
        return self._array("int", name, [str(value) for value in values], 4)

    def _array(self, kind, name, items, size):
        name = f"{self.name}_{name}"
        self._n_bytes += size * len(items)
        lines = [", ".join(items[i : i + 8]) for i in range(0, len(items), 8)]
        body = ",\n    ".join(lines)
        self._parts.append(f"static const {kind} {name}[] = {{\n    {body}}};\n")
        return name

    def function(self, signature, *statements, stack=0, **fields):
        """A function, with ``$field`` replaced in its statements.

        ``stack`` is the number of bytes in its arrays.
        """
        self._stack += stack
        body = "".join(indent(_filled(own, fields), "    ") for own in statements)
        self._parts.append(f"static inline {signature}\n{{\n{body}}}\n")

    def text(self, plan):
        """The whole header."""
        big, parts = self.name.upper(), "\n".join(self._parts)
        sizes = {"N_FEATURES": plan.n_features, "N_OUT": _n_out(plan)}
        if plan.is_classifier:
            sizes["N_CLASSES"] = len(plan.classes)
        macros = "".join(f"#define {big}_{key} {n}\n" for key, n in sizes.items())
        about = (
            f"{plan.owner}, exported by skmlp {__version__}.",
            f"Constants: {self._n_bytes} bytes; arrays on the stack: at most"
            f" {self._stack} bytes.",
        )
        return (
            _comment([*about, *_inputs(plan)])
            + f"#ifndef {big}_H\n#define {big}_H\n\n#include <math.h>\n\n"
            + f"{macros}\n{parts}\n#endif\n"
        )


def _filled(text, fields):
    """Statements, dedented, with fields."""
    text = dedent(text).strip("\n")
    text = re.sub(r"\$(\w+)", lambda found: str(fields[found[1]]), text)
    return text + "\n" if text else ""


def _float(value):
    return f"{np.format_float_scientific(np.float32(value), unique=True, trim='0')}f"


def _comment(lines):
    return "/*\n" + "".join(f" * {line}\n" for line in lines) + " */\n"


def _inputs(plan):
    """Lines on the features, and on codes of categories."""
    yield "Features:"
    yield from (f"  x[{j}]: {_quoted(own)}" for j, own in enumerate(plan.names))
    if plan.table is None:
        return
    for place, own in zip(plan.table.categorical, plan.table.categories):
        yield f"Codes of x[{place}]; any other number is none of them:"
        yield from (f"  {code}: {_quoted(value)}" for code, value in enumerate(own))


def _quoted(value):
    """Text of ASCII that ends no comment, and has no trigraphs."""
    text = json.dumps(value if isinstance(value, str) else str(value))
    return text.replace("*", "\\u002a").replace("?", "\\u003f").replace("/", "\\u002f")


def _string(text):
    """A literal of C."""
    plain = {*range(32, 127)} - {*b'"\\?'}
    code = text.encode("utf-8", "surrogatepass")
    return '"' + "".join(chr(b) if b in plain else f"\\{b:03o}" for b in code) + '"'


def _n_out(plan):
    if plan.is_classifier:
        return len(plan.classes) if plan.multilabel else 1
    return plan.n_outputs


def _is_single(plan):
    """Whether one network takes the features as they are, all in float."""
    return plan.table is None and len(plan.networks) == 1


def _write_network(header, plan):
    """The network number m of those that are averaged, as a function."""
    name, layers = header.name, plan.networks[0].layers
    statements, stack, x = [], 0, "e"
    _write_leaves(header, layers)
    if plan.networks[0].embedding is not None:
        n_units = layers[0].weights.shape[0]
        _write_embedding(header, [network.embedding for network in plan.networks])
        statements.append(f"float units[{n_units}];\n{name}_embed(m, e, units);")
        stack, x = 4 * n_units, "units"
    widest = max((layer.bias.size for layer in layers[:-1]), default=0)
    if widest:
        statements.append(f"float a[{widest}], h[{widest}];")
    of_layers = list(zip(*(network.layers for network in plan.networks)))
    for i, own in enumerate(of_layers[:-1]):
        statements += [_affine(header, i, own, x, "h"), _activation(header, i, own)]
        x = "a"
    statements.append(_affine(header, len(layers) - 1, of_layers[-1], x, "z"))
    header.function(
        f"void {name}_network(int m, const float *e, float *z)",
        *statements,
        c_code.LINKS[plan.link],
        stack=stack + 8 * widest,
        n=plan.n_outputs,
        least=_float(plan.least_variance),
    )


def _write_leaves(header, layers):
    """Functions that the layers call."""
    name, hidden = header.name, layers[:-1]
    numbers = "const float *w, const float *b, const float *x"
    header.function(
        f"void {name}_dense({numbers}, int n_in, int n_out, float *z)", c_code.DENSE
    )
    if any(layer.norm for layer in hidden):
        numbers = "float epsilon, const float *scale, const float *b"
        header.function(
            f"void {name}_normalize(float *z, int n, {numbers})", c_code.NORMALIZE
        )
    for own in sorted({GATES.get(own.activation, own.activation) for own in hidden}):
        formula = f"return {c_code.ACTIVATIONS[own]};"
        header.function(f"float {name}_{own}(float z)", formula)


def _affine(header, i, layers, x, z):
    """Statements for z = norm(x W) + b, with the numbers of all networks."""
    name, (n_in, width) = header.name, layers[0].weights.shape
    w = header.floats(f"w{i}", [own.weights for own in layers])
    b = header.floats(f"b{i}", [own.bias for own in layers])
    w, b = f"{w} + m * {n_in * width}", f"{b} + m * {width}"
    norm = layers[0].norm
    if norm is None:
        return f"{name}_dense({w}, {b}, {x}, {n_in}, {width}, {z});"
    scale = header.floats(f"scale{i}", [own.norm.scale for own in layers])
    scale, epsilon = f"{scale} + m * {width}", _float(norm.epsilon)
    return (
        f"{name}_dense({w}, 0, {x}, {n_in}, {width}, {z});\n"
        f"{name}_normalize({z}, {width}, {epsilon}, {scale}, {b});"
    )


def _activation(header, i, layers):
    """Statements for a = f(h)."""
    name, first = header.name, layers[0]
    units, f = first.bias.size, first.activation
    value = f"{name}_{f}(h[j])"
    if f in GATES:
        units //= 2
        value = f"h[j] * {name}_{GATES[f]}(h[{units} + j])"
    if first.mix is not None:
        mix = header.floats(f"mix{i}", [own.mix for own in layers])
        value = f"h[j] + {mix}[m * {units} + j] * ({value} - h[j])"
    return f"for (int j = 0; j < {units}; j++)\n    a[j] = {value};"


def _write_embedding(header, embeddings):
    """From encoded columns to the units of the input."""
    own, floats = embeddings[0], header.floats
    at = n = own.n_numbers
    statements = [_filled(c_code.NUMBERS, {"n": n})]
    if own.piece_of.size:
        fields = {
            "n": own.piece_of.size,
            "first": at,
            "piece_of": header.integers("piece_of", own.piece_of),
            "low": floats("piece_low", [each.low for each in embeddings]),
            "high": floats("piece_high", [each.high for each in embeddings]),
        }
        statements.append(_filled(c_code.PIECES, fields))
        at += own.piece_of.size
    for k, vectors in enumerate(own.vectors):
        fields = {
            "n": vectors.shape[1],
            "first": at,
            "column": n + k,
            "size": len(vectors) - 1,
            "vectors": floats(f"vectors{k}", [each.vectors[k] for each in embeddings]),
        }
        statements.append(_filled(c_code.VECTOR, fields))
        at += vectors.shape[1]
    if own.wave_of.size:
        fields = {
            "n": own.wave_of.size,
            "first": at,
            "wave_of": header.integers("wave_of", own.wave_of),
            "frequencies": floats("w_waves", [each.frequencies for each in embeddings]),
            "shifts": floats("b_waves", [each.shifts for each in embeddings]),
        }
        statements.append(_filled(c_code.WAVES, fields))
    signature = f"void {header.name}_embed(int m, const float *e, float *a)"
    header.function(signature, "(void)m;", *statements)


def _write_mean(header, plan):
    """The mean prediction of all networks, in double if there are several."""
    name, n = header.name, plan.n_outputs
    if _is_single(plan):
        signature = f"void {name}_mean(const float *x, float *p)"
        header.function(signature, f"{name}_network(0, x, p);")
        return
    begin, stack = "const float *e = x;", 0
    if plan.table is not None:
        n_encoded = _write_encoder(header, plan.table)
        begin = f"float e[{n_encoded}];\n{name}_encode(x, e);"
        stack = 4 * n_encoded
    header.function(
        f"void {name}_mean(const float *x, double *out)",
        begin,
        c_code.MIXTURE if plan.link == "gaussian" else c_code.MEAN,
        stack=stack + 8 * n,
        n=n,
        n_networks=len(plan.networks),
        network=f"{name}_network",
        shares=header.doubles("shares", plan.shares),
    )


def _write_encoder(header, table):
    """From raw columns to encoded ones; returns how many there are."""
    statements, first = [], 0
    scaled, indicated = table.numbers[table.scaled], table.numbers[table.indicated]
    if scaled.size:
        fields = {
            "n": scaled.size,
            "scaled": header.integers("scaled", scaled),
            "center": header.doubles("center", table.center),
            "gain": header.doubles("gain", table.gain),
            "far": repr(table.far),
            "limit": repr(table.limit),
        }
        statements.append(_filled(c_code.SCALE, fields))
        first = scaled.size
    for text, name, places in (
        (c_code.INDICATE, "indicated", indicated),
        (c_code.CODES, "categorical", table.categorical),
    ):
        if places.size:
            fields = {"n": places.size, "first": first}
            fields["places"] = header.integers(name, places)
            statements.append(_filled(text, fields))
            first += places.size
    signature = f"void {header.name}_encode(const float *x, float *e)"
    header.function(signature, *statements)
    return first


def _begin(header, plan):
    """Statements for the mean prediction p."""
    kind = "float" if _is_single(plan) else "double"
    return f"{kind} p[{plan.n_outputs}];\n{header.name}_mean(x, p);"


def _write_regressor(header, plan):
    name, n = header.name, plan.n_outputs
    signature = f"void {name}_predict(const float *x, float *out)"
    if plan.scale is None:
        header.function(signature, _begin(header, plan), c_code.COPY, stack=8 * n, n=n)
        return
    fields = {
        key: header.doubles(f"target_{key}", values)
        for key, values in plan.scale._asdict().items()
    }
    header.function(
        signature,
        _begin(header, plan),
        c_code.RESTORE,
        c_code.DEVIATIONS if plan.link == "gaussian" else "",
        stack=8 * n,
        n=plan.n_values,
        **fields,
    )


def _write_classifier(header, plan):
    name, n = header.name, plan.n_outputs
    single = n == 1 and not plan.multilabel
    label = c_code.OVER_HALF if single or plan.multilabel else c_code.ARGMAX
    copy = c_code.SINGLE if single else c_code.COPY
    if not plan.multilabel and len(plan.classes) == 1:
        label, copy = "out[0] = 0.0f;", "out[0] = 1.0f;"
    for what, stack, *statements in (
        ("predict", 0, label),
        ("predict_proba", 8 * n, _sharpening(plan), copy),
    ):
        signature = f"void {name}_{what}(const float *x, float *out)"
        header.function(signature, _begin(header, plan), *statements, stack=stack, n=n)
    if not plan.multilabel:
        _write_classes(header, plan)


def _sharpening(plan):
    """Statements on p, as in ``skmlp.tabular.calibration``."""
    if plan.calibration is None or not plan.calibration.factor:
        return ""
    factor, n_rows, exclusive = plan.calibration
    smallest, share = float(np.finfo(np.float64).eps), 1 / (n_rows + 1)
    fields = {
        "n": plan.n_outputs,
        "factor": repr(float(factor)),
        "smallest": repr(smallest),
        "largest": repr(1 - smallest),
        "rest": repr(1 - share),
        "equal": repr(share / (plan.n_outputs if exclusive else 2)),
    }
    text = c_code.SHARPEN_CLASSES if exclusive else c_code.SHARPEN_LABELS
    return _filled(text, fields)


def _write_classes(header, plan):
    """Labels by number."""
    kind, classes = kind_of_labels(plan.classes)
    of_type, constant = "long long ", "const long long "
    items = [f"{own}LL" for own in classes]
    if kind == "string":
        of_type, constant = "const char *", "const char *const "
        items = [_string(own) for own in classes]
    body = ",\n    ".join(items)
    header.function(
        f"{of_type}{header.name}_class(int i)",
        f"static {constant}labels[] = {{\n    {body}}};",
        f"return labels[i < 0 || i >= {len(items)} ? 0 : i];",
    )
