"""A pytest plugin that makes scikit-learn's own tests of its MLP run skmlp's."""

import sklearn.neural_network

import skmlp

NAMES = "MLPClassifier", "MLPRegressor"


def pytest_configure(config):
    for name in NAMES:
        setattr(sklearn.neural_network, name, getattr(skmlp, name))


def pytest_report_collectionfinish(config, items):
    modules = {item.module for item in items}
    return [
        f"{name} of {getattr(m, name).__module__}" for m in modules for name in NAMES
    ]
