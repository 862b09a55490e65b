"""The classifier for tables."""

from typing import NamedTuple

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.multiclass import check_classification_targets

from skmlp.estimators.gate import native, under_usual_errors
from skmlp.estimators.split import counting_rows
from skmlp.estimators.targets import ClassTargets, codes_of, fitted_binarizer
from skmlp.tabular.base import BaseTabularMLP
from skmlp.tabular.calibration import fit_temperature, sharpen


class Calibration(NamedTuple):
    """How probabilities are sharpened, if at all.

    Attributes
    ----------
    factor : float
        Inverse temperature; 0 if they stay as they are.
    n_rows : int
        By so many rows.
    exclusive : bool
        Whether the columns are classes, of which each row has one.
    """

    factor: float
    n_rows: int
    exclusive: bool

    def __call__(self, y_prob):
        if not self.factor:
            return y_prob.astype(np.float64)
        return sharpen(y_prob, self.factor, self.n_rows, exclusive=self.exclusive)


class TabularMLPClassifier(ClassifierMixin, BaseTabularMLP):
    """Classifier for raw tables of numbers and categories: an ensemble of networks.

    Takes a table as it is, with gaps and categories. Each of several networks is
    trained on all rows but a fold; of the weights that it had on its way, those are
    chosen whose mean prediction for the fold is best; the mean of all networks
    predicts. Defaults are for tables of some hundreds to some millions of rows.

    Parameters
    ----------
    quality : {"fast", "default", "best"}, default="default"
        How much time to spend: one network of two hidden layers, three of three layers,
        or five, with larger minibatches. See the page "Tables".
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
        Activation of hidden layers, as of `MLPClassifier`; 'selu' if None. Units mix it
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
    calibrate : bool, default=True
        Whether probabilities are sharpened or smoothed by a temperature [2]_, fitted to
        the held-out rows, and mixed with equal ones by a share of one in the number of
        these rows [3]_.
    class_weight : dict, list of dict or "balanced", default=None
        Weights of classes, as of `MLPClassifier`. They count in training, in the choice
        of weights and in the calibration.
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
    classes_ : ndarray or list of ndarray of shape (n_classes,)
        Class labels for each output.
    n_features_in_ : int
        Number of columns seen by `fit`.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, if all are strings.
    members_ : list of namedtuple
        Of each network: ``steps`` after which its weights were taken, their ``counts``
        in its mean, the ``validation_error`` of that mean (Brier score) and the
        ``stopping_reason``.
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
    TabularMLPRegressor : The same for numbers.
    MLPClassifier : A single network for matrices, with all of its parameters.
    skmlp.preprocessing.TabularEncoder : What becomes of the columns.

    Notes
    -----
    Numbers are scaled by median and quartiles and bounded smoothly; a unit tells where
    they are missing. Each number is joined by trained waves of it, or by its shares of
    the pieces between quantiles [5]_. Up to eight categories have a unit each, more
    have trained vectors. Most of the recipe is that of RealMLP [1]_; the choice of
    weights is that of Caruana et al. [4]_.

    Missing values and categories that `fit` has not seen become zeros.

    References
    ----------
    .. [1] D. Holzmüller, L. Grinsztajn and I. Steinwart, "Better by Default: Strong
       Pre-Tuned MLPs and Boosted Trees on Tabular Data", NeurIPS 2024,
       :arxiv:`2407.04491`.
    .. [2] C. Guo, G. Pleiss, Y. Sun and K. Q. Weinberger, "On calibration of modern
       neural networks", ICML 2017, :arxiv:`1706.04599`.
    .. [3] E. Berta, D. Holzmüller, M. I. Jordan and F. Bach, "Rethinking early
       stopping: refine, then calibrate", 2025, :arxiv:`2501.19195`.
    .. [4] R. Caruana, A. Niculescu-Mizil, G. Crew and A. Ksikes, "Ensemble selection
       from libraries of models", ICML 2004.
    .. [5] Y. Gorishniy, I. Rubachev and A. Babenko, "On embeddings for numerical
       features in tabular deep learning", NeurIPS 2022, :arxiv:`2203.05556`.

    Examples
    --------
    >>> from skmlp import TabularMLPClassifier
    >>> X = [["red", 1.0], ["red", None], ["blue", 2.0], ["blue", 3.0]] * 10
    >>> y = ["no", "no", "yes", "yes"] * 10
    >>> clf = TabularMLPClassifier(quality="fast", random_state=0).fit(X, y)
    >>> clf.predict([["blue", None], ["red", 2.5]])
    array(['yes', 'no'], dtype='<U3')
    """

    _parameter_constraints: dict = {
        **BaseTabularMLP._parameter_constraints,
        "calibrate": ["boolean"],
        "class_weight": [dict, list, StrOptions({"balanced"}), None],
    }
    _kind, _needs_numbers = "classifier", False

    def __init__(
        self,
        *,
        quality="default",
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
        calibrate=True,
        class_weight=None,
        max_time=None,
        n_jobs=None,
        verbose=False,
        random_state=None,
    ):
        self._store_parameters(locals())

    def predict(self, X):
        """Predict class labels.

        Parameters
        ----------
        X : table of shape (n_samples, n_features)
            Columns as in `fit`.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_labels)
            The most probable class of each row, or an indicator matrix if the
            classifier was fitted to one.
        """
        fitted, y_prob = self._predict(X)
        if fitted.targets.multilabel:
            return (y_prob > 0.5).astype(int)
        return fitted.targets.classes[codes_of(y_prob)]

    @under_usual_errors
    def predict_proba(self, X):
        """Predict class probabilities.

        Parameters
        ----------
        X : table of shape (n_samples, n_features)
            Columns as in `fit`.

        Returns
        -------
        y_prob : ndarray of shape (n_samples, n_classes)
            Probabilities in the order of `classes_`; for multilabel targets, of
            each label on its own.
        """
        fitted, y_prob = self._predict(X)
        y_prob = fitted.finish(y_prob)
        single = y_prob.shape[1] == 1 and not fitted.targets.multilabel
        return np.hstack([1 - y_prob, y_prob]) if single else y_prob

    @under_usual_errors
    def predict_log_proba(self, X):
        """Predict logarithms of class probabilities.

        Parameters
        ----------
        X : table of shape (n_samples, n_features)
            Columns as in `fit`.

        Returns
        -------
        log_y_prob : ndarray of shape (n_samples, n_classes)
            ``log(predict_proba(X))``; minus infinity of zero, which there may be
            without `calibrate`.
        """
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def _learn_targets(self, y):
        check_classification_targets(y)
        binarizer = fitted_binarizer(native(y))
        self.classes_ = binarizer.classes_
        if len(self.classes_) < 2:
            raise ValueError(
                f"y has one class only, {self.classes_}: a classifier needs at least 2"
                " classes."
            )
        return ClassTargets(
            binarizer,
            loss="log_loss",
            focal_gamma=0.0,
            label_smoothing=0.0,
            class_weight=self.class_weight,
        )

    def _scale_of_targets(self, rows):
        return None

    def _codes(self, rows):
        return None if rows.targets.multilabel else codes_of(rows.Y)

    def _make_finish(self, held_out, scale, targets):
        exclusive = targets.y_type == "multiclass"
        n_rows = counting_rows(len(held_out.Y), held_out.weight).size
        factor = 0.0
        if self.calibrate:
            factor = fit_temperature(*held_out, exclusive=exclusive)
        return Calibration(factor, n_rows, exclusive)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
