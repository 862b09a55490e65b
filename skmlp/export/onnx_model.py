"""Fitted estimators as ONNX models."""

import numpy as np

from skmlp.export import nodes
from skmlp.export.container import need
from skmlp.export.labels import kind_of_categories, kind_of_labels
from skmlp.export.plan import make_plan
from skmlp.machine.version import __version__

_OLDEST, _OF_ML = 13, 3
_PREFIX = "skmlp_"  # of names inside of the graph


class Graph:
    """A graph that grows, for the functions in ``nodes.py``."""

    def __init__(self):
        self._onnx = need("onnx")
        self._nodes, self._constants = [], []

    def constant(self, array):
        """The name of a constant."""
        name = f"{_PREFIX}constant_{len(self._constants)}"
        tensor = self._onnx.numpy_helper.from_array(np.asarray(array), name)
        self._constants.append(tensor)
        return name

    def node(self, operator, *inputs, **attributes):
        """The name of a result."""
        return self.nodes(operator, 1, *inputs, **attributes)[0]

    def nodes(self, operator, n, *inputs, domain="", **attributes):
        """Names of n results."""
        number = len(self._nodes)
        outputs = [f"{_PREFIX}{number}_{k}" for k in range(n)]
        about = {"name": f"{operator}_{number}", "domain": domain, **attributes}
        node = self._onnx.helper.make_node(operator, inputs, outputs, **about)
        self._nodes.append(node)
        return outputs

    def rename(self, result, name):
        """Give a result the name of an output."""
        node = self._onnx.helper.make_node("Identity", [result], [name], name)
        self._nodes.append(node)

    def model(self, name, inputs, outputs, target_opset):
        """The whole model.

        Parameters
        ----------
        name : str
        inputs, outputs : list of (str, int, tuple)
            Name, number of the type and shape of each.
        target_opset : int
        """
        helper = self._onnx.helper
        inputs, outputs = (
            [helper.make_tensor_value_info(*value) for value in values]
            for values in (inputs, outputs)
        )
        graph = helper.make_graph(self._nodes, name, inputs, outputs, self._constants)
        opsets = [helper.make_opsetid("", target_opset)]
        if any(node.domain == nodes.ML for node in self._nodes):
            opsets.append(helper.make_opsetid(nodes.ML, _OF_ML))
        return helper.make_model(
            graph,
            producer_name="skmlp",
            producer_version=__version__,
            opset_imports=opsets,
            ir_version=helper.find_min_ir_version_for(opsets),
        )


def to_onnx(model, *, name=None, target_opset=18):
    """A fitted estimator as an ONNX model, which runs without Python.

    Inputs are float32 of shape (n_rows, n_features), named "X". A table with categories
    has an input of shape (n_rows, 1) for each column, of the name of the column in
    `fit`: float32 for numbers, and for categories string, int64 or float32, whichever
    `fit` has found in the column; of booleans int64, 0 and 1. Missing numbers are NaN.
    What is no known category counts as missing, such as "" or -1.

    Parameters
    ----------
    model : MLPClassifier, MLPRegressor, TabularMLPClassifier or TabularMLPRegressor
        Fitted.
    name : str, default=None
        Of the graph; the class if None.
    target_opset : int, default=18
        Version of the operators, from 13 to the latest that the installed onnx knows.

    Returns
    -------
    onnx.ModelProto
        With the outputs "label", int64 or string of shape (n_rows,), and
        "probabilities", float32 of shape (n_rows, n_classes), of a classifier; labels
        and probabilities are of shape (n_rows, n_labels) for multilabel targets. With
        the output "variable", float32 of shape (n_rows, n_targets) or (n_rows,
        n_quantiles), of a regressor, and "std" with loss="gaussian_nll".

    Raises
    ------
    NotFittedError
        If the model is not fitted.
    TypeError
        If it is none of these.
    ValueError
        If ``target_opset`` is out of range, or if labels or categories have types
        that ONNX has not.
    ImportError
        If onnx is not installed.

    Examples
    --------
    >>> from skmlp import MLPClassifier
    >>> from skmlp.export import to_onnx
    >>> clf = MLPClassifier(solver="lbfgs").fit([[0.0], [1.0]], ["a", "b"])
    >>> [output.name for output in to_onnx(clf).graph.output]
    ['label', 'probabilities']
    """
    plan = make_plan(model)
    g = Graph()
    latest = need("onnx").defs.onnx_opset_version()
    if not (isinstance(target_opset, int) and _OLDEST <= target_opset <= latest):
        raise ValueError(
            f"target_opset must be from {_OLDEST} to {latest}, got {target_opset!r}."
        )
    inputs, X, codes = _inputs(g, plan)
    predicted = nodes.predict(g, plan, X, codes)
    outputs = (_of_classifier if plan.is_classifier else _of_regressor)(
        g, plan, predicted
    )
    return g.model(name or plan.owner, inputs, outputs, target_opset)


def _inputs(g, plan):
    """(inputs, name of what the networks take, names of codes)."""
    table = plan.table
    if table is None:
        return [("X", nodes.FLOAT, (None, plan.n_features))], "X", []
    if not table.categorical.size:
        X, codes = nodes.encode(g, table, "X", [])
        return [("X", nodes.FLOAT, (None, plan.n_features))], X, codes
    _check_names(plan.names)
    kinds = dict.fromkeys(range(plan.n_features), nodes.FLOAT)
    for place, own in zip(table.categorical, table.categories):
        kinds[int(place)] = nodes.TYPES[kind_of_categories(own, plan.names[place])]
    inputs = [(name, kinds[j], (None, 1)) for j, name in enumerate(plan.names)]
    numbers = [plan.names[j] for j in table.numbers]
    joined = g.node("Concat", *numbers, axis=1) if numbers else ""
    columns = [(plan.names[j], kinds[j]) for j in table.categorical.tolist()]
    return inputs, *nodes.encode(g, table, joined, columns)


def _check_names(names):
    """Names of inputs must be none that the graph has, either."""
    taken = {"label", "probabilities", "variable", "std", ""}
    bad = [name for name in names if name in taken or name.startswith(_PREFIX)]
    if bad or len(set(names)) < len(names):
        raise ValueError(
            f"Names of columns become names of inputs: rename {bad or 'equal ones'}"
            " before fit."
        )


def _of_classifier(g, plan, predicted):
    label, y_prob = nodes.label_and_probabilities(g, plan, predicted)
    n, kind = len(plan.classes), nodes.INT64
    if not plan.multilabel:
        kind = nodes.TYPES[kind_of_labels(plan.classes)[0]]
    g.rename(label, "label")
    g.rename(y_prob, "probabilities")
    return [
        ("label", kind, (None, n) if plan.multilabel else (None,)),
        ("probabilities", nodes.FLOAT, (None, n)),
    ]


def _of_regressor(g, plan, predicted):
    value, std = nodes.values(g, plan, predicted)
    n = plan.n_values
    g.rename(value, "variable")
    outputs = [("variable", nodes.FLOAT, (None, n))]
    if std is not None:
        g.rename(std, "std")
        outputs.append(("std", nodes.FLOAT, (None, n)))
    return outputs
