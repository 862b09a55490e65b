"""Converters for skl2onnx, so that whole pipelines become ONNX models."""

import numpy as np

from skmlp.estimators.classifier import MLPClassifier
from skmlp.estimators.regressor import MLPRegressor
from skmlp.export import nodes
from skmlp.export.container import need
from skmlp.export.labels import kind_of_categories, kind_of_labels
from skmlp.export.plan import make_plan
from skmlp.tabular.classifier import TabularMLPClassifier
from skmlp.tabular.regressor import TabularMLPRegressor

_NUMBERS_OF_TYPES = {
    np.dtype(np.float32): nodes.FLOAT,
    np.dtype(np.float64): nodes.DOUBLE,
    np.dtype(np.int64): nodes.INT64,
    np.dtype(object): nodes.STRING,
}
_OPTIONS = {
    "zipmap": [True, False, "columns"],
    "nocl": [True, False],
    "output_class_labels": [False, True],
}


class ContainerGraph:
    """skl2onnx's graph, for the functions in ``nodes.py``."""

    def __init__(self, scope, container):
        self._scope, self._container = scope, container

    def constant(self, array):
        """The name of a constant."""
        name = self._scope.get_unique_variable_name("constant")
        kind, content = _NUMBERS_OF_TYPES[array.dtype], array.ravel()
        if kind == nodes.STRING:
            content = [own.encode() for own in content]
        self._container.add_initializer(name, kind, list(array.shape), content)
        return name

    def node(self, operator, *inputs, **attributes):
        """The name of a result."""
        return self.nodes(operator, 1, *inputs, **attributes)[0]

    def nodes(self, operator, n, *inputs, domain="", **attributes):
        """Names of n results."""
        outputs = [self._scope.get_unique_variable_name("result") for _ in range(n)]
        if domain == nodes.ML:  # skl2onnx would take the latest, which it refuses then
            attributes = {"op_domain": domain, "op_version": 2, **attributes}
        self._add(operator, inputs, outputs, **attributes)
        return outputs

    def finish(self, result, output, kind):
        """A result as an output of the operator, of that type."""
        self._add("Cast", [result], [output.full_name], to=kind)

    def _add(self, operator, inputs, outputs, **attributes):
        name = self._scope.get_unique_operator_name(operator)
        self._container.add_node(
            operator, list(inputs), list(outputs), name=name, **attributes
        )


def register_with_skl2onnx():
    """Teach skl2onnx the estimators of this package.

    From then on, ``skl2onnx.to_onnx`` and ``skl2onnx.convert_sklearn`` take pipelines,
    searches and ensembles that hold `MLPClassifier`, `MLPRegressor`,
    `TabularMLPClassifier` or `TabularMLPRegressor`, with the options ``zipmap``,
    ``nocl`` and ``output_class_labels`` of classifiers. Of loss="gaussian_nll", means
    come out. Inputs of an estimator for tables with categories are its columns, each of
    shape (n_rows, 1).

    Raises
    ------
    ImportError
        If skl2onnx is not installed.

    See Also
    --------
    to_onnx : Without skl2onnx, for a single estimator.

    Examples
    --------
    >>> import numpy as np
    >>> import skl2onnx
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skmlp import MLPRegressor
    >>> from skmlp.export import register_with_skl2onnx
    >>> register_with_skl2onnx()
    >>> X = np.array([[0.0], [1.0], [2.0]], dtype=np.float32)
    >>> pipe = make_pipeline(StandardScaler(), MLPRegressor(solver="lbfgs"))
    >>> onx = skl2onnx.to_onnx(pipe.fit(X, [1.0, 3.0, 5.0]), X)
    >>> [output.name for output in onx.graph.output]
    ['variable']
    """
    register = need("skl2onnx").update_registered_converter
    for cls in (MLPClassifier, TabularMLPClassifier):
        functions = _classifier_shapes, _convert_classifier
        register(cls, f"Skmlp{cls.__name__}", *functions, True, options=_OPTIONS)
    for cls in (MLPRegressor, TabularMLPRegressor):
        functions = _regressor_shapes, _convert_regressor
        register(cls, f"Skmlp{cls.__name__}", *functions, True)


def _kind_of_results(operator):
    """float64 in, float64 out; float32 otherwise."""
    types = need("skl2onnx.common.data_types")
    is_double = isinstance(operator.inputs[0].type, types.DoubleTensorType)
    return nodes.DOUBLE if is_double else nodes.FLOAT


def _type_of_results(operator):
    types = need("skl2onnx.common.data_types")
    is_double = _kind_of_results(operator) == nodes.DOUBLE
    return types.DoubleTensorType if is_double else types.FloatTensorType


def _classifier_shapes(operator):
    types = need("skl2onnx.common.data_types")
    plan, n_rows = make_plan(operator.raw_operator), operator.inputs[0].type.shape[0]
    n, label = len(plan.classes), types.Int64TensorType
    has_strings = not plan.multilabel and kind_of_labels(plan.classes)[0] == "string"
    if has_strings and not _without_labels(operator):
        label = types.StringTensorType
    shape = [n_rows, n] if plan.multilabel else [n_rows]
    operator.outputs[0].type = label(shape)
    operator.outputs[1].type = _type_of_results(operator)([n_rows, n])


def _regressor_shapes(operator):
    plan, n_rows = make_plan(operator.raw_operator), operator.inputs[0].type.shape[0]
    operator.outputs[0].type = _type_of_results(operator)([n_rows, plan.n_values])


def _without_labels(operator):
    options = operator.scope_inst.get_options(operator.raw_operator, {"nocl": False})
    return options["nocl"]


def _convert_classifier(scope, operator, container):
    g, plan, predicted = _predicted(scope, operator, container)
    labels = not _without_labels(operator)
    label, y_prob = nodes.label_and_probabilities(g, plan, predicted, labels=labels)
    has_strings = labels and not plan.multilabel
    has_strings = has_strings and kind_of_labels(plan.classes)[0] == "string"
    kind = nodes.STRING if has_strings else nodes.INT64
    g.finish(label, operator.outputs[0], kind)
    g.finish(y_prob, operator.outputs[1], _kind_of_results(operator))


def _convert_regressor(scope, operator, container):
    g, plan, predicted = _predicted(scope, operator, container)
    value, _ = nodes.values(g, plan, predicted)
    g.finish(value, operator.outputs[0], _kind_of_results(operator))


def _predicted(scope, operator, container):
    """(graph, plan, name of the mean prediction of the networks)."""
    g, plan = ContainerGraph(scope, container), make_plan(operator.raw_operator)
    X, codes = _inputs(g, plan, operator.inputs)
    return g, plan, nodes.predict(g, plan, X, codes)


def _inputs(g, plan, inputs):
    """(name of what the networks take, names of codes)."""
    table = plan.table
    if table is None or not table.categorical.size:
        # A table of numbers is scaled in float64, whatever they come as.
        kind = nodes.FLOAT if table is None else nodes.DOUBLE
        parts = [g.node("Cast", own.full_name, to=kind) for own in inputs]
        X = parts[0] if len(parts) == 1 else g.node("Concat", *parts, axis=1)
        return (X, []) if table is None else nodes.encode(g, table, X, [])
    if len(inputs) != plan.n_features:
        raise ValueError(
            f"{plan.owner} has columns of categories: give skl2onnx an input of shape"
            f" [None, 1] for each of the {plan.n_features} columns."
        )
    numbers = [
        g.node("Cast", inputs[j].full_name, to=nodes.DOUBLE) for j in table.numbers
    ]
    joined = g.node("Concat", *numbers, axis=1) if numbers else ""
    columns = [
        _category(g, inputs[place], own, plan.names[place])
        for place, own in zip(table.categorical, table.categories)
    ]
    return nodes.encode(g, table, joined, columns)


def _category(g, variable, categories, name):
    """(name, type) of a column of categories.

    Raises
    ------
    ValueError
        If the input has strings and the column has not, or the other way round.
    """
    types = need("skl2onnx.common.data_types")
    kind = nodes.TYPES[kind_of_categories(categories, name)]
    given = isinstance(variable.type, types.StringTensorType)
    if given != (kind == nodes.STRING):
        raise ValueError(
            f"Input {variable.full_name!r} is a {type(variable.type).__name__}, but"
            f" column {name!r} has the categories {categories[:5]}: change the type."
        )
    if given:
        return variable.full_name, kind
    return g.node("Cast", variable.full_name, to=kind), kind
