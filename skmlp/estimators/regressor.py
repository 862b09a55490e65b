"""The regressor."""

import numpy as np
from sklearn.base import RegressorMixin, _fit_context
from sklearn.utils.metaestimators import available_if

from skmlp.estimators.base import BaseMLP
from skmlp.estimators.choices import constraints_of
from skmlp.estimators.gate import under_usual_errors
from skmlp.estimators.parameters import OF_REGRESSOR
from skmlp.estimators.targets import RealTargets, without_single_column


class MLPRegressor(RegressorMixin, BaseMLP):
    """Multi-layer perceptron regressor.

    Minimizes half the squared error or another loss, for one or several targets, and
    predicts means, quantiles, or means with standard deviations.

    Parameters
    ----------
    loss : {'squared_error', 'absolute_error', 'huber', 'log_cosh', 'quantile', \
            'gaussian_nll', 'poisson', 'gamma', 'tweedie'}, default='squared_error'
        What is minimized, with e the prediction minus the target:

        - 'squared_error': ``e ** 2 / 2``, for the mean;
        - 'absolute_error': ``|e|``, for the median;
        - 'huber' [10]_: the squared error up to ``|e| = huber_delta``, and from there
          ``huber_delta * (|e| - huber_delta / 2)``;
        - 'log_cosh': ``log(cosh(e))``, a smooth relative of both;
        - 'quantile' [11]_: ``quantile * |e|`` below the target, and
          ``(1 - quantile) * |e|`` above it;
        - 'gaussian_nll': the negative logarithm of a normal density, whose mean and
          variance both depend on X, without the constant ``log(2 pi) / 2``; has two
          outputs per target;
        - 'poisson', 'gamma' and 'tweedie': half the deviance of these distributions;
          they predict ``exp`` of the raw prediction and need targets ``y >= 0``,
          'gamma' ``y > 0``.

        The squared error is averaged over targets in `loss_`, as in scikit-learn, and
        the others are summed. 'absolute_error' and 'quantile' have kinks, for which
        'lbfgs' is not made.
    hidden_layer_sizes : array-like of int or int, default=(100,)
        Units of each hidden layer; an empty sequence gives a linear model.
    activation : str or a sequence of them, default='relu'
        Activation of the hidden layers, or of each of them: 'identity' x, 'tanh',
        'logistic' s(x) = 1 / (1 + exp(-x)), 'relu' max(0, x), 'leaky_relu' x or, below
        zero, 0.01 x, 'elu' x or exp(x) - 1, 'selu' 1.0507 x or 1.7581 (exp(x) - 1),
        'softplus' log(1 + exp(x)), 'softsign' x / (1 + abs(x)), 'hard_sigmoid'
        clip(x / 6 + 1 / 2, 0, 1), 'hard_tanh' clip(x, -1, 1), 'gelu' x times the
        normal distribution function, 'silu' x s(x), 'mish' x tanh(log(1 + exp(x))).
        Gated layers are u g(v), where [u, v] is the affine part, twice as wide as the
        output that `hidden_layer_sizes` counts: 'glu', 'geglu', 'swiglu' and 'reglu',
        with 'logistic', 'gelu', 'silu' and 'relu' for g.
    solver : {'lbfgs', 'sgd', 'adam', 'adamw', 'nadam', 'amsgrad', 'adagrad', \
            'rmsprop', 'lion', 'schedule_free'}, default='adam'
        How the loss is minimized. 'lbfgs' [3]_ is a quasi-Newton method on all rows at
        once, often the best choice for a few thousand rows or fewer. All others are
        stochastic: they take a step per minibatch. 'sgd' has momentum. 'adam' [2]_
        divides momentum by a running root mean square of the gradient; 'adamw' takes
        the same steps, and needs a `weight_decay` to differ (0.01 is usual); 'nadam'
        [14]_ also looks ahead, 'amsgrad' [15]_ uses the largest mean square so far.
        'rmsprop' [16]_ has no momentum, nor has 'adagrad' [17]_, which divides by the
        root of the sum of all squares. 'lion' [18]_ uses the sign of the gradient's
        average; it wants a tenth of Adam's rate, and ``beta_2=0.99``. 'schedule_free'
        [19]_ averages the weights instead of lowering the rate: for a number of epochs
        that is not known beforehand, as in `partial_fit`.
    alpha : float, default=0.0001
        Strength of the L2 penalty ``alpha / 2 * sum(weights ** 2)``, which is
        divided by the number of rows (the sum of their weights) that the gradient
        is taken over. Biases are not penalized.
    batch_size : int or 'auto', default='auto'
        Rows per minibatch; 'auto' is ``min(200, n_samples)``. Not used by 'lbfgs'.
    learning_rate : {'constant', 'invscaling', 'adaptive', 'step', 'exponential', \
            'cosine', 'one_cycle', 'plateau', 'coslog4', 'flat_cosine'}, Schedule or \
            callable, default='constant'
        How the rate of stochastic solvers changes. Two schedules are for 'sgd' only,
        and ignored with a warning elsewhere: 'invscaling' sets ``learning_rate_init /
        (t + 1) ** power_t`` after each epoch, t rows having been seen; 'adaptive'
        divides the rate by 5 whenever patience (see `n_iter_no_change`) runs out, and
        stops once it is below 1e-6. The others serve all stochastic solvers and act on
        each step. Their names stand for the schedules of ``skmlp.schedules`` as they
        are by default; pass an object such as ``skmlp.schedules.Cosine(final=0.01)``
        for other settings, or a function that turns an array of progress into factors
        of `learning_rate_init`. Progress is the share of the `max_iter` epochs that is
        finished, in [0, 1]. Each `fit` begins at 0; each call of `partial_fit` is the
        next epoch, and beyond `max_iter` of them progress stays 1.
    learning_rate_init : float, default=0.001
        Learning rate of the stochastic solvers, which schedules multiply.
    power_t : float, default=0.5
        Exponent of 'invscaling'.
    max_iter : int, default=200
        Most epochs, or iterations of 'lbfgs'.
    shuffle : bool, default=True
        Whether to visit the rows in a new random order in each epoch.
    random_state : int, RandomState instance or None, default=None
        Seeds initial weights, the validation split and the order of rows. An int
        gives the same result in each run.
    tol : float, default=1e-4
        Least improvement that counts, see `n_iter_no_change`; for 'lbfgs', the
        largest component of the gradient at which it has converged.
    verbose : bool or int, default=False
        Whether to print the loss of each epoch or iteration.
    warm_start : bool, default=False
        Whether `fit` goes on from the weights of the previous fit.
    momentum : float, default=0.9
        Momentum of 'sgd', in [0, 1].
    nesterovs_momentum : bool, default=True
        Whether 'sgd' uses Nesterov's momentum.
    early_stopping : bool, default=False
        Whether to stop when the score on validation rows (see `scoring`) stops
        improving, and to keep the weights of the best one. The rows are those given
        to `fit`, or else `validation_fraction` of its rows, which are set aside; those
        of two classes in proportion.
    validation_fraction : float, default=0.1
        Share of rows set aside: two rows, and one per class where possible, at least.
    beta_1, beta_2 : float, default=0.9, 0.999
        Decay rates of the averages of 'adam', its variants and 'lion', in [0, 1).
    epsilon : float, default=1e-8
        Added to the denominator of 'adam', its variants, 'adagrad' and 'rmsprop'.
    n_iter_no_change : int or inf, default=10
        Epochs in a row without an improvement of `tol` that are tolerated: in the
        training loss, or in the validation score with `early_stopping`.
    max_fun : int, default=15000
        Most evaluations of the loss by 'lbfgs'.
    normalization : {'batch', 'layer'} or None, or a sequence of them, default=None
        Normalization between the affine part and the activation of the hidden layers,
        or of each of them: over the rows of the minibatch [4]_ or over the units of a
        row [5]_. Prediction uses running averages of the batch statistics; so does
        training where a minibatch has one row. The layer's intercepts are the shift.
    norm_momentum : float, default=0.1
        Weight of a minibatch in the running averages, in (0, 1].
    norm_epsilon : float, default=1e-5
        Added to variances.
    norm_statistics : {'running', 'population'}, default='running'
        What prediction takes for the statistics of 'batch': running averages, or, at
        the end of `fit`, exact means and variances over the training rows. During
        training and after `partial_fit` they are running averages.
    dropout : float or a sequence of them, default=0.0
        Share of units of the hidden layers, or of each of them, that are set to zero
        at random in each training step [6]_; the others are divided by 1 - dropout.
        Prediction uses all units.
    input_dropout : float, default=0.0
        Share of the features of dense X that are set to zero likewise.
    weight_init : str or callable, default='auto'
        How the initial weights are drawn. 'auto' is scikit-learn's way [1]_;
        'glorot_uniform', 'glorot_normal' [1]_ (variance ``2 / (fan_in + fan_out)``),
        'he_uniform', 'he_normal' [7]_ (``2 / fan_in``), 'lecun_uniform',
        'lecun_normal' (``1 / fan_in``, which some textbooks call Xavier's),
        'orthogonal' [8]_, 'zeros', or a function of ``fan_in``, ``fan_out`` and a
        `RandomState` that returns an array of shape (fan_in, fan_out). Biases then
        start at zero.
    l1_ratio : float, default=0.0
        Share of the L1 norm in the penalty (elastic net [20]_), in [0, 1]:
        ``alpha * (l1_ratio * sum(abs(weights)) + (1 - l1_ratio) / 2 *
        sum(weights ** 2))``.
    weight_decay : float, default=0.0
        Decoupled decay of the weights [9]_: each step first multiplies the weights by
        ``1 - learning_rate * weight_decay``.
    max_norm : float, default=None
        Largest norm of the incoming weights of a unit; larger ones are scaled down
        after each step [6]_.
    clip_norm : float, default=None
        Largest norm of the gradient, penalty included; a larger one is scaled down
        [21]_.
    clip_value : float, default=None
        Largest absolute value of the components of the gradient, penalty included.
    ema_decay : float, default=None
        Keep the moving average of the weights (and running statistics) for validation
        and prediction: step t replaces ``1 - min(ema_decay, (1 + t) / (10 + t))`` of
        it. `coefs_` and `intercepts_` show the average.
    augmentation : callable, default=None
        An object from `skmlp.augmentation`, or another callable
        ``(X, Y, rng) -> X, Y``, that is applied to the training rows, never to
        validation rows, before each epoch. X is dense and Y as the network sees it, of
        shape (n_samples, n_outputs).
    dtype : {'auto', 'float32', 'float64'}, default='auto'
        Type of the weights and of all computation; 'auto' follows X.
    max_time : float, default=None
        Seconds after which `fit` ends, once the epoch or iteration is done, as if
        `max_iter` were reached.
    last_batch : {'keep', 'merge', 'drop'}, default='keep'
        What becomes of a last minibatch that has fewer than `batch_size` rows. It takes
        a step of its own, its rows go to the minibatch before, or the epoch leaves them
        out (others each time, with `shuffle`). Not used by 'lbfgs'.
    scoring : str, callable or None, default=None
        Score of the validation rows, higher being better: None for R2, or D2 with
        'quantile', see `score`; 'loss' for the negative loss, the name of a scorer,
        such as 'neg_mean_absolute_error', or a callable ``(estimator, X, y) -> float``.
    huber_delta : float, default=1.0
        Where 'huber' turns from quadratic to linear, in units of the targets.
    quantile : float or sequence of float, default=0.5
        Share of targets below the prediction of 'quantile', in (0, 1). Several, in
        rising order and for a single target only, have an output each, and are
        sorted in prediction, so that they do not cross [12]_.
    tweedie_power : float, default=1.5
        Power p of 'tweedie', in [1, 2]: the variance grows like ``mean ** p``; the ends
        are 'poisson' and 'gamma'.
    nll_beta : float, default=0.5
        With 'gaussian_nll', each row's gradient is multiplied by its predicted
        ``variance ** nll_beta``, held fixed in derivation [13]_: from 0, the plain
        likelihood, under which rows of large variance hardly improve the mean, to 1,
        under which all count alike. The reported losses are plain. The weighted
        gradient is not the slope of any loss, so that 'lbfgs' needs 0.
    rho : float, default=0.9
        Decay rate of the mean square of 'rmsprop', in [0, 1).
    parametric_activation : bool, default=False
        Whether each hidden unit has a trained mix ``a`` of its activation with the
        identity, ``z + a * (f(z) - z)``, which begins at 1; not for gated activations.
    scale_input : bool, default=False
        Whether each feature of dense X is multiplied by a trained factor, which begins
        at 1.
    dropout_schedule, weight_decay_schedule : str, Schedule or callable, \
            default='constant'
        How the rates of `dropout` and `input_dropout`, and `weight_decay`, change:
        what `learning_rate` takes, but for 'plateau', 'invscaling' and 'adaptive'.
        Factors are in [0, 1].

    Attributes
    ----------
    loss_ : float
        Loss of the latest epoch, penalty included.
    best_loss_ : float or None
        Smallest loss of the latest fit; None with `early_stopping`.
    loss_curve_ : list of float
        Loss of each epoch or iteration.
    validation_scores_ : list of float or None
        Score of the validation rows after each epoch (see `scoring`), if there are any:
        with `early_stopping`, or given to `fit`.
    validation_loss_curve_ : list of float or None
        Mean loss of them, without penalties.
    best_validation_score_ : float or None
        Best of the scores.
    best_iter_ : int
        Epoch of the best validation score or, without validation rows, of the smallest
        loss, counted from 1 along `loss_curve_`. With `early_stopping` its weights are
        kept; 0 stands for the initial ones.
    t_ : int
        Rows seen by a stochastic solver, each epoch anew.
    learning_rates_ : list of float
        Learning rate of the last step of each epoch, before Adam's bias correction;
        of stochastic solvers.
    coefs_ : list of ndarray of shape (fan_in, fan_out)
        Weights of each layer: views, whose changes take effect until the next fit or
        partial_fit, which has arrays of its own. The fan-out of gated layers is twice
        their units.
    intercepts_ : list of ndarray of shape (fan_out,)
        Biases of each layer: views as well.
    n_features_in_ : int
        Number of features seen by `fit`.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, if X had string names.
    n_iter_ : int
        Epochs or iterations of the latest fit.
    stopping_reason_ : str
        Why the latest fit ended: 'converged' (patience ran out, or L-BFGS is done),
        'max_iter', 'max_time', 'diverged', 'interrupted', or 'one epoch' of
        `partial_fit`.
    history_ : dict of list
        Loss, loss and score of the validation rows, learning rate and seconds since
        the fit began, as far as there are any: an item per epoch or iteration, ready
        for a DataFrame.
    n_parameters_ : int
        Number of trained parameters.
    n_layers_ : int
        Number of layers, input and output included.
    n_outputs_ : int
        Number of output units.
    out_activation_ : str
        Link from the raw prediction: 'identity', 'exp', 'sorted' for several
        quantiles, or 'gaussian': the second half of the outputs, s, becomes the
        standard deviation ``sqrt(exp(s) + eps ** 2)``. If `coefs_` and `intercepts_`
        are not the whole network, what else there is follows, as in 'identity, with
        normalization'.

    See Also
    --------
    MLPClassifier : Multi-layer perceptron classifier.

    Notes
    -----
    Parameters, defaults and results are those of
    :class:`sklearn.neural_network.MLPRegressor`, up to rounding; what deviates
    on purpose is listed in the page "Differences from scikit-learn". Weights, moments
    and predictions have the dtype of X in `fit`, float32 or float64; anything else is
    converted to float64. float32 takes about half the time. The initial weights are
    those of Glorot and Bengio [1]_.

    References
    ----------
    .. [1] X. Glorot and Y. Bengio, "Understanding the difficulty of training deep
       feedforward neural networks", AISTATS 2010.
    .. [2] D. P. Kingma and J. Ba, "Adam: a method for stochastic optimization",
       ICLR 2015, :arxiv:`1412.6980`.
    .. [3] D. C. Liu and J. Nocedal, "On the limited memory BFGS method for large
       scale optimization", Mathematical Programming 45, 1989.
    .. [4] S. Ioffe and C. Szegedy, "Batch normalization: accelerating deep network
       training by reducing internal covariate shift", ICML 2015.
    .. [5] J. L. Ba, J. R. Kiros and G. E. Hinton, "Layer normalization", 2016,
       :arxiv:`1607.06450`.
    .. [6] N. Srivastava et al., "Dropout: a simple way to prevent neural networks from
       overfitting", JMLR 15, 2014.
    .. [7] K. He et al., "Delving deep into rectifiers", ICCV 2015,
       :arxiv:`1502.01852`.
    .. [8] A. M. Saxe, J. L. McClelland and S. Ganguli, "Exact solutions to the
       nonlinear dynamics of learning in deep linear neural networks", ICLR 2014.
    .. [9] I. Loshchilov and F. Hutter, "Decoupled weight decay regularization",
       ICLR 2019, :arxiv:`1711.05101`.
    .. [10] P. J. Huber, "Robust estimation of a location parameter", Annals of
       Mathematical Statistics 35, 1964.
    .. [11] R. Koenker and G. Bassett, "Regression quantiles", Econometrica 46, 1978.
    .. [12] V. Chernozhukov, I. Fernandez-Val and A. Galichon, "Quantile and probability
       curves without crossing", Econometrica 78, 2010.
    .. [13] M. Seitzer, A. Tavakoli, D. Antic and G. Martius, "On the pitfalls of
       heteroscedastic uncertainty estimation with probabilistic neural networks",
       ICLR 2022, :arxiv:`2203.09168`.
    .. [14] T. Dozat, "Incorporating Nesterov momentum into Adam", ICLR workshop 2016.
    .. [15] S. J. Reddi, S. Kale and S. Kumar, "On the convergence of Adam and beyond",
       ICLR 2018, :arxiv:`1904.09237`.
    .. [16] T. Tieleman and G. Hinton, "Lecture 6.5: RMSProp", Coursera, 2012.
    .. [17] J. Duchi, E. Hazan and Y. Singer, "Adaptive subgradient methods for online
       learning and stochastic optimization", JMLR 12, 2011.
    .. [18] X. Chen et al., "Symbolic discovery of optimization algorithms", NeurIPS
       2023, :arxiv:`2302.06675`.
    .. [19] A. Defazio et al., "The road less scheduled", NeurIPS 2024,
       :arxiv:`2405.15682`.
    .. [20] H. Zou and T. Hastie, "Regularization and variable selection via the elastic
       net", Journal of the Royal Statistical Society B 67, 2005.
    .. [21] R. Pascanu, T. Mikolov and Y. Bengio, "On the difficulty of training
       recurrent neural networks", ICML 2013, :arxiv:`1211.5063`.

    Examples
    --------
    >>> from skmlp import MLPRegressor
    >>> from sklearn.datasets import make_regression
    >>> from sklearn.model_selection import train_test_split
    >>> X, y = make_regression(n_samples=200, n_features=20, random_state=1)
    >>> X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=1)
    >>> regr = MLPRegressor(random_state=1, max_iter=2000, tol=0.1)
    >>> regr.fit(X_train, y_train).predict(X_test[:2]).round(1)
    array([  29. , -290.8])
    >>> round(regr.score(X_test, y_test), 2)
    0.98
    """

    _parameters = OF_REGRESSOR
    _parameter_constraints: dict = constraints_of(OF_REGRESSOR)

    def __init__(
        self,
        loss="squared_error",
        hidden_layer_sizes=(100,),
        activation="relu",
        *,
        solver="adam",
        alpha=0.0001,
        batch_size="auto",
        learning_rate="constant",
        learning_rate_init=0.001,
        power_t=0.5,
        max_iter=200,
        shuffle=True,
        random_state=None,
        tol=1e-4,
        verbose=False,
        warm_start=False,
        momentum=0.9,
        nesterovs_momentum=True,
        early_stopping=False,
        validation_fraction=0.1,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        n_iter_no_change=10,
        max_fun=15000,
        normalization=None,
        norm_momentum=0.1,
        norm_epsilon=1e-5,
        norm_statistics="running",
        dropout=0.0,
        input_dropout=0.0,
        weight_init="auto",
        l1_ratio=0.0,
        weight_decay=0.0,
        max_norm=None,
        clip_norm=None,
        clip_value=None,
        ema_decay=None,
        augmentation=None,
        dtype="auto",
        max_time=None,
        last_batch="keep",
        scoring=None,
        huber_delta=1.0,
        quantile=0.5,
        tweedie_power=1.5,
        nll_beta=0.5,
        rho=0.9,
        parametric_activation=False,
        scale_input=False,
        dropout_schedule="constant",
        weight_decay_schedule="constant",
    ):
        self._store_parameters(locals())

    @available_if(lambda est: est._check_solver())
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, sample_weight=None):
        """Train for one epoch over the given rows.

        n calls on the same rows give what ``fit`` gives with ``max_iter=n``.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            The target values.
        sample_weight : array-like of shape (n_samples,), default=None
            Sample weights, not negative; rows of weight zero are left out.

        Returns
        -------
        self : object
            The estimator.

        Raises
        ------
        ValueError
            If parameters or data are invalid, with `early_stopping`, or if the
            weights diverge: they are then left as they were.
        """
        return self._fit(X, y, sample_weight, incremental=True)

    def predict(self, X, *, return_std=False):
        """Predict targets.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.
        return_std : bool, default=False
            Whether to return standard deviations too; for loss='gaussian_nll'.

        Returns
        -------
        y : ndarray of shape (n_samples,), (n_samples, n_targets) or \
                (n_samples, n_quantiles)
            The predictions: means, medians or quantiles, according to the loss.
        std : ndarray of the shape of y
            Standard deviations of targets around them, if `return_std`.

        Raises
        ------
        ValueError
            If `return_std` is set and the loss is another, or if predictions are not
            finite.
        """
        network, y_pred = self._predict_raw(X)
        if network.link == "gaussian":
            y_pred, std = map(without_single_column, np.hsplit(y_pred, 2))
            return (y_pred, std) if return_std else y_pred
        if return_std:
            raise ValueError(
                "return_std=True needs the standard deviations that only"
                " loss='gaussian_nll' fits."
            )
        return without_single_column(y_pred)

    @under_usual_errors
    def score(self, X, y, sample_weight=None):
        """Goodness of predictions: 1 if perfect, 0 for those of a constant.

        R2, the share of the squared error that the model explains, for all losses
        but 'quantile'; for that, D2, the same share of the pinball loss, averaged
        over quantiles or targets.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            The true targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Sample weights.

        Returns
        -------
        score : float
            1 at most; negative if worse than the constant.
        """
        if self.loss != "quantile":
            return super().score(X, y, sample_weight)
        _, y_pred = self._predict_raw(X)
        return self._targets().score_users(y, y_pred, sample_weight)

    def _learn_targets(self, y, incremental):
        targets = self._targets()
        targets.check_quantiles()
        return targets

    def _targets(self):
        return self._part(RealTargets)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = self._targets().core_loss != "quantiles"
        tags.target_tags.positive_only = self._targets().positive_only
        return tags
