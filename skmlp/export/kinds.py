"""Kinds of values in a model file: how each is written, and what is accepted.

A kind has two methods. ``dump`` turns a value into an item of JSON, and puts arrays
among the tensors under the name of the place; ``load`` is its inverse. Both refuse,
with a ValueError that names the place, whatever is not of the kind: what has been
written can be read, and what is read could have been written. Neither imports or
evaluates anything that a file names.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, isfinite, isnan
from operator import attrgetter
from typing import Any

import numpy as np

from skmlp.machine.warning import shown

_MOST = 2**63 - 1
_NOT_FINITE = {"inf": inf, "-inf": -inf, "nan": float("nan")}
TENSOR_DTYPES = frozenset("?bBhHiIlLqQefd")


def refuse(at, what):
    raise ValueError(f"{at}: {what}")


def expect(condition, at, what):
    """Refuse what is at a place, unless the condition holds."""
    if not condition:
        refuse(at, what)


class Flag:
    """True or False."""

    def dump(self, value, at, tensors):
        expect(isinstance(value, (bool, np.bool_)), at, f"{shown(value)} is no bool")
        return bool(value)

    def load(self, item, at, tensors):
        return self.dump(item, at, tensors)


@dataclass(frozen=True)
class Count:
    """An integer from ``low`` to ``high``."""

    low: int = 0
    high: int = _MOST

    def dump(self, value, at, tensors):
        is_int = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
        expect(
            is_int and self.low <= value <= self.high,
            at,
            f"{shown(value)} is no integer from {self.low} to {self.high}",
        )
        return int(value)

    def load(self, item, at, tensors):
        return self.dump(item, at, tensors)


@dataclass(frozen=True)
class Number:
    """A float from ``low`` to ``high``; infinite, or NaN, only if that is allowed."""

    low: float = -inf
    high: float = inf
    finite: bool = True

    def dump(self, value, at, tensors):
        self._check(value, at)
        return number_item(float(value))

    def load(self, item, at, tensors):
        if isinstance(item, str) and item in _NOT_FINITE:
            item = _NOT_FINITE[item]
        self._check(item, at)
        return float(item)

    def _check(self, value, at):
        real = isinstance(value, (int, float, np.floating, np.integer))
        fits = real and not isinstance(value, bool) and not _is_too_large(value)
        expect(fits, at, f"{shown(value)} is no number")
        if isfinite(value) or self.finite:
            expect(
                isfinite(value) and self.low <= value <= self.high,
                at,
                f"{value} is no finite number from {self.low} to {self.high}",
            )


def _is_too_large(number):
    return isinstance(number, int) and abs(number) > _MOST


def number_item(number):
    if isfinite(number):
        return number
    return "nan" if isnan(number) else "inf" if number > 0 else "-inf"


@dataclass(frozen=True)
class OneOf:
    """One of some strings."""

    options: frozenset

    def dump(self, value, at, tensors):
        expect(
            isinstance(value, str) and value in self.options,
            at,
            f"{shown(value)} is not among {', '.join(sorted(self.options))}",
        )
        return str(value)

    def load(self, item, at, tensors):
        return self.dump(item, at, tensors)


def one_of(*options):
    return OneOf(frozenset(options))


@dataclass(frozen=True)
class Optional:
    """A value of another kind, or None."""

    kind: Any

    def dump(self, value, at, tensors):
        return None if value is None else self.kind.dump(value, at, tensors)

    def load(self, item, at, tensors):
        return None if item is None else self.kind.load(item, at, tensors)


@dataclass(frozen=True)
class Sequence:
    """A list or a tuple of values of one kind."""

    of: Any
    type: type = tuple
    most: int = 1_000_000

    def dump(self, value, at, tensors):
        expect(isinstance(value, self.type), at, f"{shown(value)} is no {self.type}")
        self._check_length(value, at)
        return [self.of.dump(v, f"{at}.{i}", tensors) for i, v in enumerate(value)]

    def load(self, item, at, tensors):
        expect(isinstance(item, list), at, f"{shown(item)} is no list")
        self._check_length(item, at)
        return self.type(
            self.of.load(v, f"{at}.{i}", tensors) for i, v in enumerate(item)
        )

    def _check_length(self, items, at):
        expect(len(items) <= self.most, at, f"more than {self.most} items")


@dataclass(frozen=True)
class Array:
    """An array of numbers.

    Attributes
    ----------
    dtypes : str
        NumPy's codes of the allowed types.
    n_dim : int
    shape : tuple, default=()
        If given, what the shape has to be; -1 is any number.
    missing : str, default=""
        What of "inf" and "nan" may occur.
    """

    dtypes: str
    n_dim: int = 1
    shape: tuple = ()
    missing: str = ""

    def dump(self, value, at, tensors):
        self._check(value, at)
        return put(np.array(value, order="C"), at, tensors)

    def load(self, item, at, tensors):
        value = take(item, at, tensors)
        self._check(value, at)
        return np.array(value)

    def _check(self, value, at):
        expect(isinstance(value, np.ndarray), at, f"{shown(value)} is no array")
        allowed = {np.dtype(code) for code in self.dtypes}
        names = " or ".join(sorted(map(str, allowed)))
        expect(value.dtype in allowed, at, f"{value.dtype} is not {names}")
        fits = value.ndim == self.n_dim and all(
            own in (-1, n) for own, n in zip(self.shape, value.shape)
        )
        expect(fits, at, f"an array of shape {value.shape} does not fit")
        if value.dtype.kind == "f":
            expect(
                "nan" in self.missing or not np.isnan(value).any(),
                at,
                "NaN among the numbers",
            )
            expect(
                "inf" in self.missing or not np.isinf(value).any(),
                at,
                "infinite numbers",
            )


@dataclass(frozen=True)
class Curve:
    """A list of floats, or of ints."""

    type: type = float

    def dump(self, value, at, tensors):
        good = (int,) if self.type is int else (int, float, np.floating)
        fits = isinstance(value, list) and all(isinstance(v, good) for v in value)
        expect(fits, at, f"{shown(value)} is no list of numbers")
        return put(np.array(value, self._dtype), at, tensors)

    def load(self, item, at, tensors):
        value = take(item, at, tensors)
        expect(
            value.ndim == 1 and value.dtype == self._dtype,
            at,
            f"{value.dtype} of shape {value.shape} is no curve",
        )
        return value.tolist()

    @property
    def _dtype(self):
        return np.dtype(np.int64 if self.type is int else np.float64)


@dataclass(frozen=True)
class Mapping:
    """A dict of known keys, with a kind for each."""

    kinds: dict

    def dump(self, value, at, tensors):
        self._check(value, at)
        return {k: kind.dump(value[k], f"{at}.{k}", tensors) for k, kind in self._all}

    def load(self, item, at, tensors):
        self._check(item, at)
        return {k: kind.load(item[k], f"{at}.{k}", tensors) for k, kind in self._all}

    @property
    def _all(self):
        return self.kinds.items()

    def _check(self, value, at):
        fits = isinstance(value, dict) and value.keys() == self.kinds.keys()
        expect(fits, at, f"{shown(value)} does not have the keys {list(self.kinds)}")


def put(array, at, tensors):
    """Put an array among the tensors; returns its name, the item of JSON."""
    expect(array.dtype.char in TENSOR_DTYPES, at, f"{array.dtype} cannot be stored")
    tensors[at] = array.astype(array.dtype.newbyteorder("="), copy=False)
    return at


def take(item, at, tensors):
    """Take an array away from the tensors."""
    expect(item == at and at in tensors, at, "this tensor is missing")
    return tensors.pop(at)


@dataclass(frozen=True)
class Record:
    """An object as its attributes.

    Attributes
    ----------
    cls : type
    kinds : dict of str to kind
        Of each attribute; in the file it has the same name without underscores at its
        ends.
    make : callable
        From attributes to the object; by default the class.
    check : callable
        ``check(object, at)`` refuses what does not fit together.
    optional : frozenset of str
        Attributes that may be absent.
    """

    cls: type
    kinds: dict
    make: Callable | None = None
    check: Callable = lambda value, at: None
    optional: frozenset = frozenset()

    def dump(self, value, at, tensors):
        expect(isinstance(value, self.cls), at, f"{shown(value)} is no {self.cls}")
        self.check(value, at)
        out = {}
        for name, kind in self.kinds.items():
            if name in self.optional and not hasattr(value, name):
                continue
            key = name.strip("_")
            out[key] = kind.dump(attrgetter(name)(value), f"{at}.{key}", tensors)
        return out

    def load(self, item, at, tensors):
        expect(isinstance(item, dict), at, f"no {self.cls.__name__}")
        names = {name.strip("_"): name for name in self.kinds}
        unknown = item.keys() - names.keys()
        expect(not unknown, at, f"the unknown {', '.join(sorted(unknown))}")
        own = {
            names[key]: self.kinds[names[key]].load(v, f"{at}.{key}", tensors)
            for key, v in item.items()
        }
        missing = self.kinds.keys() - own.keys() - set(self.optional)
        expect(not missing, at, f"{', '.join(sorted(missing))} is missing")
        value = (self.make or self.cls)(**own)
        self.check(value, at)
        return value
