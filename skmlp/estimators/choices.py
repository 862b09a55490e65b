"""What a choice of parameters may be: rules, and the check of a fit against them."""

from collections.abc import Callable
from typing import Any, NamedTuple

from skmlp.machine.warning import shown, warn


class Case(NamedTuple):
    """A fit as far as parameters depend on it.

    Attributes
    ----------
    model : estimator
    validates : bool
        Whether there are validation rows.
    incremental : bool
        Whether it is a call of `partial_fit`.
    sparse, multilabel : bool
        What X and y are.
    """

    model: Any
    validates: bool
    incremental: bool
    sparse: bool
    multilabel: bool


class Need(NamedTuple):
    """With what a parameter has an effect: elsewhere, one that is set is named.

    Attributes
    ----------
    where : str
        In words.
    holds : callable
        ``Case -> bool``.
    values : str, default=""
        Which of its values need it, if not all.
    """

    where: str
    holds: Callable
    values: str = ""


class Clash(NamedTuple):
    """A combination in which a parameter makes no sense.

    Attributes
    ----------
    where : str
        In words.
    holds : callable
        ``Case -> bool``: whether it is so.
    message : str
        Why, and the remedy. It may have the fields ``{name}`` and ``{value}``.
    """

    where: str
    holds: Callable
    message: str


class Parameter(NamedTuple):
    """A row of the table.

    Attributes
    ----------
    group : str
        What it is for.
    allowed : list
        scikit-learn's constraints.
    needs, clashes : tuple
        Of `Need` and `Clash`. scikit-learn's own parameters, such as `momentum` with
        'adam', are ignored in silence, as there.
    """

    group: str
    allowed: list
    needs: tuple = ()
    clashes: tuple = ()


def constraints_of(table):
    """scikit-learn's ``_parameter_constraints`` of a table."""
    return {name: row.allowed for name, row in table.items()}


def check_choices(case, table, rules):
    """Refuse what makes no sense together, and name what is set in vain, once in a fit.

    Raises
    ------
    ValueError
        If a parameter clashes with another one, or with the data.
    """
    ignored = []
    for name, row in table.items():
        for clash in row.clashes:
            if clash.holds(case):
                value = shown(getattr(case.model, name))
                raise ValueError(clash.message.format(name=name, value=value))
        for need in row.needs:
            value = getattr(case.model, name)
            if not (_is_default(value, rules[name].default) or need.holds(case)):
                ignored.append(
                    f"{name}={shown(value)} has an effect with {need.where} only"
                )
    if ignored:
        warn(f"{', and '.join(ignored)}: it is ignored here.")


def _is_default(value, default):
    return value is default or (type(value) is type(default) and value == default)
