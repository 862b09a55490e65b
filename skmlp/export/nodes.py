"""A plan as nodes of an ONNX graph.

All functions take a graph ``g``: ``g.constant(array)`` and ``g.node(operator, *inputs,
**attributes)`` give the name of a result, and ``g.nodes(operator, n, ...)`` the names
of n results. Operators are those of opset 13. Networks compute in float32; what is
before and behind them in float64, as in Python.

To add an activation or a link: a row in ``ACTIVATIONS`` or ``LINKS``.
"""

import numpy as np

from skmlp.export.labels import kind_of_labels
from skmlp.export.plan import GATES

# Numbers of types in ONNX.
FLOAT, INT64, STRING, DOUBLE = 1, 7, 8, 11
TYPES = {"string": STRING, "integer": INT64, "number": FLOAT}
ML = "ai.onnx.ml"
_SELU = {"alpha": 1.6732632423543772, "gamma": 1.0507009873554805}


def _single(g, value):
    return g.constant(np.array(value, np.float32))


def _double(g, value):
    return g.constant(np.array(value, np.float64))


def _cast(g, value, to):
    return g.node("Cast", value, to=to)


def _operator(name, **attributes):
    return lambda g, z: g.node(name, z, **attributes)


def _gelu(g, z):
    """z (1 + erf(z / sqrt(2))) / 2."""
    erf = g.node("Erf", g.node("Mul", z, _single(g, 0.5**0.5)))
    twice = g.node("Add", erf, _single(g, 1))
    return g.node("Mul", g.node("Mul", z, _single(g, 0.5)), twice)


def _silu(g, z):
    return g.node("Mul", z, g.node("Sigmoid", z))


def _mish(g, z):
    return g.node("Mul", z, g.node("Tanh", g.node("Softplus", z)))


def _hard_tanh(g, z):
    return g.node("Clip", z, _single(g, -1), _single(g, 1))


ACTIVATIONS = {
    "identity": lambda g, z: z,
    "logistic": _operator("Sigmoid"),
    "tanh": _operator("Tanh"),
    "relu": _operator("Relu"),
    "leaky_relu": _operator("LeakyRelu", alpha=0.01),
    "elu": _operator("Elu", alpha=1.0),
    "selu": _operator("Selu", **_SELU),
    "softplus": _operator("Softplus"),
    "softsign": _operator("Softsign"),
    "hard_sigmoid": _operator("HardSigmoid", alpha=1 / 6, beta=0.5),
    "hard_tanh": _hard_tanh,
    "gelu": _gelu,
    "silu": _silu,
    "mish": _mish,
}


def _gaussian(g, raw, plan):
    """Means as they are, and deviations."""
    n = plan.n_outputs // 2
    mean, log_variance = _halves(g, raw, n)
    variance = g.node("Exp", log_variance)
    std = g.node("Sqrt", g.node("Add", variance, _single(g, plan.least_variance)))
    return g.node("Concat", mean, std, axis=1)


def _sorted(g, raw, plan):
    k = g.constant(np.array([plan.n_outputs]))
    return g.nodes("TopK", 2, raw, k, axis=1, largest=0, sorted=1)[0]


LINKS = {
    "identity": lambda g, raw, plan: raw,
    "sorted": _sorted,
    "gaussian": _gaussian,
    "exp": lambda g, raw, plan: g.node("Exp", raw),
    "logistic": lambda g, raw, plan: g.node("Sigmoid", raw),
    "softmax": lambda g, raw, plan: g.node("Softmax", raw, axis=1),
    "relu": lambda g, raw, plan: g.node("Relu", raw),
    "tanh": lambda g, raw, plan: g.node("Tanh", raw),
}


def _halves(g, value, n):
    return g.nodes("Split", 2, value, g.constant(np.array([n, n])), axis=1)


def _mean_of_units(g, value, width):
    return g.node("MatMul", value, _single(g, np.full((width, 1), 1 / width)))


def _affine(g, A, layer):
    """norm(A W) + b."""
    W, b = _single(g, layer.weights), _single(g, layer.bias)
    if layer.norm is None:
        return g.node("Gemm", A, W, b)
    Z, width = g.node("MatMul", A, W), layer.bias.size
    centered = g.node("Sub", Z, _mean_of_units(g, Z, width))
    variance = _mean_of_units(g, g.node("Mul", centered, centered), width)
    variance = g.node("Add", variance, _single(g, layer.norm.epsilon))
    normal = g.node("Div", centered, g.node("Sqrt", variance))
    return g.node("Add", g.node("Mul", normal, _single(g, layer.norm.scale)), b)


def _layer(g, A, layer):
    Z = _affine(g, A, layer)
    if layer.activation in GATES:
        u, v = _halves(g, Z, layer.bias.size // 2)
        return g.node("Mul", u, ACTIVATIONS[GATES[layer.activation]](g, v))
    A = ACTIVATIONS[layer.activation](g, Z)
    if layer.mix is None:
        return A
    change = g.node("Mul", g.node("Sub", A, Z), _single(g, layer.mix))
    return g.node("Add", Z, change)


def _embed(g, numbers, codes, embedding):
    """The units of the input.

    Parameters
    ----------
    numbers : str
        Float32, of shape (n_rows, n_numbers); unused if there are none.
    codes : list of str
        Int64, of shape (n_rows,), of each column of categories.
    """
    parts = [numbers] if embedding.n_numbers else []
    if embedding.piece_of.size:
        x = g.node("Gather", numbers, g.constant(embedding.piece_of), axis=1)
        low = _single(g, embedding.low)
        length = g.node("Sub", _single(g, embedding.high), low)
        come = g.node("Div", g.node("Sub", x, low), length)
        parts.append(g.node("Clip", come, _single(g, 0), _single(g, 1)))
    for vectors, code in zip(embedding.vectors, codes):
        parts.append(g.node("Gather", _single(g, vectors), code, axis=0))
    if embedding.wave_of.size:
        parts.append(_waves(g, numbers, embedding))
    return parts[0] if len(parts) == 1 else g.node("Concat", *parts, axis=1)


def _waves(g, numbers, embedding):
    """cos(2 pi t) of t = w x + b, without its whole turns."""
    x = g.node("Gather", numbers, g.constant(embedding.wave_of), axis=1)
    turns = g.node("Mul", x, _single(g, embedding.frequencies))
    turns = g.node("Add", turns, _single(g, embedding.shifts))
    rest = g.node("Sub", turns, g.node("Round", turns))
    return g.node("Cos", g.node("Mul", rest, _single(g, 2 * np.pi)))


def encode(g, table, numbers, categories):
    """(scaled numbers and indicators, codes of each column of categories).

    Parameters
    ----------
    table : Table
    numbers : str
        Of shape (n_rows, n_numbers), float32 or float64.
    categories : list of (str, int)
        Of each column of categories, its values, of shape (n_rows, 1), and their type.
    """
    parts = []
    if table.scaled.size:
        parts.append(_scale(g, table, numbers))
    if table.indicated.size:
        chosen = g.node("Gather", numbers, g.constant(table.indicated), axis=1)
        parts.append(_cast(g, g.node("IsNaN", chosen), FLOAT))
    encoded = g.node("Concat", *parts, axis=1) if parts else ""
    codes = [
        _codes(g, value, kind, own)
        for (value, kind), own in zip(categories, table.categories)
    ]
    return encoded, codes


def _scale(g, table, numbers):
    """limit t / sqrt(1 + t^2) with t = gain (x - center), in float64; 0 for NaN."""
    x = _cast(g, g.node("Gather", numbers, g.constant(table.scaled), axis=1), DOUBLE)
    missing = g.node("IsNaN", x)
    x = g.node("Where", missing, _double(g, table.center), x)
    t = g.node(
        "Mul", g.node("Sub", x, _double(g, table.center)), _double(g, table.gain)
    )
    t = g.node("Clip", t, _double(g, -table.far), _double(g, table.far))
    root = g.node("Sqrt", g.node("Add", g.node("Mul", t, t), _double(g, 1)))
    scaled = g.node("Mul", g.node("Div", t, root), _double(g, table.limit))
    return _cast(g, scaled, FLOAT)


def _codes(g, value, kind, categories):
    """Each row's index into the categories, -1 if it has none of them."""
    n = len(categories)
    codes = {"values_int64s": [*range(n)] or [-1], "default_int64": -1}
    if kind == STRING:
        keys = {"keys_strings": [str(own) for own in categories] or [""]}
    elif kind == FLOAT:
        keys = {"keys_floats": [float(own) for own in categories] or [0.0]}
    else:
        keys = {"keys_int64s": [int(own) for own in categories] or [0]}
    flat = g.node("Reshape", value, g.constant(np.array([-1])))
    return g.node("LabelEncoder", flat, domain=ML, **keys, **codes)


def predict(g, plan, X, codes=()):
    """The mean prediction of all networks after the link, of shape (n_rows, n).

    In float32 for a single network, in float64 for the mean of several.
    """
    parts = [
        LINKS[plan.link](g, _raw(g, network, X, codes), plan)
        for network in plan.networks
    ]
    if plan.table is None and len(parts) == 1:
        return parts[0]
    parts = [_cast(g, part, DOUBLE) for part in parts]
    if plan.link != "gaussian":
        return _weighted_sum(g, parts, plan.shares)
    halves = [_halves(g, part, plan.n_values) for part in parts]
    mean = _weighted_sum(g, [own for own, _ in halves], plan.shares)
    squares = [
        g.node("Add", g.node("Mul", own, own), g.node("Mul", std, std))
        for own, std in halves
    ]
    square = _weighted_sum(g, squares, plan.shares)
    variance = g.node("Sub", square, g.node("Mul", mean, mean))
    std = g.node("Sqrt", g.node("Max", variance, _double(g, 0)))
    return g.node("Concat", mean, std, axis=1)


def _raw(g, network, X, codes):
    A = X if network.embedding is None else _embed(g, X, codes, network.embedding)
    for layer in network.layers:
        A = _layer(g, A, layer)
    return A


def _weighted_sum(g, parts, shares):
    total, *others = (g.node("Mul", p, _double(g, s)) for p, s in zip(parts, shares))
    for part in others:
        total = g.node("Add", total, part)
    return total


def label_and_probabilities(g, plan, predicted, *, labels=True):
    """What a classifier gives: (labels, float32 probabilities).

    Parameters
    ----------
    predicted : str
        Of `predict`.
    labels : bool, default=True
        Whether labels are those of the classes, or their indices.
    """
    single = plan.n_outputs == 1 and not plan.multilabel
    of_type = _double if plan.table is not None else _single
    if single or plan.multilabel:
        over = g.node("Greater", predicted, of_type(g, 0.5))
        index = _cast(g, over, INT64)
    else:
        index = g.node("ArgMax", predicted, axis=1, keepdims=0)
    if single:
        index = g.node("Reshape", index, g.constant(np.array([-1])))
    y_prob = predicted
    if plan.calibration is not None and plan.calibration.factor:
        y_prob = _sharpen(g, predicted, plan)
    if single:
        rest = g.node("Sub", of_type(g, 1), y_prob)
        y_prob = g.node("Concat", rest, y_prob, axis=1)
    if not plan.multilabel and len(plan.classes) == 1:
        index, y_prob = _of_one_class(g, index, y_prob)
    if plan.table is not None:
        y_prob = _cast(g, y_prob, FLOAT)
    if plan.multilabel or not labels:
        return index, y_prob
    classes = kind_of_labels(plan.classes)[1]
    return g.node("Gather", g.constant(classes), index), y_prob


def _of_one_class(g, index, y_prob):
    zero = g.node("Mul", index, g.constant(np.array(0)))
    one = g.node("ReduceSum", y_prob, g.constant(np.array([1])), keepdims=1)
    return zero, g.node("Clip", one, _single(g, 1), _single(g, 1))


def _sharpen(g, y_prob, plan):
    """Probabilities at another temperature, mixed with equal ones; see
    ``skmlp.tabular.calibration``."""
    factor, n_rows, exclusive = plan.calibration
    smallest = np.finfo(np.float64).eps
    p = g.node("Clip", y_prob, _double(g, smallest), _double(g, 1 - smallest))
    z = g.node("Log", p)
    if not exclusive:
        z = g.node("Sub", z, g.node("Log", g.node("Sub", _double(g, 1), p)))
    z = g.node("Mul", z, _double(g, factor))
    p = g.node("Softmax", z, axis=1) if exclusive else g.node("Sigmoid", z)
    share, n_classes = 1 / (n_rows + 1), plan.n_outputs if exclusive else 2
    p = g.node("Mul", p, _double(g, 1 - share))
    return g.node("Add", p, _double(g, share / n_classes))


def values(g, plan, predicted):
    """What a regressor gives, in float32: (means or quantiles, deviations or None)."""
    std = None
    if plan.link == "gaussian":
        predicted, std = _halves(g, predicted, plan.n_values)
    if plan.scale is None:
        return predicted, std
    center, spread, low, high = (_double(g, own) for own in plan.scale)
    predicted = g.node("Add", g.node("Mul", predicted, spread), center)
    predicted = g.node("Min", g.node("Max", predicted, low), high)
    if std is not None:
        std = _cast(g, g.node("Mul", std, spread), FLOAT)
    return _cast(g, predicted, FLOAT), std
