"""Fitted weights as scikit-learn shows them: lists of arrays over one flat vector.

Reading ``coefs_`` or ``intercepts_`` gives a list of views.  Users may write into
the arrays, replace items of the lists, or assign whole lists, even before the first
fit; all of this is taken over, or refused, when the weights are next used.
"""

from operator import is_
from typing import Any, NamedTuple

import numpy as np

from skmlp.core.activations import ACTIVATIONS
from skmlp.core.architecture import make_architecture
from skmlp.core.layout import bias_views, weight_views
from skmlp.estimators.fitted import FittedNetwork
from skmlp.training.loop import Epochs
from skmlp.training.optimizer_state import writable
from skmlp.training.rows import TrainingRows, make_data, relative_weights

# What has parameters beyond weights and biases, unless it is off.
_MORE_PARAMETERS = {
    "normalization": None,
    "parametric_activation": False,
    "scale_input": False,
}


class Shown(NamedTuple):
    """Lists over the vector of a network, or set before there is one.

    Attributes
    ----------
    network : FittedNetwork or None
        Once an estimator has another one, its lists no longer matter.
    lists : dict of (list, tuple)
        By name: what users see and change, and the views that it began with.
    """

    network: Any
    lists: dict


class FlatWeights:
    """Owner of a `FittedNetwork`, which is replaced in a single step."""

    @property
    def _params(self):
        return self._network.params

    @property
    def _architecture(self):
        return self._network.architecture

    @property
    def _layout(self):
        return self._architecture.layout()

    @property
    def coefs_(self):
        return self._shown_list("coefs_")

    @coefs_.setter
    def coefs_(self, arrays):
        self._show(vars(self).get("_network"), "coefs_", list(arrays), ())

    @property
    def intercepts_(self):
        return self._shown_list("intercepts_")

    @intercepts_.setter
    def intercepts_(self, arrays):
        self._show(vars(self).get("_network"), "intercepts_", list(arrays), ())

    def _lists_of(self, network):
        shown = vars(self).get("_shown")
        return {} if shown is None or shown.network is not network else shown.lists

    def _show(self, network, name, arrays, views):
        lists = {**self._lists_of(network), name: (arrays, views)}
        vars(self)["_shown"] = Shown(network, lists)

    def _shown_list(self, name):
        network = vars(self).get("_network")
        lists = self._lists_of(network)
        if name in lists:
            return lists[name][0]
        if network is None:
            raise AttributeError(
                f"'{type(self).__name__}' object has no attribute '{name}'"
            )
        views = _views(network, name)
        arrays = list(views)
        self._show(network, name, arrays, views)
        return arrays

    def _has_parameters(self):
        network = vars(self).get("_network")
        return network is not None or bool(self._lists_of(None))

    def _current_network(self, dtype=None):
        """The network, with what users put into the lists; read it once.

        Raises
        ------
        ValueError
            If the arrays do not form a network, or not the fitted one.
        """
        network = vars(self).get("_network")
        lists = self._lists_of(network)
        if network is not None and not lists:
            return network
        given = {name: list(arrays) for name, (arrays, _) in lists.items()}
        if network is not None and all(
            len(given[name]) == len(views) and all(map(is_, given[name], views))
            for name, (_, views) in lists.items()
        ):
            return network
        anew = network is None or not any(views for _, views in lists.values())
        if anew and given.keys() == {"coefs_", "intercepts_"}:
            edited = self._assembled(given, dtype)
        elif network is None:
            missing = {"coefs_", "intercepts_"} - given.keys()
            raise ValueError(
                f"{' and '.join(sorted(missing))} must be set too, before the weights"
                " can be used, or call fit."
            )
        else:
            edited = _edited(network, given)
        self._show_edited(edited, lists, given)
        return edited

    def _show_edited(self, network, lists, given):
        """Taken over once: further training must not be undone by them."""
        shown = {}
        for name, (arrays, _) in lists.items():
            shown[name] = arrays, _views(network, name)
            for i, (array, view) in enumerate(zip(given[name], shown[name][1])):
                if i < len(arrays) and arrays[i] is array:  # not edited since
                    arrays[i] = view
        vars(self).update(_network=network, _shown=Shown(network, shown))

    def _set_parameters(self, params):
        """Another vector for the same architecture."""
        self._network = self._network._replace(params=params)

    def _assembled(self, given, dtype):
        """A network made of lists alone."""
        coefs = [np.asarray(array) for array in given["coefs_"]]
        for i, array in enumerate(coefs):
            if array.ndim != 2:
                raise ValueError(
                    f"coefs_[{i}] must be a matrix of shape (fan_in, fan_out), got an"
                    f" array of shape {array.shape}."
                )
        if not coefs:
            raise ValueError("coefs_ must hold at least one array.")
        for name, off in _MORE_PARAMETERS.items():
            value = getattr(self, name)
            if value != off:
                raise ValueError(
                    "coefs_ and intercepts_ do not hold the scales, statistics or mixes"
                    f" of {name}={value!r}: set {name}={off}, or call fit."
                )
        self._check_for_each("activation", len(coefs) - 1)
        architecture = _architecture_of(coefs, self.activation)
        layout = architecture.layout()
        if dtype is None:
            single = all(array.dtype == np.float32 for array in coefs)
            dtype = np.float32 if single else np.float64
        params = np.empty(layout.n_total, dtype)
        network = FittedNetwork(architecture, params)
        _assign(_views(network, "coefs_"), coefs, "coefs_")
        _assign(_views(network, "intercepts_"), given["intercepts_"], "intercepts_")
        link = vars(self).get("out_activation_") or self._targets().link
        return self._labelled(network, link)

    def _loss_grad_lbfgs(self, packed_coef_inter, X, y, sample_weight, *buffers):
        """Loss and gradient at a flat vector: scikit-learn's private name for it,
        which its own tests call. The ``buffers`` are not used."""
        weight, mean_weight = relative_weights(sample_weight)
        params = np.array(packed_coef_inter, dtype=np.float64)
        data, rows = make_data(X, params.dtype, y, weight), np.arange(len(y))
        epochs = Epochs(
            self._architecture,
            params,
            TrainingRows(data, rows, mean_weight),
            self._targets().objective,
            alpha=self.alpha,
            batch_size=len(y),
        )
        return epochs.loss_and_gradient(rows)

    def __getstate__(self):
        """The flat vector once. What depends on the clock is left out, so that equal
        fits have equal pickles."""
        if "_network" in vars(self):
            self._current_network()
        state = super().__getstate__().copy()
        if "_network" in state:
            state.pop("_shown", None)
        state.pop("_seconds", None)
        return state

    def __setstate__(self, state):
        """Own all arrays: joblib may hand over read-only memory maps."""
        super().__setstate__(state)
        if "_network" in state:
            self._set_parameters(writable(self._params))


def _views(network, name):
    make_views = weight_views if name == "coefs_" else bias_views
    return tuple(make_views(network.params, network.architecture.layout()))


def _edited(network, given):
    """The network with these arrays, in a vector of its own."""
    network = network._replace(params=network.params.copy())
    for name, arrays in given.items():
        _assign(_views(network, name), arrays, name)
    return network


def _architecture_of(coefs, activation):
    """The architecture that matrices form; gated layers have a unit per two columns."""
    sizes = [len(coefs[0]), *(c.shape[1] for c in coefs)]
    architecture = make_architecture(sizes, activation)
    for i, name in enumerate(architecture.activations):
        if ACTIVATIONS[name].gated:
            if sizes[i + 1] % 2:
                raise ValueError(
                    f"coefs_[{i}] must have two columns per unit, since"
                    f" activation={name!r} is gated, got {sizes[i + 1]} columns."
                )
            sizes[i + 1] //= 2
    return architecture._replace(sizes=tuple(sizes))


def _assign(targets, arrays, name):
    """targets[i][:] = arrays[i], all or none."""
    if len(arrays) != len(targets):
        raise ValueError(f"{name} must hold {len(targets)} arrays, got {len(arrays)}.")
    arrays = [np.asarray(array) for array in arrays]
    if name == "intercepts_":
        arrays = [a[0] if a.ndim == 2 and len(a) == 1 else a for a in arrays]
    for i, (target, array) in enumerate(zip(targets, arrays)):
        if array.shape != target.shape:
            raise ValueError(
                f"{name}[{i}] must have shape {target.shape}, got {array.shape}."
            )
        if not np.can_cast(array.dtype, target.dtype, "same_kind"):
            raise ValueError(f"{name}[{i}] must be numeric, got {array.dtype}.")
    for target, array in zip(targets, arrays):
        target[:] = array
