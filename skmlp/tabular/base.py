"""What both estimators for tables share: validation, fit, and the way to predict."""

from abc import ABC, abstractmethod
from numbers import Integral, Real
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator, _fit_context
from sklearn.utils import check_consistent_length, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_y, check_is_fitted

from skmlp.core.activations import ACTIVATIONS
from skmlp.estimators.gate import (
    as_vector,
    check_sample_weight,
    check_sparse_structure,
    refuse_times,
    under_usual_errors,
)
from skmlp.estimators.numbers import CheckedParameters, as_sizes, check_size
from skmlp.estimators.publishing import Publishing
from skmlp.estimators.split import Rows, counting_rows, weights_relative_to
from skmlp.estimators.validation import (
    check_given,
    check_same_targets,
    errors_that_name,
)
from skmlp.estimators.versions import Versioned
from skmlp.preprocessing.columns import is_missing
from skmlp.preprocessing.validation import is_plain
from skmlp.tabular.ensemble import Ensemble
from skmlp.tabular.members import Task, default_jobs
from skmlp.tabular.network import make_designs
from skmlp.tabular.pilot import choose_design
from skmlp.tabular.recipe import ENCODINGS, QUALITIES, make_recipe
from skmlp.tabular.tables import check_table, make_table
from skmlp.tabular.training import make_tasks, train_ensemble
from skmlp.training.rows import TrainingRows, make_data

_OF_RECIPE = (
    "hidden_layer_sizes",
    "activation",
    "learning_rate_init",
    "n_steps",
    "batch_size",
    "dropout",
    "weight_decay",
    "n_members",
)
_REASONS = "interrupted", "diverged", "max_time", "n_steps"
_ROWS_FOR_KNOTS = 50_000
_SHARE_FOR_TRAINING = 0.9  # the choice of checkpoints follows
_DTYPE = np.dtype(np.float32)
_LARGEST_SEED = np.iinfo(np.int32).max


class Fitted(NamedTuple):
    """What prediction needs, in one object that never changes.

    Attributes
    ----------
    table : DenseTable or SparseTable
    ensemble : Ensemble
    targets : Targets
    finish : object
        How predictions of the ensemble become the estimator's.
    """

    table: Any
    ensemble: Ensemble
    targets: Any
    finish: Any

    def predict(self, X):
        """Mean prediction of the ensemble for rows of a checked table."""
        return self.ensemble.predict(make_data(self.table.transform(X), _DTYPE))


class BaseTabularMLP(CheckedParameters, Publishing, Versioned, BaseEstimator, ABC):
    """Base of the estimators for tables; not for direct use."""

    _parameter_constraints: dict = {
        "quality": [StrOptions(set(QUALITIES))],
        "categorical_features": ["array-like", StrOptions({"from_dtype"}), None],
        "number_encoding": [StrOptions({"auto", *ENCODINGS})],
        "hidden_layer_sizes": [
            "array-like",
            Interval(Integral, 1, None, closed="left"),
            None,
        ],
        "activation": [StrOptions(set(ACTIVATIONS)), None],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither"), None],
        "n_steps": [Interval(Integral, 1, None, closed="left"), None],
        "batch_size": [Interval(Integral, 1, None, closed="left"), None],
        "dropout": [Interval(Real, 0, 1, closed="left"), None],
        "weight_decay": [Interval(Real, 0, None, closed="left"), None],
        "n_members": [Interval(Integral, 1, None, closed="left"), None],
        "validation_fraction": [Interval(Real, 0, 0.5, closed="right")],
        "refit": ["boolean"],
        "max_time": [Interval(Real, 0, None, closed="neither"), None],
        "n_jobs": [
            Interval(Integral, 1, None, closed="left"),
            Interval(Integral, None, -1, closed="right"),
            None,
        ],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
    }

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
        """Fit the model to a table X and target(s) y.

        Parameters
        ----------
        X : table or sparse matrix of shape (n_samples, n_features)
            A frame of pandas, polars, Arrow or narwhals, another that offers
            ``__dataframe__``, an array, or a list of rows: numbers, booleans, strings
            and categories, any of them missing. Or a sparse matrix of numbers.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            The target values (class labels in classification, real numbers in
            regression).
        sample_weight : array-like of shape (n_samples,), default=None
            Sample weights, not negative; rows of weight zero are left out.
        X_val, y_val : like X and y, default=None
            Rows to judge the checkpoints by, in the place of folds of X: all members
            are then trained on all rows of X.
        sample_weight_val : array-like of shape (n_val_samples,), default=None
            Their weights.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        TypeError
            If columns hold dates, or objects of an unknown type.
        ValueError
            If a parameter or the data are invalid, or if training diverges. The
            estimator then stays as it was.
        """
        return self._fit(X, y, sample_weight, (X_val, y_val, sample_weight_val))

    @under_usual_errors
    def _fit(self, X, y, sample_weight, given):
        """Train a twin, and become it in one step if all goes well."""
        parameters = self._checked_parameters()
        twin = self._twin()
        vars(twin).update(parameters)
        begin = frozenset(vars(twin))
        twin._train(X, y, sample_weight, given)
        self._publish(twin, begin)
        return self

    def _train(self, X, y, sample_weight, given):
        deadline = None
        if self.max_time is not None:
            deadline = perf_counter() + _SHARE_FOR_TRAINING * self.max_time
        has_validation = check_given(*given)
        random_state = check_random_state(self.random_state)
        rows = self._training_rows(X, y, sample_weight)
        validation = self._validation_rows(given, rows) if has_validation else None
        table = self._make_table(rows)
        scale = self._scale_of_targets(rows)
        whole, designs = self._make_task(table, rows, scale, deadline)
        if validation is not None:
            validation = _encoded(table, validation, scale), validation.weight
        codes, fraction = self._codes(rows), self.validation_fraction
        tasks = make_tasks(whole, validation, codes, fraction, random_state)
        seeds = random_state.randint(_LARGEST_SEED, size=len(tasks)).tolist()
        design = choose_design(designs, tasks[0], seeds[0], n_jobs=self._n_jobs())
        self.number_encoding_ = design.encoding
        whole, *tasks = (task._replace(design=design) for task in (whole, *tasks))
        trained = self._train_members(whole, tasks, seeds)
        finish = self._make_finish(trained.held_out, scale, rows.targets)
        self._fitted = Fitted(table, trained.ensemble, rows.targets, finish)

    def _training_rows(self, X, y, sample_weight):
        """Checked rows with encoded targets and weights."""
        X = check_table(self, X, reset=True)
        y = self._check_y(X, y)
        targets = self._learn_targets(y)
        rows = _with_targets(X, y, sample_weight, targets)
        n_rows = counting_rows(X.shape[0], rows.weight).size
        if n_rows < 2:
            raise ValueError(
                f"n_samples = {n_rows} with a positive weight: at least 2 are needed,"
                " one to train on and one to judge by."
            )
        return rows

    def _check_y(self, X, y):
        if y is None:
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, but the"
                " target y is None."
            )
        refuse_times(y, "y")
        check_sparse_structure(y)
        numeric = self._needs_numbers
        y = _check_y(y, multi_output=True, y_numeric=numeric, estimator=self)
        check_consistent_length(X, y)
        if y.dtype.kind == "O" and any(map(is_missing, y.flat)):
            raise ValueError(
                "Input y contains missing values: leave out these rows, or give them a"
                " label of their own."
            )
        return as_vector(y)

    def _validation_rows(self, given, rows):
        """Users' rows to judge by, checked like those for training."""
        with errors_that_name("X_val and y_val"):
            X_val, y_val, weight = given
            X = check_table(self, X_val, reset=False)
            own = _with_targets(X, self._check_y(X, y_val), weight, rows.targets)
        check_same_targets(own.Y, rows.Y)
        return own

    def _make_table(self, rows):
        return make_table(rows.X, self.categorical_features).fit(rows.X, rows.weight)

    def _make_task(self, table, rows, scale, deadline):
        """(what a member would be trained for on all rows that count, its designs to
        choose from)."""
        counting = counting_rows(rows.X.shape[0], rows.weight)
        weight, _ = weights_relative_to(rows.weight, counting)
        data = _encoded(table, rows, scale, weight)
        recipe = self._recipe(counting.size)
        some = counting[:: -(-counting.size // _ROWS_FOR_KNOTS)]
        n_outputs = rows.targets.n_outputs(rows.Y)
        check_size([data.X.shape[1], *recipe.hidden_layer_sizes, n_outputs])
        designs = make_designs(table, data, some, n_outputs, recipe)
        whole = Task(
            design=designs[0],
            training=TrainingRows(data, counting),
            validation=None,
            validation_weight=None,
            objective=rows.targets.objective,
            link=rows.targets.link,
            recipe=recipe,
            deadline=deadline,
        )
        return whole, designs

    def _recipe(self, n_rows):
        given = {name: getattr(self, name) for name in _OF_RECIPE}
        if self.hidden_layer_sizes is not None:
            given["hidden_layer_sizes"] = tuple(as_sizes(self.hidden_layer_sizes))
        if self.number_encoding != "auto":
            given["encodings"] = (self.number_encoding,)
        return make_recipe(self._kind, self.quality, n_rows, **given)

    def _n_jobs(self):
        return default_jobs(self.n_jobs)

    def _train_members(self, whole, tasks, seeds):
        history = []

        def show(member, checkpoint):
            step, seconds, loss, error, *_ = checkpoint
            history.append((member, step, loss, error, seconds))
            if self.verbose:
                print(
                    f"Member {member}, step {step}, loss = {loss:.6f}, validation error"
                    f" = {error:.6f}, {seconds:.1f} s"
                )

        trained = train_ensemble(
            whole, tasks, seeds, refit=self.refit, n_jobs=self._n_jobs(), show=show
        )
        names = "member", "step", "loss", "validation_error", "seconds"
        history.sort()  # members train side by side
        self.history_ = dict(zip(names, map(list, zip(*history))))
        self.members_ = trained.members
        self.n_iter_ = max(self.history_["step"])
        reasons = {member.stopping_reason for member in self.members_}
        self.stopping_reason_ = next(r for r in _REASONS if r in reasons)
        return trained

    @under_usual_errors
    def _predict(self, X):
        """(what prediction needs, mean prediction of the ensemble) for users' X."""
        if "_fitted" not in vars(self):
            check_is_fitted(self)
        fitted = self._fitted
        if not (is_plain(X, self) and not fitted.table.is_sparse):
            X = check_table(self, X, reset=False)
        return fitted, fitted.predict(X)

    @abstractmethod
    def _learn_targets(self, y):
        """The targets that validated y holds."""

    @abstractmethod
    def _scale_of_targets(self, rows):
        """The `TargetScale` of encoded targets, or None if they are learned as they
        are."""

    @abstractmethod
    def _codes(self, rows):
        """Classes of the rows, of which folds get equal shares, or None."""

    @abstractmethod
    def _make_finish(self, held_out, scale, targets):
        """How predictions of the ensemble become the estimator's."""

    def __sklearn_is_fitted__(self):
        return "_fitted" in vars(self)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        tags.input_tags.sparse = True
        return tags


def _with_targets(X, y, sample_weight, targets):
    weight = check_sample_weight(sample_weight, X)
    Y = targets.encode(y, np.float32)
    return Rows(X, Y, targets.weigh(Y, weight), targets)


def _encoded(table, rows, scale, weight=None):
    """Rows as networks take them; their targets as networks learn them."""
    Y = rows.Y if scale is None else scale.standardize(rows.Y)
    return make_data(table.transform(rows.X), _DTYPE, Y, weight)
