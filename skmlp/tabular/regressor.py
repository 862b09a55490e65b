"""The regressor for tables."""

from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils._param_validation import Interval, StrOptions

from skmlp.estimators.gate import under_usual_errors
from skmlp.estimators.targets import RealTargets, without_single_column
from skmlp.tabular.base import BaseTabularMLP
from skmlp.tabular.calibration import conformal_radius
from skmlp.tabular.scales import TargetScale, fit_scale


class Conformal(NamedTuple):
    """Predictions in the units of the targets, and intervals around them.

    Attributes
    ----------
    scale : TargetScale
    link : str
    several : bool
        Whether the outputs are quantiles of one target.
    scores : ndarray of shape (n_rows, n_targets)
        How far held-out targets were from what was predicted: in standard deviations,
        if these are predicted; beyond the outer quantiles, if there are several.
    weight : ndarray of shape (n_rows,) or None
    """

    scale: TargetScale
    link: str
    several: bool
    scores: np.ndarray
    weight: Any

    def __call__(self, predicted):
        """Means or quantiles, and deviations or None."""
        return self.scale.restore(predicted, self.link)

    def interval(self, predicted, level):
        """Ends of intervals that cover a share of new targets."""
        center, std = self(predicted)
        radius = np.array(
            [conformal_radius(score, self.weight, level) for score in self.scores.T]
        )
        if std is not None:
            radius = radius * std
        low, high = _ends(center, self.several)
        return low - radius, high + radius


def _ends(center, several):
    return (center[:, :1], center[:, -1:]) if several else (center, center)


def make_conformal(held_out, scale, link, *, several):
    """Learn from held-out rows how far targets are from predictions.

    Parameters
    ----------
    held_out : HeldOut
    scale : TargetScale
    link : str
    several : bool
    """
    center, std = scale.restore(held_out.predicted, link)
    Y = held_out.Y.astype(np.float64) * scale.spread + scale.center
    low, high = _ends(center, several)
    Y = Y[:, : low.shape[1]]
    scores = np.maximum(low - Y, Y - high)
    if std is not None:
        scores = scores / std
    return Conformal(scale, link, several, scores, held_out.weight)


class TabularMLPRegressor(RegressorMixin, BaseTabularMLP):
    """Regressor for raw tables of numbers and categories: an ensemble of networks.

    Takes a table as it is, with gaps and categories. Each of several networks is
    trained on all rows but a fold; of the weights that it had on its way, those are
    chosen whose mean prediction for the fold is best; the mean of all networks
    predicts. Defaults are for tables of some hundreds to some millions of rows.

    Parameters
    ----------
    quality : {"fast", "default", "best"}, default="default"
        How much time to spend: one network of two hidden layers, three of three layers,
        or five, with larger minibatches. See the page "Tables".
    loss : {"squared_error", "quantile", "gaussian_nll"}, default="squared_error"
        What is predicted: means; quantiles, by the pinball loss; or means and standard
        deviations of normal distributions. See `MLPRegressor`.
    quantile : float or sequence of float, default=0.5
        With loss="quantile", share of targets below the prediction, in (0, 1); several,
        in rising order and for a single target only, have an output each.
    categorical_features : "from_dtype", array-like of bool, int or str, or None, \
default="from_dtype"
        Which columns are categories: those of strings, of booleans and of the dtypes
        for categories ("from_dtype"), those of a mask, of indices or of names, or none.
    number_encoding : {"auto", "waves", "pieces"}, default="auto"
        What numbers of a dense table are joined by: trained waves, or shares of the
        pieces between their quantiles. "auto" takes the one by which a small network
        comes to a clearly smaller validation error in a short training.
    hidden_layer_sizes : int or array-like of int, default=None
        Numbers of units of the hidden layers; those of the quality if None, as for all
        that follows up to `n_members`.
    activation : str, default=None
        Activation of hidden layers, as of `MLPRegressor`; 'mish' if None. Units mix it
        with the identity in a trained proportion, unless it is gated or 'identity'.
    learning_rate_init : float, default=None
        Highest learning rate of 'adam'. Weights have this rate divided by the square
        root of their fan-in; the rate falls and rises along four cosines over the
        logarithm of time (CosLog).
    n_steps : int, default=None
        Steps of each network, rounded up to a whole distance between its (up to 24)
        checkpoints. If None they grow with the square root of the number of rows.
    batch_size : int, default=None
        Rows of a minibatch.
    dropout : float, default=None
        Share of hidden units that are set to zero at random in each step; it falls to
        zero in the second half of the training.
    weight_decay : float, default=None
        Decoupled decay of the weights, which falls likewise.
    n_members : int, default=None
        Number of networks.
    validation_fraction : float, default=0.2
        Share of the rows in a fold, in (0, 0.5]; of a fold, at most 10,000 rows are
        held out. Members take turns with the folds.
    refit : bool, default=False
        Whether the chosen networks are trained anew on all rows, for as many steps:
        twice the time.
    max_time : float, default=None
        Seconds that `fit` may take. There are fewer steps if need be; the first fit
        after an installation compiles beyond that.
    n_jobs : int, default=None
        How many networks are trained at the same time; as many as there are threads
        if None. Results do not depend on it.
    verbose : bool or int, default=False
        Whether to print loss and validation error of each checkpoint.
    random_state : int, RandomState instance or None, default=None
        Draws folds, initial weights, orders of rows and masks of dropout.

    Attributes
    ----------
    n_features_in_ : int
        Number of columns seen by `fit`.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, if all are strings.
    members_ : list of namedtuple
        Of each network: ``steps`` after which its weights were taken, their ``counts``
        in its mean, the ``validation_error`` of that mean (of standardized targets) and
        the ``stopping_reason``.
    history_ : dict of list
        Member, step, loss, validation error and seconds of each checkpoint, ready for a
        DataFrame.
    number_encoding_ : {"waves", "pieces"} or None
        What numbers are joined by.
    n_iter_ : int
        Steps of the longest training.
    stopping_reason_ : str
        Why training ended: 'n_steps', 'max_time', 'diverged' or 'interrupted'.

    See Also
    --------
    TabularMLPClassifier : The same for classes.
    MLPRegressor : A single network for matrices, with all of its parameters.
    skmlp.preprocessing.TabularEncoder : What becomes of the columns.

    Notes
    -----
    Columns are encoded as by `TabularMLPClassifier`, and most of the recipe is that of
    RealMLP [1]_. Targets are standardized, and predictions stay within their range.

    Missing values and categories that `fit` has not seen become zeros.

    Intervals are those of split conformal prediction [2]_ or, with several quantiles,
    of conformalized quantile regression [3]_.

    References
    ----------
    .. [1] D. Holzmüller, L. Grinsztajn and I. Steinwart, "Better by Default: Strong
       Pre-Tuned MLPs and Boosted Trees on Tabular Data", NeurIPS 2024,
       :arxiv:`2407.04491`.
    .. [2] J. Lei, M. G'Sell, A. Rinaldo, R. J. Tibshirani and L. Wasserman,
       "Distribution-free predictive inference for regression", JASA 113, 2018,
       :arxiv:`1604.04173`.
    .. [3] Y. Romano, E. Patterson and E. J. Candès, "Conformalized quantile
       regression", NeurIPS 2019, :arxiv:`1905.03222`.

    Examples
    --------
    >>> import numpy as np
    >>> from skmlp import TabularMLPRegressor
    >>> rng = np.random.default_rng(0)
    >>> X = rng.uniform(size=(500, 2))
    >>> y = 10 * X[:, 0] + rng.normal(size=500)
    >>> reg = TabularMLPRegressor(quality="fast", random_state=0).fit(X, y)
    >>> y_pred, low, high = reg.predict(X[:100], interval=0.9)
    >>> bool(np.mean((low < y[:100]) & (y[:100] < high)) > 0.8)
    True
    """

    _parameter_constraints: dict = {
        **BaseTabularMLP._parameter_constraints,
        "loss": [StrOptions({"squared_error", "quantile", "gaussian_nll"})],
        "quantile": [Interval(Real, 0, 1, closed="neither"), "array-like"],
    }
    _kind, _needs_numbers = "regressor", True

    def __init__(
        self,
        *,
        quality="default",
        loss="squared_error",
        quantile=0.5,
        categorical_features="from_dtype",
        number_encoding="auto",
        hidden_layer_sizes=None,
        activation=None,
        learning_rate_init=None,
        n_steps=None,
        batch_size=None,
        dropout=None,
        weight_decay=None,
        n_members=None,
        validation_fraction=0.2,
        refit=False,
        max_time=None,
        n_jobs=None,
        verbose=False,
        random_state=None,
    ):
        self._store_parameters(locals())

    def predict(self, X, *, return_std=False, interval=None):
        """Predict targets.

        Parameters
        ----------
        X : table of shape (n_samples, n_features)
            Columns as in `fit`.
        return_std : bool, default=False
            Whether to return standard deviations too; for loss="gaussian_nll".
        interval : float, default=None
            Share of new targets, in (0, 1), that intervals are to cover, whose ends
            are returned too. Their width is the quantile of the distances of held-out
            targets from predictions by networks that have not seen them: the same for
            all rows, or proportional to the standard deviations of
            loss="gaussian_nll", or beyond the first and the last of several quantiles.

        Returns
        -------
        y : ndarray of shape (n_samples,), (n_samples, n_targets) or \
                (n_samples, n_quantiles)
            Means or quantiles.
        std : ndarray of the shape of y
            If `return_std`.
        low, high : ndarray of shape (n_samples,) or (n_samples, n_targets)
            If there is an `interval`; infinite if too few rows were held out for it.

        Raises
        ------
        ValueError
            If something is asked for that the loss does not give.
        """
        fitted, predicted = self._predict(X)
        y, std = fitted.finish(predicted)
        out = [y]
        if return_std:
            if std is None:
                raise ValueError(
                    "return_std=True needs the standard deviations that only"
                    " loss='gaussian_nll' fits."
                )
            out.append(std)
        if interval is not None:
            if not 0 < interval < 1:
                raise ValueError(f"interval must be in (0, 1), got {interval}.")
            if fitted.targets.core_loss == "quantile":
                raise ValueError(
                    "interval needs means or several quantiles: choose another loss,"
                    " or quantile=[0.05, 0.95]."
                )
            out += fitted.finish.interval(predicted, interval)
        out = tuple(map(without_single_column, out))
        return out if len(out) > 1 else out[0]

    @under_usual_errors
    def score(self, X, y, sample_weight=None):
        """Goodness of predictions: 1 if perfect, 0 for those of a constant.

        R2, the share of the squared error that the model explains; for quantiles D2,
        the same share of the pinball loss, averaged over quantiles or targets.

        Parameters
        ----------
        X : table of shape (n_samples, n_features)
            Columns as in `fit`.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            The true targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Sample weights.

        Returns
        -------
        score : float
            1 at most; negative if worse than the constant.
        """
        fitted, predicted = self._predict(X)
        y_pred, _ = fitted.finish(predicted)
        return fitted.targets.score_users(y, y_pred, sample_weight)

    def _learn_targets(self, y):
        targets = RealTargets(
            loss=self.loss,
            huber_delta=1.0,
            quantile=self.quantile,
            tweedie_power=1.5,
            nll_beta=0.5,
        )
        targets.check_quantiles()
        return targets

    def _scale_of_targets(self, rows):
        return fit_scale(rows.Y, rows.weight)

    def _codes(self, rows):
        return None

    def _make_finish(self, held_out, scale, targets):
        several = targets.core_loss == "quantiles"
        return make_conformal(held_out, scale, targets.link, several=several)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = np.size(self.quantile) == 1
        return tags
