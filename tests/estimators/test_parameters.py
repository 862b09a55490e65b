"""The table of parameters: what it says holds in code and documentation."""

import inspect
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from tables import entries, parameter_tables

from skmlp import MLPClassifier, MLPRegressor
from skmlp.estimators.parameters import OF_CLASSIFIER, OF_REGRESSOR

X = np.random.default_rng(0).normal(size=(12, 3))
y = np.arange(12) % 3
SCIKIT_LEARN_OWN = {
    *("power_t", "momentum", "nesterovs_momentum", "max_fun", "validation_fraction"),
    *("beta_1", "beta_2", "epsilon", "shuffle", "batch_size", "learning_rate_init"),
}
# parameter: (value, what makes it matter)
CHOICES = {
    "learning_rate": ("cosine", {"solver": "adam"}),
    "last_batch": ("drop", {"solver": "adam"}),
    "rho": (0.5, {"solver": "rmsprop"}),
    "l1_ratio": (0.5, {"alpha": 0.1, "solver": "adam"}),
    "scoring": ("loss", {"early_stopping": True, "validation_fraction": 0.5}),
    "norm_momentum": (0.5, {"normalization": [None, "batch"], "solver": "adam"}),
    "norm_statistics": ("population", {"normalization": "batch", "solver": "adam"}),
    "norm_epsilon": (0.1, {"normalization": "layer"}),
    "huber_delta": (2.0, {"loss": "huber"}),
    "tweedie_power": (1.2, {"loss": "tweedie"}),
    "nll_beta": (0.1, {"loss": "gaussian_nll", "solver": "adam"}),
    "dropout_schedule": ("cosine", {"dropout": (0.5, 0), "solver": "adam"}),
    "weight_decay_schedule": ("step", {"weight_decay": 0.1, "solver": "adam"}),
    "focal_gamma": (1.0, {"loss": "focal"}),
}
ELSEWHERE = {"l1_ratio": {"alpha": 0, "solver": "adam"}}
CASES = [
    (estimator, name)
    for estimator in (MLPClassifier, MLPRegressor)
    for name in CHOICES
    if name in estimator().get_params()
]


def texts_of_fit(estimator, **options):
    settings = {"hidden_layer_sizes": (3, 2), "max_iter": 1, "solver": "lbfgs"}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        estimator(**settings | options).fit(X, y)
    return [str(w.message) for w in caught if "has an effect" in str(w.message)]


TABLES = {MLPClassifier: OF_CLASSIFIER, MLPRegressor: OF_REGRESSOR}
each_table = pytest.mark.parametrize(("estimator", "table"), TABLES.items())
OF_EITHER = {"loss", "scoring"}  # shared by name only


@each_table
def test_signature_docstring_and_table_have_the_same_parameters(estimator, table):
    signature = inspect.signature(estimator).parameters
    assert list(signature) == list(entries(estimator))
    assert signature.keys() == table.keys()
    assert estimator._parameter_constraints.keys() == table.keys()


@each_table
def test_docstrings_have_the_defaults_of_signatures(estimator, table):
    for name, parameter in inspect.signature(estimator).parameters.items():
        pattern = r"default=(.*?)\.?(?:\n|$)"
        (text,) = re.findall(pattern, entries(estimator)[name], re.M)[:1]
        values = eval(text)
        if name in ("beta_1", "beta_2"):  # in one entry
            values = values[name == "beta_2"]
        assert values == parameter.default, name


def test_both_estimators_say_the_same_of_what_they_share():
    of_classifier, of_regressor = map(entries, TABLES)
    for name in of_classifier.keys() & of_regressor.keys() - OF_EITHER:
        assert of_classifier[name] == of_regressor[name], name


def test_the_page_has_a_row_for_each_parameter():
    page = parameter_tables()
    for name in OF_CLASSIFIER | OF_REGRESSOR:
        assert page.count(f"\n| `{name}` | ") == 1


def test_the_guide_names_what_clashes():
    guide = Path(__file__).parents[2] / "docs/guide/searching.md"
    section = guide.read_text("utf-8").split("### What does not go together")[1]
    section = section.split("\n## ")[0]
    for name, row in (OF_CLASSIFIER | OF_REGRESSOR).items():
        assert not row.clashes or re.search(rf"`{name}\b", section), name


def test_the_choices_are_complete():
    table = OF_CLASSIFIER | OF_REGRESSOR
    assert {name for name, row in table.items() if row.needs} == CHOICES.keys()


@pytest.mark.parametrize(("estimator", "name"), CASES)
def test_what_is_ignored_is_named(estimator, name):
    value, choice = CHOICES[name]
    (text,) = texts_of_fit(estimator, **{name: value}, **ELSEWHERE.get(name, {}))
    assert text.startswith(f"{name}={value!r} has an effect with ")
    assert not texts_of_fit(estimator, **choice, **{name: value})
    default = estimator().get_params()[name]
    assert not texts_of_fit(estimator, **{name: default})


def test_there_is_one_warning_for_all():
    (text,) = texts_of_fit(MLPRegressor, rho=0.5, huber_delta=2, scoring="r2")
    assert text.count("has an effect") == 3


def test_rows_given_to_fit_are_scored():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "Stochastic Optimizer")
        MLPRegressor(scoring="loss", max_iter=2).fit(X, y, X_val=X, y_val=y)


@pytest.mark.parametrize("name", sorted(SCIKIT_LEARN_OWN))
def test_those_of_scikit_learn_stay_silent(name):
    values = {"shuffle": False, "nesterovs_momentum": False, "batch_size": 5}
    values["max_fun"] = 50
    assert not texts_of_fit(MLPRegressor, **{name: values.get(name, 0.3)})
