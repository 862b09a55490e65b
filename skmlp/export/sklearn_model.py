"""Fitted estimators as those of scikit-learn."""

from copy import deepcopy

import numpy as np
from sklearn import neural_network

from skmlp.estimators.numbers import InvalidParameterError, check_parameter
from skmlp.export.plan import make_plan
from skmlp.tabular.base import BaseTabularMLP

_ACTIVATIONS = "identity", "logistic", "tanh", "relu"
_LINKS = {True: ("logistic", "softmax"), False: ("identity", "exp")}  # of classifiers


def to_sklearn(model):
    """A fitted estimator as one of ``sklearn.neural_network`` that predicts the same.

    Batch normalization and the trained scale of the input are folded into `coefs_` and
    `intercepts_`. Tools that know scikit-learn's networks then know this one.

    Parameters
    ----------
    model : MLPClassifier or MLPRegressor
        Fitted, with one of scikit-learn's activations in all hidden layers.

    Returns
    -------
    sklearn.neural_network.MLPClassifier or sklearn.neural_network.MLPRegressor
        Fitted, with those parameters that both have. `partial_fit` trains on, with a
        new optimizer.

    Raises
    ------
    NotFittedError
        If the model is not fitted.
    TypeError
        If it is none of these.
    ValueError
        If scikit-learn has no such network; the message says what it lacks.

    Examples
    --------
    >>> from skmlp import MLPRegressor
    >>> from skmlp.export import to_sklearn
    >>> regr = MLPRegressor(normalization="batch", random_state=0, max_iter=1000)
    >>> _ = regr.fit([[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0])
    >>> theirs = to_sklearn(regr)
    >>> type(theirs).__module__.partition(".")[0]
    'sklearn'
    >>> bool(abs(theirs.predict([[0.5]]) - regr.predict([[0.5]])) < 1e-9)
    True
    """
    plan = make_plan(model)
    if isinstance(model, BaseTabularMLP):
        raise TypeError(
            f"{plan.owner} is an ensemble of networks behind an encoding of the table:"
            " export it with to_onnx or to_c, or save it."
        )
    layers = plan.networks[0].layers
    activation = _check(plan, layers[:-1])
    kind = "MLPClassifier" if plan.is_classifier else "MLPRegressor"
    cls = getattr(neural_network, kind)
    theirs = cls(**_parameters(model, cls, plan, activation))
    _put_network(theirs, plan, model._current_network().params.dtype)
    if hasattr(model, "feature_names_in_"):
        theirs.feature_names_in_ = model.feature_names_in_.copy()
    if plan.is_classifier:
        theirs.classes_ = plan.classes.copy()
        theirs._label_binarizer = deepcopy(model._label_binarizer)
    return theirs


def _check(plan, hidden):
    """The activation of all hidden layers.

    Raises
    ------
    ValueError
        If scikit-learn has no such network.
    """
    names = {layer.activation for layer in hidden} or {"identity"}
    lacking = [f"activation={name!r}" for name in sorted(names - {*_ACTIVATIONS})]
    if len(names) > 1 and not lacking:
        lacking.append("activations that differ between layers")
    if any(layer.norm for layer in hidden):
        lacking.append("normalization='layer'")
    if any(layer.mix is not None for layer in hidden):
        lacking.append("parametric_activation=True")
    if plan.link not in _LINKS[plan.is_classifier]:
        lacking.append(f"the link {plan.link!r} of its loss")
    if lacking:
        raise ValueError(
            f"scikit-learn's networks have not: {', '.join(lacking)}. Use to_onnx or"
            " to_c, or save the model."
        )
    (activation,) = names
    return activation


def _parameters(model, cls, plan, activation):
    """Parameters that both have, where scikit-learn allows the values."""
    theirs, ours = cls().get_params(), model.get_params()
    shared = {name: ours[name] for name in theirs.keys() & ours.keys()}
    layers = plan.networks[0].layers
    shared["hidden_layer_sizes"] = tuple(layer.bias.size for layer in layers[:-1])
    shared["activation"] = activation
    if "loss" in theirs:  # of a regressor: it is what the link follows from
        shared["loss"] = "poisson" if plan.link == "exp" else "squared_error"
    return {
        name: value if _is_allowed(cls, name, value) else theirs[name]
        for name, value in shared.items()
    }


def _is_allowed(cls, name, value):
    try:
        check_parameter(name, value, cls._parameter_constraints[name], cls.__name__)
    except InvalidParameterError:
        return False
    return True


def _put_network(theirs, plan, dtype):
    layers = plan.networks[0].layers
    theirs.coefs_ = [layer.weights.astype(dtype) for layer in layers]
    theirs.intercepts_ = [layer.bias.astype(dtype) for layer in layers]
    theirs.n_features_in_ = plan.n_features
    theirs.n_layers_, theirs.n_outputs_ = len(layers) + 1, plan.n_outputs
    theirs.out_activation_ = plan.link
    # What partial_fit looks at.
    theirs.n_iter_ = theirs.t_ = theirs._no_improvement_count = 0
    theirs.loss_curve_, theirs.best_loss_ = [], np.inf
    theirs.best_validation_score_ = theirs.validation_scores_ = None
