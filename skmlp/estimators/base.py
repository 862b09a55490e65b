"""What classifier and regressor share: parameters, validation, fit, predict."""

from abc import ABC, abstractmethod
from contextlib import nullcontext
from dataclasses import replace
from functools import partial

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, _fit_context, is_regressor
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from skmlp.estimators.choices import Case, check_choices
from skmlp.estimators.fitted import KNOWN_LINKS, FittedNetwork
from skmlp.estimators.gate import (
    as_vector,
    check_sparse_structure,
    is_settled,
    is_settled_target,
    refuse_times,
    under_usual_errors,
)
from skmlp.estimators.parameters import STOCHASTIC_SOLVERS
from skmlp.estimators.publishing import VALIDATION_CURVES, Publishing
from skmlp.estimators.recording import Recording
from skmlp.estimators.settings import Settings
from skmlp.estimators.split import Rows, split_set, whole_set
from skmlp.estimators.validation import Judge, check_given, encoded, own_validation
from skmlp.estimators.versions import Versioned
from skmlp.estimators.weights import FlatWeights
from skmlp.training.fit import Fit
from skmlp.training.initialization import initialize_network
from skmlp.training.lbfgs import LbfgsFit
from skmlp.training.model import Carried, Model
from skmlp.training.population import set_population_statistics
from skmlp.training.rows import make_data

_RESUMED = (
    "_carried",
    "_split_state",
    "t_",
    "loss_curve_",
    "_seconds",
    "learning_rates_",
    "best_iter_",
    *VALIDATION_CURVES,
)


class BaseMLP(
    Settings, FlatWeights, Recording, Publishing, Versioned, BaseEstimator, ABC
):
    """Base of the multi-layer perceptrons; not for direct use."""

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X,
        y,
        sample_weight=None,
        *,
        X_val=None,
        y_val=None,
        sample_weight_val=None,
    ):
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
        X_val, y_val : like X and y, default=None
            Rows to validate on: `validation_loss_curve_` and `validation_scores_`
            follow them and, with `early_stopping`, they take the place of rows set
            aside. In a `Pipeline`, `X_val` is transformed like X with
            ``Pipeline(..., transform_input=["X_val"])``.
        sample_weight_val : array-like of shape (n_val_samples,), default=None
            Their weights.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If a parameter or the data are invalid, or if training diverges: without
            early stopping the last finite weights are kept then, and in the very first
            epoch there are none, so that the estimator stays as it was.
        """
        given = X_val, y_val, sample_weight_val
        return self._fit(X, y, sample_weight, given, incremental=False)

    @under_usual_errors
    def _fit(self, X, y, *data, incremental, classes=None):
        """Train a twin, and become it in one step if all goes well."""
        parameters = self._checked_parameters()
        resume = self._has_parameters() and (self.warm_start or incremental)
        if resume and "_network" in vars(self):
            self._current_network()
        twin = self._twin()
        vars(twin).update(parameters)  # another thread may have set some meanwhile
        begin = frozenset(vars(twin))
        with self._lent_to(twin) if incremental else nullcontext():
            report = twin._train(X, y, *data, incremental=incremental, classes=classes)
        self._publish(twin, begin)
        report()
        return self

    def _train(
        self,
        X,
        y,
        sample_weight,
        given=(None,) * 3,
        *,
        incremental,
        classes,
    ):
        resume = self._has_parameters() and (self.warm_start or incremental)
        validates = check_given(*given) or self.early_stopping
        if incremental:
            self._learn_classes(y, classes)
        rows = self._gate(X, y, sample_weight, incremental, resume)
        self._check_choices(rows, validates, incremental)
        self._set_up_network(rows, incremental, resume)
        self._prepare_curves(incremental, validates)
        training, judge = self._training_set(rows, given)
        model = self._model()
        if resume and self.early_stopping:
            _, self.best_validation_score_ = judge(model.params)
        fit = self._make_fit(model, training, rows.targets, judge, incremental)
        fit.run(self._record)
        return self._take_over(fit, model, training, incremental)

    def _gate(self, X, y, sample_weight, incremental, resume):
        """Checked training rows; sparse rows of weight zero are left out."""
        X, y = self._validate_rows(X, y, resume)
        targets = self._learn_targets(y, incremental)
        Y, weight = encoded(targets, X, y, sample_weight)
        if resume:
            network = self._current_network(X.dtype)
            self._network = network._replace(params=network.params.copy())
        if sparse.issparse(X) and weight is not None and not weight.all():
            counts = weight > 0  # the number of entries decides on chunks
            X, Y, weight = X[counts], Y[counts], weight[counts]
        return Rows(X, Y, weight, targets)

    def _check_choices(self, rows, validates, incremental):
        """Refuse parameters that make no sense together, or with the data."""
        self._check_schedules()
        is_sparse, multilabel = sparse.issparse(rows.X), rows.targets.multilabel
        case = Case(self, validates, incremental, is_sparse, multilabel)
        check_choices(case, self._conditional(), self._rules())

    def _set_up_network(self, rows, incremental, resume):
        """The network to train: the one that there is, or a new one."""
        n_features, n_outputs = rows.X.shape[1], rows.targets.n_outputs(rows.Y)
        sizes = [n_features, *self._hidden_layer_sizes(), n_outputs]
        architecture = self._make_architecture(sizes)
        if not (incremental and hasattr(self, "_random_state")):
            self._random_state = check_random_state(self.random_state)
        if resume:
            self._resume(architecture)
        else:
            self._initialize(architecture, rows.X.dtype)
        self._describe_network(rows.targets)

    def _model(self):
        """The model to train, with what the previous fit carries on."""
        carried = replace(vars(self).get("_carried") or Carried())
        return Model(self._architecture, self._params, carried)

    def _make_fit(self, model, training, targets, judge, incremental):
        best = self.best_validation_score_ if self.early_stopping else self.best_loss_
        return (Fit if self._is_stochastic() else LbfgsFit)(
            model,
            training,
            targets.objective,
            self._settings(training.rows.size),
            judge=judge,
            best=best,
            n_idle=self._no_improvement_count,
            single=incremental,
            random_state=self._random_state,
        )

    def _take_over(self, fit, model, training, incremental):
        """The trained network; returns the report, due once it is published."""
        if isinstance(fit, LbfgsFit) and fit.result is not None:
            self.n_iter_ = min(fit.result.nit, self.max_iter)
            self.loss_ = float(fit.result.fun)
        self.stopping_reason_ = fit.reason
        if fit.found_nothing:
            self._refuse_what_is_not_finite()
        if self.norm_statistics == "population" and not incremental:
            rows = np.sort(training.rows)
            set_population_statistics(
                model.architecture, model.params, training.data, rows
            )
        self._set_parameters(model.params)
        self._carried, self.t_ = model.carried, model.carried.n_seen
        return partial(self._report, fit)

    def _learn_classes(self, y, classes):
        """Before the first rows of partial_fit."""

    def _validate_rows(self, X, y, resume):
        fitted = resume and "_network" in vars(self)
        dtypes = (self._params.dtype,) if fitted else self._accepted_dtypes()
        settled = is_settled(X, dtypes) and is_settled_target(y, len(X))
        if settled and fitted and self._has_features_of(X):
            return X, y
        refuse_times(X)
        check_sparse_structure(X)
        check_sparse_structure(y)
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse="csr",
            multi_output=True,
            y_numeric=is_regressor(self),
            dtype=dtypes,
            order="C",
            reset=not resume,
            skip_check_array=settled,
        )
        check_sparse_structure(X)
        return X, as_vector(y)

    @abstractmethod
    def _learn_targets(self, y, incremental):
        """The targets that validated y holds, for `fit` and `partial_fit`."""

    @abstractmethod
    def _targets(self):
        """The targets that the estimator was fitted to."""

    def _check_penalty(self, mean_weight, dtype):
        """Refuse weights of rows so small that the penalty overflows beside them."""
        strength, most = self.alpha, np.sqrt(np.finfo(dtype).max)
        if mean_weight < 1 and strength > mean_weight * most:
            raise ValueError(
                f"The penalty is divided by the mean of sample_weight, {mean_weight:g},"
                f" which is too small for alpha={strength:g}: scale the weights (with"
                " class_weight, if there is any) to a mean of about 1, or choose"
                " alpha=0."
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
                "activation, parametric_activation, normalization and scale_input now"
                " ask for other parameters than the network has. Training can only go"
                " on in the same network: call fit with warm_start=False to start anew."
            )
        self._network = self._network._replace(architecture=architecture)

    def _initialize(self, architecture, dtype):
        """A new vector, drawn layer by layer."""
        params = initialize_network(
            architecture,
            dtype,
            self._random_state,
            weight_init=self.weight_init,
            fallback=self.activation,
        )
        self._network = FittedNetwork(architecture, params)
        for name in _RESUMED:
            vars(self).pop(name, None)

    def _describe_network(self, targets):
        self.n_layers_ = len(self._layout.sizes)
        self.n_outputs_ = int(self._layout.sizes[-1])
        self.n_parameters_ = self._layout.n_params
        self._network = self._labelled(self._network, targets.link)
        self.out_activation_ = self._network.shown_link

    def _labelled(self, network, link):
        """The network with its link, and with classes if it has any."""
        if link not in KNOWN_LINKS:
            raise ValueError(
                f"out_activation_ must be among {sorted(KNOWN_LINKS)}, got {link!r}."
            )
        return network._replace(link=link)

    def _training_set(self, rows, given):
        """(rows to train on, judge by rows to validate on or None)."""
        dtype = self._params.dtype if self._is_stochastic() else np.float64
        validation = judge = None
        if given[0] is not None:
            validation = own_validation(self, given, rows, dtype)
        if validation is not None or not self.early_stopping:
            training = whole_set(rows, dtype)
        else:
            fraction, generator = self.validation_fraction, self._split_generator()
            training, validation = split_set(rows, dtype, fraction, generator)
        self._check_penalty(training.mean_weight, dtype)
        if validation is not None:
            judge = Judge(self, validation)
            judge.try_scorer()
        return rows.targets.for_training(training), judge

    def _split_generator(self):
        """The generator at the first split: a warm start must validate on the same
        rows, or it would score on what it was trained on."""
        if not hasattr(self, "_split_state"):
            self._split_state = self._random_state.get_state()
            return self._random_state
        generator = np.random.RandomState()
        generator.set_state(self._split_state)
        return generator

    def _network_and_rows(self, X):
        """The network of this moment, and users' X, validated for it and packed."""
        if not self._has_parameters():
            check_is_fitted(self)  # raises, and is slow
        network = self._current_network()
        dtype, n_features = network.params.dtype, network.n_features
        named = hasattr(self, "feature_names_in_")  # scikit-learn then compares names
        if named or not (is_settled(X, (dtype,)) and X.shape[1] == n_features):
            X = self._validate_new_rows(X, dtype)
        if X.shape[1] != n_features:
            raise ValueError(
                f"X has {X.shape[1]} features, but the network of"
                f" {type(self).__name__} has {n_features}."
            )
        return network, make_data(X, dtype)

    @under_usual_errors
    def _validate_new_rows(self, X, dtype):
        refuse_times(X)
        check_sparse_structure(X)
        X = validate_data(
            self, X, accept_sparse="csr", dtype=dtype, order="C", reset=False
        )
        check_sparse_structure(X)
        return X

    def _predict_raw(self, X, link=None):
        """(network, link(its raw prediction)) for users' X."""
        network, data = self._network_and_rows(X)
        return network, finite(network.predict(data, link))

    @under_usual_errors
    def hidden_activations(self, X, layer=-1):
        """Units of a hidden layer, for instance as features of another model.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.
        layer : int, default=-1
            Which hidden layer: 0 is the first, -1 the last.

        Returns
        -------
        A : ndarray of shape (n_samples, n_units)
            The activations, as prediction computes them.

        Raises
        ------
        ValueError
            If there is no such layer.
        """
        network, data = self._network_and_rows(X)
        n_hidden = len(network.architecture.activations)
        if not -n_hidden <= layer < n_hidden:
            raise ValueError(
                f"layer must be in [{-n_hidden}, {n_hidden}), as there are {n_hidden}"
                f" hidden layers; got {layer}."
            )
        number = 1 + layer % n_hidden
        return network.hidden_units(data, number)

    def _has_features_of(self, X):
        named = hasattr(self, "feature_names_in_")  # scikit-learn then compares names
        return not named and X.shape[1] == self.n_features_in_

    def __sklearn_is_fitted__(self):
        return self._has_parameters()

    def _check_solver(self):
        if self.solver not in STOCHASTIC_SOLVERS:
            raise AttributeError(
                "partial_fit is only available for stochastic optimizers."
                f" {self.solver} is not stochastic."
            )
        return True

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        needs_dense = self.input_dropout or self.augmentation or self.scale_input
        tags.input_tags.sparse = not needs_dense
        return tags


def finite(y_pred):
    if not np.isfinite(y_pred).all():
        raise ValueError(
            "Predictions are not finite. X or coefs_ contain too large values:"
            " scale the data, as for fit."
        )
    return y_pred
