"""Kinds of values whose types are written too: labels, and parameters."""

import json
from dataclasses import fields
from decimal import Decimal, InvalidOperation
from math import isfinite

import numpy as np

from skmlp.export.kinds import (
    TENSOR_DTYPES,
    Count,
    Number,
    expect,
    number_item,
    put,
    refuse,
    take,
)
from skmlp.machine.warning import shown

_MOST_BYTES = 2**26


class Values:
    """An array of labels or categories, of one dimension and any usual dtype."""

    def dump(self, value, at, tensors):
        is_vector = isinstance(value, np.ndarray) and value.ndim == 1
        expect(is_vector, at, f"{shown(value)} is no vector")
        if value.dtype.char in TENSOR_DTYPES:
            return {"dtype": value.dtype.str[1:], "values": put(value, at, tensors)}
        dtype = "object" if value.dtype.kind == "O" else value.dtype.str.lstrip("<>=|")
        known = value.dtype.kind in "US" or dtype == "object"
        expect(known, at, f"labels of dtype {value.dtype} cannot be stored")
        expect(_is_bounded(value.dtype, len(value)), at, "its labels are too long")
        no_tensors = {}
        items = Free().dump(value.tolist(), at, no_tensors)
        expect(not no_tensors, at, "arrays among the labels cannot be stored")
        text = json.dumps(items, separators=(",", ":")).encode()
        return {"dtype": dtype, "values": put(np.frombuffer(text, "u1"), at, tensors)}

    def load(self, item, at, tensors):
        fits = isinstance(item, dict) and item.keys() == {"dtype", "values"}
        expect(fits and isinstance(item["dtype"], str), at, "no labels")
        stored, dtype = take(item["values"], at, tensors), item["dtype"]
        expect(stored.ndim == 1, at, f"labels of shape {stored.shape}")
        if dtype == stored.dtype.str[1:]:
            return np.array(stored)
        is_text = dtype[:1] in ("U", "S") and dtype[1:].isdecimal()
        expect(
            stored.dtype == np.uint8 and (is_text or dtype == "object"),
            at,
            f"labels of dtype {shown(dtype)}",
        )
        values = Free().load(parse(stored.tobytes(), at), at, {})
        expect(isinstance(values, list), at, "no list of labels")
        if dtype == "object":
            return np.fromiter(values, object, len(values))
        own = str if dtype[0] == "U" else bytes
        fits = len(dtype) < 9 and all(
            type(value) is own and len(value) <= int(dtype[1:]) for value in values
        )
        expect(
            fits and _is_bounded(np.dtype(dtype), len(values)),
            at,
            f"labels that are not of dtype {shown(dtype)}",
        )
        return np.array(values, dtype)


def _is_bounded(dtype, n):
    """Whether memory is no more than some times that of the file: strings of NumPy are
    as long as the longest."""
    return dtype.kind == "O" or n * dtype.itemsize <= _MOST_BYTES


def parse(text, at):
    """JSON without repeated keys.

    Raises
    ------
    ValueError
        If it is none.
    """

    def pairs(items):
        out = dict(items)
        expect(len(out) == len(items), at, "a key occurs twice")
        return out

    try:
        return json.loads(text, object_pairs_hook=pairs, parse_constant=_no_constant)
    except (RecursionError, UnicodeDecodeError, json.JSONDecodeError) as error:
        refuse(at, f"no valid JSON ({error})")


def _no_constant(name):
    raise ValueError(f"{name} is no JSON")


class Free:
    """A value of any usual type, such as a parameter: its type is written too.

    Attributes
    ----------
    objects : dict of type to callable
        Dataclasses that may occur, with what makes one of its fields.
    """

    def __init__(self, objects=()):
        self.objects = dict(objects)
        self._types = {cls.__name__: cls for cls in self.objects}

    def dump(self, value, at, tensors):
        if value is None or type(value) in (bool, str):
            return value
        if isinstance(value, np.str_):
            return str(value)
        if type(value) is int:
            return Count(-(2**63)).dump(value, at, tensors)
        if type(value) is float:
            return value if isfinite(value) else {"float": number_item(value)}
        if type(value) is list:
            return self._dump_all(value, at, tensors)
        for name, (cls, take_apart, _) in _PLAIN.items():
            if type(value) is cls:
                return {name: self._dump_all(take_apart(value), at, tensors)}
        if isinstance(value, np.ndarray):
            return {"array": Values().dump(value, at, tensors)}
        if isinstance(value, np.generic) and value.dtype.char in TENSOR_DTYPES:
            plain = self.dump(value.item(), at, tensors)
            return {"scalar": [value.dtype.str[1:], plain]}
        if type(value) in self.objects:
            own = {f.name: getattr(value, f.name) for f in fields(value)}
            items = {k: self.dump(v, f"{at}.{k}", tensors) for k, v in own.items()}
            return {"object": [type(value).__name__, items]}
        refuse(at, f"{shown(value)}, of type {type(value).__name__}, cannot be stored")

    def _dump_all(self, values, at, tensors):
        return [self.dump(v, f"{at}.{i}", tensors) for i, v in enumerate(values)]

    def load(self, item, at, tensors):
        if item is None or type(item) in (bool, str, int, float):
            return item
        if isinstance(item, list):
            return self._load_all(item, at, tensors)
        expect(len(item) == 1, at, "an object of JSON with other than one key")
        ((name, inner),) = item.items()
        readers = {
            "float": Number(finite=False).load,
            "array": Values().load,
            "scalar": self._load_scalar,
            "object": self._load_object,
        }
        if name in _PLAIN:
            expect(isinstance(inner, list), at, f"no {name}")
            values = self._load_all(inner, at, tensors)
            return self._built(lambda: _PLAIN[name][2](values), at)
        expect(name in readers, at, f"the unknown type {shown(name)}")
        return readers[name](inner, at, tensors)

    def _load_all(self, items, at, tensors):
        return [self.load(v, f"{at}.{i}", tensors) for i, v in enumerate(items)]

    def _load_scalar(self, inner, at, tensors):
        expect(isinstance(inner, list) and len(inner) == 2, at, "no number")
        dtype, value = inner[0], self.load(inner[1], at, tensors)
        known = {np.dtype(code).str[1:] for code in TENSOR_DTYPES}
        expect(isinstance(dtype, str) and dtype in known, at, "no type of numbers")
        expect(type(value) in (bool, int, float), at, "no number")
        return self._built(lambda: np.dtype(dtype).type(value), at)

    def _load_object(self, inner, at, tensors):
        fits = isinstance(inner, list) and len(inner) == 2
        expect(fits and isinstance(inner[1], dict), at, "no object")
        name, items = inner
        known = isinstance(name, str) and name in self._types
        expect(known, at, f"the unknown type {shown(name)}")
        cls = self._types[name]
        own = {k: self.load(v, f"{at}.{k}", tensors) for k, v in items.items()}
        unknown = own.keys() - {field.name for field in fields(cls)}
        expect(not unknown, at, f"{name} has no {', '.join(sorted(unknown))}")
        return self._built(lambda: self.objects[cls](**own), at)

    def _built(self, build, at):
        """What a checked constructor makes."""
        try:
            return build()
        except (TypeError, ValueError, OverflowError, InvalidOperation) as error:
            refuse(at, str(error))


# Of types without a form of their own in JSON: how they come apart, and are made.
_PLAIN = {
    "tuple": (tuple, list, tuple),
    "dict": (
        dict,
        lambda value: [list(pair) for pair in value.items()],
        lambda pairs: {key: value for key, value in pairs},
    ),
    "bytes": (bytes, list, bytes),
    "decimal": (Decimal, lambda value: [str(value)], lambda items: Decimal(*items)),
}
