"""Fitted weights as scikit-learn shows them: lists of arrays over one flat vector.

Reading ``coefs_`` or ``intercepts_`` gives a list of views.  Users may write into
the arrays, replace items of the lists, or assign whole lists, even before the first
fit; all of this is taken over, or refused, when the weights are next used.
"""

from operator import is_

import numpy as np

from skmlp.core.activations import ACTIVATIONS
from skmlp.core.architecture import make_architecture
from skmlp.core.layout import bias_views, weight_views
from skmlp.estimators.gate import make_data, relative_weights
from skmlp.training.loop import Epochs
from skmlp.training.optimizer import writable


class FlatParameters:
    """Owner of the flat vector ``_params`` and of the ``_architecture`` behind it."""

    @property
    def _layout(self):
        return self._architecture.layout()

    @property
    def coefs_(self):
        return self._shown_list("coefs_")

    @coefs_.setter
    def coefs_(self, arrays):
        self._show("coefs_", list(arrays), ())

    @property
    def intercepts_(self):
        return self._shown_list("intercepts_")

    @intercepts_.setter
    def intercepts_(self, arrays):
        self._show("intercepts_", list(arrays), ())

    def _show(self, name, arrays, views):
        self.__dict__.setdefault("_shown", {})[name] = arrays, views

    def _shown_list(self, name):
        if name not in self.__dict__.get("_shown", ()):
            if "_params" not in self.__dict__:
                raise AttributeError(
                    f"'{type(self).__name__}' object has no attribute '{name}'"
                )
            make_views = weight_views if name == "coefs_" else bias_views
            views = make_views(self._params, self._layout)
            self._show(name, list(views), tuple(views))
        return self._shown[name][0]

    def _has_parameters(self):
        return "_params" in self.__dict__ or "_shown" in self.__dict__

    def _set_parameters(self, params, architecture):
        """Own a new vector; lists shown before no longer matter."""
        self._params, self._architecture = params, architecture
        self.__dict__.pop("_shown", None)

    def _take_over_edits(self, dtype=None):
        """Copy into the flat vector what a user put into the lists.

        Raises
        ------
        ValueError
            If the arrays do not form a network, or not the fitted one.
        """
        if "_shown" not in self.__dict__:
            return
        if "_params" not in self.__dict__:
            self._assemble(dtype)
            return
        for name, (arrays, views) in self._shown.items():
            if len(arrays) == len(views) and all(map(is_, arrays, views)):
                continue
            make_views = weight_views if name == "coefs_" else bias_views
            targets = views or make_views(self._params, self._layout)
            _assign(targets, arrays, name)
            arrays[:] = targets  # taken over once, training must not be undone
            self._show(name, arrays, tuple(targets))

    def _assemble(self, dtype):
        """Build the vector out of lists set before any fit."""
        coefs, _ = self._shown.get("coefs_", ([], ()))
        intercepts, _ = self._shown.get("intercepts_", ([], ()))
        coefs = [np.asarray(c) for c in coefs]
        if not coefs or any(c.ndim != 2 for c in coefs):
            raise ValueError("coefs_ must hold at least one array, all of them 2D.")
        self._check_for_each("activation", len(coefs) - 1)
        architecture = _architecture_of(coefs, self.activation)
        layout = architecture.layout()
        params = np.empty(layout.n_total, dtype)
        _assign(weight_views(params, layout), coefs, "coefs_")
        _assign(bias_views(params, layout), intercepts, "intercepts_")
        self._set_parameters(params, architecture)

    def _loss_grad_lbfgs(self, packed_coef_inter, X, y, sample_weight, *buffers):
        """Loss and gradient at a flat vector: scikit-learn's private name for it,
        which its own tests call. The ``buffers`` are not used."""
        weight, mean_weight = relative_weights(sample_weight)
        params = np.array(packed_coef_inter, dtype=np.float64)
        epochs = Epochs(
            self._architecture,
            params,
            make_data(X, params.dtype, y, weight),
            loss=self._core_loss(),
            loss_hyper=self._loss_hyper(),
            alpha=self.alpha,
            mean_weight=mean_weight,
            batch_size=len(y),
        )
        return epochs.loss_and_gradient(np.arange(len(y)))

    def __getstate__(self):
        """The flat vector once, without the lists over it."""
        self._take_over_edits(np.float64)
        state = super().__getstate__().copy()
        state.pop("_shown", None)
        return state

    def __setstate__(self, state):
        """Own all arrays: joblib may hand over read-only memory maps."""
        super().__setstate__(state)
        if "_params" in state:
            for name in vars(self).keys() & {"_params", "_moving_params"}:
                vars(self)[name] = writable(vars(self)[name])


def _architecture_of(coefs, activation):
    """Of these matrices; gated layers have half as many units as columns."""
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
    for i, (target, array) in enumerate(zip(targets, arrays)):
        if array.shape != target.shape:
            raise ValueError(
                f"{name}[{i}] must have shape {target.shape}, got {array.shape}."
            )
        if not np.can_cast(array.dtype, target.dtype, "same_kind"):
            raise ValueError(f"{name}[{i}] must be numeric, got {array.dtype}.")
    for target, array in zip(targets, arrays):
        target[:] = array
