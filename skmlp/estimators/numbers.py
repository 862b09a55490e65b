"""Parameters that are numbers, as Python's int or float.

Users pass numbers of many types and sizes, such as ``np.int8(100)``, of which some
overflow on the way.  Past this gate there are two types, and none beyond what C holds.
"""

from functools import cache
from inspect import Parameter, signature
from itertools import pairwise
from math import inf
from numbers import Integral, Real
from sys import float_info
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils._param_validation import (
    Interval,
    InvalidParameterError,
    validate_parameter_constraints,
)

from skmlp.machine.warning import shown

_SETTLED_TYPES = int, float, bool, str, type(None)
_MOST_NUMBERS = 2**56
_LARGEST = {int: 2**63 - 1, float: float_info.max}


class Range(NamedTuple):
    """A range of numbers, faster to check than scikit-learn's `Interval`.

    Attributes
    ----------
    kind : type
        int or float.
    low, high : float
    closed : str
        Which ends belong to it.
    """

    kind: type
    low: float
    high: float
    closed: str

    def __contains__(self, number):
        return (
            self.low <= number <= self.high
            and (number != self.low or self.closed in ("left", "both"))
            and (number != self.high or self.closed in ("right", "both"))
        )


class Rule(NamedTuple):
    """Allowed values of a parameter.

    Attributes
    ----------
    constraints : list
        scikit-learn's.
    range : Range or None
        If it may be a number, or a list of them.
    default : object
    settled : bool
        Whether the default is allowed, cannot change and, if it is a number, is
        Python's own, so that there is nothing to look at.
    """

    constraints: list
    range: Range | None
    default: Any
    settled: bool


def make_rules(estimator_class):
    """A rule for each parameter."""
    defaults = {  # a subclass may override some of them
        name: parameter.default
        for cls in reversed(estimator_class.__mro__[:-1])
        for name, parameter in signature(cls).parameters.items()
    }
    rules = {}
    for name, constraints in estimator_class._parameter_constraints.items():
        default = defaults.get(name, Parameter.empty)
        allowed, owner = _range_of(constraints), estimator_class.__name__
        settled = _is_settled(name, default, constraints, owner)
        rules[name] = Rule(constraints, allowed, default, settled)
    return rules


def _is_settled(name, default, constraints, owner):
    if default is Parameter.empty:  # a subclass without this parameter
        return True
    items = default if type(default) is tuple else (default,)
    if not all(type(item) in _SETTLED_TYPES for item in items):
        return False
    try:
        check_parameter(name, default, constraints, owner)
    except InvalidParameterError:  # a subclass's own default: reported when used
        return False
    return True


def _range_of(constraints):
    for item in constraints:
        if isinstance(item, Interval):
            kind = int if item.type is Integral else float
            low = -inf if item.left is None else item.left
            high = inf if item.right is None else item.right
            return Range(kind, low, high, item.closed)
    return None


def check_parameters(parameters, rules, owner):
    """Check all parameters; returns the numbers among them as int or float.

    Settled defaults are left out.

    Raises
    ------
    InvalidParameterError
        If one of the parameters, be it a number or not, is not allowed.
    """
    numbers = {}
    for name, (constraints, allowed, default, settled) in rules.items():
        value = parameters.get(name, default)
        if settled and value is default:
            continue
        if allowed is not None and _is_number(value, allowed.kind):
            number = _as_python(value, allowed.kind, name, owner)
            numbers[name] = number
            if number in allowed:
                continue
            check_parameter(name, value, constraints, owner)  # raises, if need be
            value = number
        elif allowed is not None and isinstance(value, (list, tuple)):
            numbers[name] = [_as_python(v, allowed.kind, name, owner) for v in value]
        check_parameter(name, value, constraints, owner)
    return numbers


def check_parameter(name, value, constraints, owner):
    """Check a value as scikit-learn does, whose own check fails on values that it
    cannot compare or print.

    Raises
    ------
    InvalidParameterError
        If the value is not allowed.
    """
    try:
        if isinstance(value, np.timedelta64):  # NumPy takes it for an integer
            raise TypeError("durations are no numbers")
        with np.errstate(all="ignore"):  # float16 overflows in comparisons
            validate_parameter_constraints({name: constraints}, {name: value}, owner)
    except InvalidParameterError:
        raise
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidParameterError(
            f"The {name!r} parameter of {owner} must not be {shown(value)}: {error}."
        ) from error


def _is_number(value, kind):
    if type(value) is kind:
        return True
    abstract = Integral if kind is int else Real
    return isinstance(value, abstract) and not isinstance(value, np.timedelta64)


def _as_python(value, kind, name, owner):
    """An int or float; what is no number stays as it is."""
    if not _is_number(value, kind):
        return value
    try:
        number = kind(value)
    except OverflowError:  # finite, but too large for a float
        number = value
    if abs(number) > _LARGEST[kind] and abs(number) != inf:
        raise InvalidParameterError(
            f"The {name!r} parameter of {owner} must not be larger than"
            f" {_LARGEST[kind]}, got {shown(value)}."
        )
    return number


def as_sizes(hidden_layer_sizes):
    """A list of positive integers, from one or several.

    Raises
    ------
    ValueError
        If there are others.
    """
    sizes = hidden_layer_sizes
    sizes = list(sizes) if np.iterable(sizes) else [sizes]
    if not all(isinstance(size, Integral) for size in sizes):
        raise ValueError(f"hidden_layer_sizes must be integers, got {sizes}.")
    if any(size <= 0 for size in sizes):
        raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
    return [int(size) for size in sizes]


def check_size(sizes):
    """Refuse networks whose numbers cannot even be counted in memory."""
    n_numbers = sum(2 * n * (1 + below) for below, n in pairwise(sizes))
    if n_numbers > _MOST_NUMBERS:
        raise ValueError(
            f"hidden_layer_sizes={shown(tuple(sizes[1:-1]))} asks for more numbers than"
            " any memory can hold."
        )


class CheckedParameters:
    """The part of an estimator that knows what its parameters may be."""

    _parameter_constraints: dict

    @classmethod
    @cache
    def _get_param_names(cls):
        """scikit-learn inspects ``__init__`` each time, which takes long."""
        return super()._get_param_names()

    def _store_parameters(self, arguments):
        """Store the ``locals()`` of ``__init__`` unchanged."""
        vars(self).update((k, v) for k, v in arguments.items() if k != "self")

    @classmethod
    @cache
    def _rules(cls):
        return make_rules(cls)

    def _checked_parameters(self):
        """All parameters of this moment, numbers among them as Python's own."""
        state, rules = vars(self).copy(), self._rules()
        parameters = {name: state[name] for name in rules if name in state}
        return parameters | check_parameters(parameters, rules, type(self).__name__)

    def _validate_params(self):
        """Nothing: `fit` and `partial_fit` check parameters in any case."""
