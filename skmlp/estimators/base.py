"""What classifier and regressor share: parameters, validation, fit, predict."""

from abc import ABC, abstractmethod
from contextlib import contextmanager
from numbers import Integral, Real

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, _fit_context, is_regressor
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import (
    Interval,
    Options,
    StrOptions,
    validate_parameter_constraints,
)
from sklearn.utils.validation import check_is_fitted, validate_data

from skmlp.core.activations import ACTIVATIONS
from skmlp.core.architecture import make_architecture
from skmlp.core.layout import bias_views, start_normalization, weight_views
from skmlp.core.losses import LOSSES
from skmlp.core.normalization import NORMALIZATIONS
from skmlp.estimators.gate import (
    check_range,
    check_sample_weight,
    check_sparse_structure,
    is_settled,
    is_settled_target,
    make_data,
)
from skmlp.estimators.parameters import FlatParameters
from skmlp.estimators.solvers import STOCHASTIC_SOLVERS, Solvers
from skmlp.estimators.split import split_set, validation_size, whole_set
from skmlp.training.inference import predict
from skmlp.training.schedules import SCHEDULES, SGD_ONLY, Schedule

_RESUMED = (
    "_optimizer",
    "_order",
    "_mask_seed",
    "_split_state",
    "t_",
    "loss_curve_",
    "learning_rates_",
    "validation_scores_",
)


class BaseMLP(FlatParameters, Solvers, BaseEstimator, ABC):
    """Base of the multi-layer perceptrons; not for direct use."""

    _parameter_constraints: dict = {
        "hidden_layer_sizes": [
            "array-like",
            Interval(Integral, 1, None, closed="left"),
        ],
        "activation": [StrOptions(set(ACTIVATIONS)), list, tuple],
        "normalization": [StrOptions(set(NORMALIZATIONS)), list, tuple, None],
        "norm_momentum": [Interval(Real, 0, 1, closed="right")],
        "norm_epsilon": [Interval(Real, 0, None, closed="neither")],
        "dropout": [Interval(Real, 0, 1, closed="left"), list, tuple],
        "input_dropout": [Interval(Real, 0, 1, closed="left")],
        "solver": [StrOptions({"lbfgs", *STOCHASTIC_SOLVERS})],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [
            StrOptions({"auto"}),
            Interval(Integral, 1, None, closed="left"),
        ],
        "learning_rate": [StrOptions({*SCHEDULES, *SGD_ONLY}), Schedule, callable],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "power_t": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "momentum": [Interval(Real, 0, 1, closed="both")],
        "nesterovs_momentum": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "beta_1": [Interval(Real, 0, 1, closed="left")],
        "beta_2": [Interval(Real, 0, 1, closed="left")],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
        "rho": [Interval(Real, 0, 1, closed="left")],
        "n_iter_no_change": [
            Interval(Integral, 1, None, closed="left"),
            Options(Real, {np.inf}),
        ],
        "max_fun": [Interval(Integral, 1, None, closed="left")],
    }

    def _store_parameters(self, arguments):
        """What each ``__init__`` does with its ``locals()``: keep them as they are."""
        for name in self._get_param_names():
            setattr(self, name, arguments[name])

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None):
        """Fit the model to data matrix X and target(s) y.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            The target values (class labels in classification, real numbers in
            regression).
        sample_weight : array-like of shape (n_samples,), default=None
            Sample weights, not negative; rows of weight zero are left out.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If a parameter or the data are invalid, or if training diverges without
            early stopping; the last finite weights are kept then.
        """
        return self._fit(X, y, sample_weight, incremental=False)

    def _fit(self, X, y, sample_weight, incremental):
        if incremental and self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        hidden_layer_sizes = self._hidden_layer_sizes()
        stochastic = self.solver in STOCHASTIC_SOLVERS
        resume = self._has_parameters() and (self.warm_start or incremental)
        self._check_combinations()
        with self._unchanged_on_error():
            X, Y, weight = self._validate_fit(X, y, sample_weight, incremental, resume)
            sizes = [X.shape[1], *hidden_layer_sizes, Y.shape[1]]
            architecture = self._make_architecture(sizes)
            if not (incremental and hasattr(self, "_random_state")):
                self._random_state = check_random_state(self.random_state)
            if sparse.issparse(X) and self.input_dropout:
                raise ValueError(
                    "input_dropout needs dense X: pass X.toarray(), or input_dropout=0."
                )
            if resume:
                self._resume(architecture)
            else:
                self._initialize(architecture, X.dtype)
            self._describe_network()
            self._prepare_curves(incremental)
            dtype = self._params.dtype if stochastic else np.float64
            training = self._training_set(X, Y, weight, dtype)
        if stochastic:
            self._fit_stochastic(training, resume, incremental)
        else:
            self._fit_lbfgs(training, resume)
        return self

    def _check_combinations(self):
        """Refuse what makes no sense together, and name what has no effect."""
        self._check_learning_rate()
        if self.solver != "lbfgs":
            return
        if np.any(self.dropout) or self.input_dropout:
            raise ValueError(
                "Dropout draws another network in each evaluation, while"
                " solver='lbfgs' needs the same loss again: choose a stochastic solver,"
                " or dropout=0 and input_dropout=0."
            )
        if "batch" in np.atleast_1d(np.asarray(self.normalization, object)):
            raise ValueError(
                "Running statistics of normalization='batch' follow the weights of"
                " minibatches, which solver='lbfgs' does not have: choose a stochastic"
                " solver, or normalization='layer'."
            )

    def _hidden_layer_sizes(self):
        sizes = self.hidden_layer_sizes
        sizes = list(sizes) if np.iterable(sizes) else [sizes]
        if not all(isinstance(size, Integral) for size in sizes):
            raise ValueError(f"hidden_layer_sizes must be integers, got {sizes}.")
        if any(size <= 0 for size in sizes):
            raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
        return [int(size) for size in sizes]

    @contextmanager
    def _unchanged_on_error(self):
        """Bad input leaves an estimator as it was."""
        before = vars(self).copy()
        try:
            yield
        except BaseException:
            vars(self).clear()
            vars(self).update(before)
            raise

    def _validate_fit(self, X, y, sample_weight, incremental, resume):
        """Checked X, targets of shape (n_samples, n_outputs), weights or None."""
        X, y = self._validate_rows(X, y, resume)
        weight = check_sample_weight(sample_weight, X)
        Y = self._encode(y, X.dtype, incremental)
        check_range(Y, X.dtype)
        if resume:
            self._take_over_edits(X.dtype)
        if weight is not None and not weight.all():
            counts = weight > 0
            X, Y, weight = X[counts], Y[counts], weight[counts]
        return X, Y, weight

    def _validate_rows(self, X, y, resume):
        fitted = resume and hasattr(self, "_params")
        if fitted and self._is_settled(X) and is_settled_target(y, len(X)):
            return X, y
        check_sparse_structure(X)
        check_sparse_structure(y)
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse="csr",
            multi_output=True,
            y_numeric=is_regressor(self),
            dtype=self._params.dtype if fitted else (np.float64, np.float32),
            order="C",
            reset=not resume,
        )
        check_sparse_structure(X)
        return X, y

    @abstractmethod
    def _encode(self, y, dtype, incremental):
        """Targets as an array of shape (n_samples, n_outputs)."""

    def _make_architecture(self, sizes):
        n_hidden = len(sizes) - 2
        for name in ("activation", "normalization", "dropout"):
            self._check_for_each(name, n_hidden)
        return make_architecture(
            sizes,
            self.activation,
            normalization=self.normalization,
            dropout=self.dropout,
            input_dropout=self.input_dropout,
            norm_momentum=self.norm_momentum,
            norm_epsilon=self.norm_epsilon,
        )

    def _check_for_each(self, name, n_hidden):
        """A parameter given per hidden layer: as many items, each of them allowed."""
        values = getattr(self, name)
        if not isinstance(values, (list, tuple)):
            return
        if len(values) != n_hidden:
            raise ValueError(
                f"{name} must be given once or for each of the {n_hidden} hidden"
                f" layers, got {len(values)} items."
            )
        constraints = {name: self._parameter_constraints[name][:1]}
        for value in values:
            if value is not None or name != "normalization":
                validate_parameter_constraints(
                    constraints, {name: value}, type(self).__name__
                )

    def _resume(self, architecture):
        """Train on in the same network, whose activations may change."""
        fitted = self._architecture
        if architecture.sizes != fitted.sizes:
            raise ValueError(
                f"The network has layers of {list(fitted.sizes)} units, but"
                f" hidden_layer_sizes and the data now ask for"
                f" {list(architecture.sizes)}. Training can only go on in the same"
                " network: call fit with warm_start=False to start anew."
            )
        if not architecture.has_parameters_of(fitted):
            raise ValueError(
                "activation and normalization now ask for other parameters than the"
                " network has. Training can only go on in the same network: call fit"
                " with warm_start=False to start anew."
            )
        self._architecture = architecture

    def _initialize(self, architecture, dtype):
        """Glorot and Bengio's (2010) uniform weights, drawn in scikit-learn's order."""
        names = (*architecture.activations, *(architecture.activations[-1:]))
        layout = architecture.layout()
        params = np.empty(layout.n_total, dtype)
        views = weight_views(params, layout), bias_views(params, layout)
        for W, b, name in zip(*views, names or (self.activation,)):
            factor = 2.0 if name == "logistic" else 6.0
            bound = np.sqrt(factor / (W.shape[0] + W.shape[1]))
            W[:] = self._random_state.uniform(-bound, bound, W.shape)
            b[:] = self._random_state.uniform(-bound, bound, b.shape)
        start_normalization(params, layout)
        self._set_parameters(params, architecture)
        for name in _RESUMED:
            vars(self).pop(name, None)

    def _describe_network(self):
        self.n_layers_ = len(self._layout.sizes)
        self.n_outputs_ = int(self._layout.sizes[-1])
        self.out_activation_ = LOSSES[self._core_loss()].link

    @abstractmethod
    def _core_loss(self):
        """Name of the loss in the core's table."""

    def _prepare_curves(self, incremental):
        """Let patience start anew with each fit, and go on in partial_fit."""
        self.n_iter_ = 0
        curves = {"t_": 0, "loss_curve_": [], "validation_scores_": None}
        if self.solver in STOCHASTIC_SOLVERS:
            curves["learning_rates_"] = []
        for name, start in curves.items():
            vars(self).setdefault(name, start)
        if not incremental or vars(self).get("best_loss_") is None:
            self.best_loss_ = None if self.early_stopping else np.inf
            self.best_validation_score_ = -np.inf if self.early_stopping else None
            self._no_improvement_count = 0
        if not self.early_stopping:
            self.validation_scores_ = None
        elif self.validation_scores_ is None:
            self.validation_scores_ = []

    def _training_set(self, X, Y, weight, dtype):
        if not self.early_stopping:
            return whole_set(X, Y, weight, dtype)
        return split_set(
            X,
            Y,
            weight,
            dtype,
            size=validation_size(
                X.shape[0], self.validation_fraction, self._n_classes_to_validate()
            ),
            stratify=self._stratify(Y),
            random_state=self._split_generator(),
        )

    def _split_generator(self):
        """The generator at the first split: a warm start must validate on the same
        rows, or it would score on what it was trained on."""
        if not hasattr(self, "_split_state"):
            self._split_state = self._random_state.get_state()
            return self._random_state
        generator = np.random.RandomState()
        generator.set_state(self._split_state)
        return generator

    def _n_classes_to_validate(self):
        return 0

    def _stratify(self, Y):
        return None

    def _forward(self, params, data, link=None):
        return predict(
            self._architecture,
            params,
            data,
            link=self.out_activation_ if link is None else link,
        )

    def _predict_raw(self, X, link=None):
        """link(raw prediction) of shape (n_samples, n_outputs) for users' X."""
        check_is_fitted(self)
        self._take_over_edits()
        dtype = self._params.dtype
        if not self._is_settled(X):
            check_sparse_structure(X)
            X = validate_data(
                self, X, accept_sparse="csr", dtype=dtype, order="C", reset=False
            )
            check_sparse_structure(X)
        y_pred = self._forward(self._params, make_data(X, dtype), link)
        if not np.isfinite(y_pred).all():
            raise ValueError(
                "Predictions are not finite. X or coefs_ contain too large values:"
                " scale the data, as for fit."
            )
        return y_pred

    def _is_settled(self, X):
        named = hasattr(self, "feature_names_in_")  # then a warning is due
        return not named and is_settled(X, self._params.dtype, self.n_features_in_)

    def __sklearn_is_fitted__(self):
        return hasattr(self, "_params")

    def _check_solver(self):
        if self.solver not in STOCHASTIC_SOLVERS:
            raise AttributeError(
                "partial_fit is only available for stochastic optimizers."
                f" {self.solver} is not stochastic."
            )
        return True

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
