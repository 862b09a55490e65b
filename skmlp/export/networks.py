"""What a model file holds of a network, and of its training."""

from itertools import pairwise

import numpy as np
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import check_random_state

from skmlp.core.activations import ACTIVATIONS
from skmlp.core.architecture import Architecture
from skmlp.core.columns import Column
from skmlp.core.normalization import NORMALIZATIONS
from skmlp.core.optimizers import OPTIMIZERS
from skmlp.estimators.fitted import KNOWN_LINKS, FittedNetwork
from skmlp.export.kinds import (
    Array,
    Count,
    Flag,
    Number,
    OneOf,
    Optional,
    Record,
    Sequence,
    expect,
    one_of,
    put,
    take,
)
from skmlp.export.values import Values
from skmlp.training.model import Carried
from skmlp.training.optimizer_state import OptimizerState
from skmlp.training.stopping import Patience

_SIZE = Count(0, 2**31)
_RATE = Number(0, 1)
_MOST_LAYERS = 10_000
_KINDS_OF_TARGETS = (
    *("binary", "multiclass", "multilabel-indicator"),
    *("continuous", "continuous-multioutput"),
)


def _check_architecture(architecture, at):
    sizes, n_hidden = architecture.sizes, len(architecture.sizes) - 2
    expect(n_hidden >= 0, f"{at}.sizes", "fewer than two layers")
    for name, n in ("activations", 0), ("normalizations", 0), ("dropouts", 1):
        fits = len(getattr(architecture, name)) == n_hidden + n
        expect(fits, f"{at}.{name}", f"not as many as {len(sizes)} layers need")
    if architecture.columns:
        n_units = architecture.column_table.n_units
        expect(n_units == sizes[0], f"{at}.columns", f"{n_units} units, not {sizes[0]}")


ARCHITECTURE = Record(
    Architecture,
    {
        "sizes": Sequence(Count(1, 2**31), most=_MOST_LAYERS),
        "activations": Sequence(OneOf(frozenset(ACTIVATIONS)), most=_MOST_LAYERS),
        "normalizations": Sequence(Optional(OneOf(frozenset(NORMALIZATIONS)))),
        "dropouts": Sequence(_RATE),
        "norm_momentum": _RATE,
        "norm_epsilon": Number(0),
        "columns": Sequence(
            Record(
                Column,
                {
                    "kind": one_of("number", "one_hot", "table"),
                    "size": _SIZE,
                    "width": _SIZE,
                    "n_waves": _SIZE,
                },
            )
        ),
        "scaled_input": Flag(),
        "parametric": Flag(),
        "by_segment": Flag(),
    },
    check=_check_architecture,
)


def check_length(architecture, n, at):
    """Refuse a vector of ``n`` numbers that is not one of the architecture's.

    Before anything is computed for the layers, whose sizes may be anything.
    """
    n_weights = sum(a * b for a, b in pairwise(architecture.sizes))
    n_of_columns = sum(c.size * c.width + 2 * c.n_waves for c in architecture.columns)
    fits = max(n_weights, n_of_columns // 2) <= n
    expect(
        fits and architecture.layout().n_total == n,
        at,
        f"{n} numbers are not what layers of {architecture.sizes[:9]} units have",
    )


def check_outputs(n_outputs, classes, y_type, at):
    """Refuse classes that do not fit the outputs of a network."""
    single = len(classes) <= 2 and not y_type.startswith("multilabel")
    fits = n_outputs == (1 if single else len(classes))
    expect(fits, at, f"{len(classes)} classes, but {n_outputs} outputs")


def _check_network(network, at):
    check_length(network.architecture, network.params.size, f"{at}.params")
    if network.classes is None:
        return
    expect(network.y_type is not None, f"{at}.y_type", "classes of no kind")
    check_outputs(network.n_outputs, network.classes, network.y_type, f"{at}.classes")


NETWORK = Record(
    FittedNetwork,
    {
        "architecture": ARCHITECTURE,
        "params": Array("fd"),
        "link": OneOf(KNOWN_LINKS),
        "classes": Optional(Values()),
        "y_type": Optional(one_of(*_KINDS_OF_TARGETS)),
    },
    check=_check_network,
)


def _make_binarizer(**fitted):
    binarizer = LabelBinarizer()
    vars(binarizer).update(fitted)
    return binarizer


BINARIZER = Record(
    LabelBinarizer,
    {
        "classes_": Values(),
        "y_type_": one_of(*_KINDS_OF_TARGETS),
        "sparse_input_": Flag(),
    },
    make=_make_binarizer,
)


class _Twister:
    """The state of a generator of the kind MT19937, as NumPy's tuple."""

    def dump(self, value, at, tensors):
        is_twister = isinstance(value, tuple) and value[0] == "MT19937"
        expect(is_twister, at, "the state of another generator than MT19937")
        _, key, place, has_normal, normal = value
        return {
            "key": put(np.array(key), f"{at}.key", tensors),
            "place": int(place),
            "normal": float(normal) if has_normal else None,
        }

    def load(self, item, at, tensors):
        fits = isinstance(item, dict) and item.keys() == {"key", "place", "normal"}
        expect(fits, at, "no state of a generator")
        key = take(item["key"], f"{at}.key", tensors)
        fits = key.dtype == np.uint32 and key.shape == (624,) and key.any()
        expect(fits, at, "no state of a generator")
        # A place beyond the key would be read.
        place = Count(0, 624).load(item["place"], f"{at}.place", tensors)
        normal = Optional(Number()).load(item["normal"], f"{at}.normal", tensors)
        return "MT19937", np.array(key), place, int(normal is not None), normal or 0.0


TWISTER = _Twister()


class _Generator:
    """A generator of one's own, or NumPy's global one."""

    def dump(self, value, at, tensors):
        if value is check_random_state(None):
            return None
        return TWISTER.dump(value.get_state(legacy=True), at, tensors)

    def load(self, item, at, tensors):
        if item is None:
            return check_random_state(None)
        generator = np.random.RandomState()
        generator.set_state(TWISTER.load(item, at, tensors))
        return generator


GENERATOR = _Generator()


def _make_watch(tol, limit, sign, best, count):
    return Patience(tol=tol, limit=limit, sign=sign, best=best, count=count)


def _make_optimizer(name, moments, **others):
    optimizer = OptimizerState(name, moments.shape[1], moments.dtype)
    vars(optimizer).update(moments=moments, **others)
    return optimizer


def _check_optimizer(optimizer, at):
    fresh = OptimizerState(optimizer.name, 0, optimizer.moments.dtype)
    fits = len(optimizer.moments) == len(fresh.moments)
    expect(fits, f"{at}.moments", f"not those of {optimizer.name!r}")
    fits = optimizer.hyper.shape == fresh.hyper.shape
    expect(fits, f"{at}.hyper", f"not those of {optimizer.name!r}")


_OPTIMIZER = Record(
    OptimizerState,
    {
        "name": OneOf(frozenset(OPTIMIZERS)),
        "moments": Array("fd", 2),
        "hyper": Array("d"),
        "n_steps": Count(),
        "n_epochs": Count(),
        "n_plateaus": Count(),
        "learning_rate_init": Number(0),
        "_rate": Number(0),
        "learning_rate": Number(0),
        "scheduled_rate": Number(0),
        "_watch": Record(
            Patience,
            {
                "tol": Number(0),
                "limit": Optional(Number(0, finite=False)),
                "sign": Count(-1, 1),
                "best": Number(finite=False),
                "count": Count(),
            },
            make=_make_watch,
        ),
    },
    make=_make_optimizer,
    check=_check_optimizer,
)


class _Order:
    """An order of rows, in as few bytes as they need."""

    def dump(self, value, at, tensors):
        self._check(value, at)
        return put(value.astype(np.min_scalar_type(value.size)), at, tensors)

    def load(self, item, at, tensors):
        value = take(item, at, tensors)
        self._check(value, at)
        return value.astype(np.int64)

    def _check(self, value, at):
        fits = value.ndim == 1 and value.dtype.kind in "iu"
        fits = fits and np.array_equal(np.sort(value), np.arange(value.size))
        expect(fits, at, "no order of rows")


CARRIED = Record(
    Carried,
    {
        "moving": Optional(Array("fd")),
        "optimizer": Optional(_OPTIMIZER),
        "order": Optional(_Order()),
        "mask_seed": Optional(Count(0, 2**31)),
        "n_seen": Count(),
    },
)


def check_carried(carried, network, at):
    """Refuse what training of another network has carried along."""
    params, n_params = network.params, network.architecture.layout().n_params
    moving, optimizer = carried.moving, carried.optimizer
    if moving is not None:
        fits = moving.shape == params.shape and moving.dtype == params.dtype
        expect(fits, f"{at}.moving", "not the numbers of this network")
    if optimizer is not None:
        fits = optimizer.fits(optimizer.name, n_params, params.dtype)
        expect(fits, f"{at}.optimizer", "not the moments of this network")
