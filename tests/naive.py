"""The obvious multi-layer perceptron: lists of float64 arrays, no cleverness.

A network is two lists, ``coefs`` and ``intercepts``, as in scikit-learn.  Every
table of ``skmlp.core`` has its twin here, with the same keys.
"""

import numpy as np
from scipy.special import expit, ndtr, softmax, xlogy

EPS = np.finfo(np.float64).eps

SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


def bounded(z):
    """So that a product with zero is zero."""
    return np.clip(z, -1e30, 1e30)


def density(z):
    return np.exp(-((bounded(z) / np.sqrt(2)) ** 2)) / np.sqrt(2 * np.pi)


def softplus(z):
    return np.logaddexp(0, z)


def mish_slope(z):
    t = np.tanh(softplus(z))
    return t + bounded(z) * expit(z) * (1 - t**2)


# name: (function, derivative), both of the pre-activation
ACTIVATIONS = {
    "identity": (lambda z: z, lambda z: np.ones_like(z)),
    "logistic": (expit, lambda z: expit(z) * expit(-z)),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "relu": (lambda z: np.maximum(z, 0), lambda z: (z > 0).astype(z.dtype)),
    "leaky_relu": (
        lambda z: np.where(z > 0, z, 0.01 * z),
        lambda z: np.where(z > 0, 1, 0.01),
    ),
    "elu": (
        lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))),
        lambda z: np.where(z > 0, 1, np.exp(np.minimum(z, 0))),
    ),
    "selu": (
        lambda z: (
            SELU_SCALE * np.where(z > 0, z, SELU_ALPHA * np.expm1(np.minimum(z, 0)))
        ),
        lambda z: (
            SELU_SCALE * np.where(z > 0, 1, SELU_ALPHA * np.exp(np.minimum(z, 0)))
        ),
    ),
    "softplus": (softplus, expit),
    "softsign": (
        lambda z: bounded(z) / (1 + abs(bounded(z))),
        lambda z: 1 / (1 + abs(bounded(z))) ** 2,
    ),
    "hard_sigmoid": (
        lambda z: np.clip(z / 6 + 1 / 2, 0, 1),
        lambda z: np.where(abs(z) < 3, 1 / 6, 0),
    ),
    "hard_tanh": (lambda z: np.clip(z, -1, 1), lambda z: np.where(abs(z) < 1, 1, 0)),
    "gelu": (
        lambda z: np.maximum(z, -1e30) * ndtr(z),
        lambda z: ndtr(z) + bounded(z) * density(z),
    ),
    "silu": (
        lambda z: np.maximum(z, -1e30) * expit(z),
        lambda z: expit(z) + bounded(z) * expit(z) * expit(-z),
    ),
    "mish": (lambda z: np.maximum(z, -1e30) * np.tanh(softplus(z)), mish_slope),
}
# name: that of the function of the right half, by which the left half is multiplied
GATED = {"glu": "logistic", "geglu": "gelu", "swiglu": "silu", "reglu": "relu"}


def gaussian_link(z):
    """Means, and standard deviations with the smallest that arithmetic allows."""
    means, raw = np.split(z, [z.shape[1] // 2], axis=1)
    return np.hstack([means, np.sqrt(np.exp(raw) + np.finfo(z.dtype).eps ** 2)])


LINKS = {
    "identity": lambda z: z,
    "sorted": lambda z: np.sort(z, axis=1),
    "gaussian": gaussian_link,
    "exp": np.exp,
    "logistic": expit,
    "softmax": lambda z: softmax(z, axis=1),
}

# Parameters of losses, where tests give no others. (Beta-NLL with another beta than
# zero has derivatives that are no slopes.)
HYPER = {
    "huber_delta": 0.8,
    "quantile": 0.3,
    "nll_beta": 0.0,
    "tweedie_power": 1.4,
    "focal_gamma": 2.0,
}


def squared_error(z, y, eps, hyper):
    return ((z - y) ** 2 / 2).mean(axis=1)


def absolute_error(z, y, eps, hyper):
    return abs(z - y).sum(axis=1)


def huber(z, y, eps, hyper):
    delta, size = hyper["huber_delta"], abs(z - y)
    linear = delta * (size - delta / 2)
    return np.where(size <= delta, size**2 / 2, linear).sum(axis=1)


def huber_slope(z, y, eps, hyper):
    return np.clip(z - y, -hyper["huber_delta"], hyper["huber_delta"])


def log_cosh(z, y, eps, hyper):
    return np.log(np.cosh(z - y)).sum(axis=1)


def quantile(z, y, eps, hyper):
    tau = np.asarray(hyper["quantile"])
    return np.where(z < y, tau * (y - z), (1 - tau) * (z - y)).sum(axis=1)


def quantile_slope(z, y, eps, hyper):
    tau = np.asarray(hyper["quantile"])
    return np.where(z == y, 0, np.where(z < y, -tau, 1 - tau))


def gaussian_nll(z, y, eps, hyper):
    mean, raw = np.hsplit(z, 2)
    variance = np.exp(raw) + eps**2
    return (np.log(variance) + (y - mean) ** 2 / variance).sum(axis=1) / 2


def gaussian_nll_slope(z, y, eps, hyper):
    mean, raw = np.hsplit(z, 2)
    variance = np.exp(raw) + eps**2
    by_mean = (mean - y) / variance
    by_variance = (1 / variance - (y - mean) ** 2 / variance**2) / 2
    weight = variance ** hyper["nll_beta"]
    return np.hstack([weight * by_mean, weight * by_variance * np.exp(raw)])


def poisson(z, y, eps, hyper):
    return (xlogy(y, y) - y * z - y + np.exp(z)).sum(axis=1)


def gamma(z, y, eps, hyper):
    return (z - np.log(y) + y / np.exp(z) - 1).sum(axis=1)


def tweedie(z, y, eps, hyper):
    p, mean = hyper["tweedie_power"], np.exp(z)
    constant = y ** (2 - p) / ((1 - p) * (2 - p))
    mean_terms = mean ** (2 - p) / (2 - p) - y * mean ** (1 - p) / (1 - p)
    return (constant + mean_terms).sum(axis=1)


def tweedie_slope(z, y, eps, hyper):
    mean = np.exp(z)
    return (mean - y) * mean ** (1 - hyper["tweedie_power"])


def binary_log_loss(z, y, eps, hyper):
    return binary_focal(z, y, eps, {"focal_gamma": 0})


def log_loss(z, y, eps, hyper):
    return focal(z, y, eps, {"focal_gamma": 0})


def binary_focal(z, y, eps, hyper):
    p, q = np.maximum(expit(z), eps), np.maximum(expit(-z), eps)
    weight_p, weight_q = q ** hyper["focal_gamma"], p ** hyper["focal_gamma"]
    return -(y * weight_p * np.log(p) + (1 - y) * weight_q * np.log(q)).sum(axis=1)


def binary_focal_slope(z, y, eps, hyper):
    p, q, power = expit(z), expit(-z), hyper["focal_gamma"]
    by_p = y * (power * q ** (power - 1) * np.log(p) - q**power / p)
    by_q = (1 - y) * (power * p ** (power - 1) * np.log(q) - p**power / q)
    return (by_p - by_q) * p * q


def focal(z, y, eps, hyper):
    p = softmax(z, axis=1)
    weight = (1 - p) ** hyper["focal_gamma"]
    return -(y * weight * np.log(np.maximum(p, eps))).sum(axis=1)


def focal_slope(z, y, eps, hyper):
    p, power = np.maximum(softmax(z, axis=1), 1e-300), hyper["focal_gamma"]
    by_p = y * (power * (1 - p) ** (power - 1) * np.log(p) - (1 - p) ** power / p)
    return p * (by_p - (p * by_p).sum(axis=1, keepdims=True))


def canonical(link):
    return lambda z, y, eps, hyper: LINKS[link](z) - y


# name: (loss of each row, derivative, link), the first two of raw predictions,
# targets, the least probability and a dict of parameters
LOSSES = {
    "squared_error": (squared_error, canonical("identity"), "identity"),
    "absolute_error": (absolute_error, lambda z, y, *_: np.sign(z - y), "identity"),
    "huber": (huber, huber_slope, "identity"),
    "log_cosh": (log_cosh, lambda z, y, *_: np.tanh(z - y), "identity"),
    "quantile": (quantile, quantile_slope, "identity"),
    "quantiles": (quantile, quantile_slope, "sorted"),
    "gaussian_nll": (gaussian_nll, gaussian_nll_slope, "gaussian"),
    "poisson": (poisson, canonical("exp"), "exp"),
    "gamma": (gamma, lambda z, y, *_: 1 - y / np.exp(z), "exp"),
    "tweedie": (tweedie, tweedie_slope, "exp"),
    "binary_log_loss": (binary_log_loss, canonical("logistic"), "logistic"),
    "log_loss": (log_loss, canonical("softmax"), "softmax"),
    "binary_focal": (binary_focal, binary_focal_slope, "logistic"),
    "focal": (focal, focal_slope, "softmax"),
}


def batch_normalized(Z, share, epsilon):
    mean = share @ Z
    return (Z - mean) / np.sqrt(share @ (Z - mean) ** 2 + epsilon)


def layer_normalized(Z, share, epsilon):
    deviation = Z - Z.mean(axis=1, keepdims=True)
    return deviation / np.sqrt((deviation**2).mean(axis=1, keepdims=True) + epsilon)


# name: function of products, each row's share of the weight, and epsilon
NORMALIZATIONS = {"batch": batch_normalized, "layer": layer_normalized}


def activate(Z, name):
    """Activations of pre-activations."""
    if name not in GATED:
        return ACTIVATIONS[name][0](Z)
    U, V = np.hsplit(Z, 2)
    return U * ACTIVATIONS[GATED[name]][0](V)


def activate_back(dA, Z, name):
    """The derivative by pre-activations, given that by activations."""
    if name not in GATED:
        return dA * ACTIVATIONS[name][1](Z)
    gate, slope = ACTIVATIONS[GATED[name]]
    U, V = np.hsplit(Z, 2)
    return np.hstack([dA * gate(V), dA * U * slope(V)])


def forward(coefs, intercepts, X, activation):
    """Pre-activations of all layers, and activations, X the first of them."""
    pre, post = [], [X]
    for W, b in zip(coefs, intercepts):
        pre.append(post[-1] @ W + b)
        last = len(pre) == len(coefs)
        post.append(pre[-1] if last else activate(pre[-1], activation))
    return pre, post


def predict(coefs, intercepts, X, activation, link):
    return LINKS[link](forward(coefs, intercepts, X, activation)[1][-1])


def loss_and_gradient(
    coefs,
    intercepts,
    X,
    Y,
    weight,
    *,
    activation,
    loss,
    alpha,
    l1_ratio=0.0,
    mean_weight=1.0,
    eps=EPS,
):
    """Weighted mean loss of one minibatch with its penalty, d coefs, d intercepts."""
    row_loss, slope, _ = LOSSES[loss]
    total = len(X) * mean_weight
    share = (np.ones(len(X)) if weight is None else weight) / total
    pre, post = forward(coefs, intercepts, X, activation)
    value = share @ row_loss(post[-1], Y, eps, HYPER)
    l1, l2 = alpha / total * l1_ratio, alpha / total * (1 - l1_ratio)
    value += sum((l1 * abs(W) + l2 / 2 * W**2).sum() for W in coefs)

    delta = share[:, None] * slope(post[-1], Y, eps, HYPER)
    d_coefs, d_intercepts = [None] * len(coefs), [None] * len(coefs)
    for i in reversed(range(len(coefs))):
        d_coefs[i] = post[i].T @ delta + l1 * np.sign(coefs[i]) + l2 * coefs[i]
        d_intercepts[i] = delta.sum(axis=0)
        if i > 0:
            delta = activate_back(delta @ coefs[i].T, pre[i - 1], activation)
    return value, d_coefs, d_intercepts


def bounded_norms(W, limit):
    """Columns scaled down to the limit."""
    return W * np.minimum(1, limit / np.linalg.norm(W, axis=0))


class Still:
    """Takes no steps."""

    def correction(self, t):
        return 1.0

    def step(self, params, gradients, rate):
        pass

    def decay(self, coefs, factor):
        for W in coefs:
            W -= factor * W

    def bound(self, coefs, limit):
        for W in coefs:
            W[:] = bounded_norms(W, limit)


class SGD(Still):
    def __init__(self, momentum, nesterovs_momentum):
        self.momentum, self.nesterov = momentum, nesterovs_momentum
        self.velocities = None

    def step(self, params, gradients, rate):
        if self.velocities is None:
            self.velocities = [np.zeros_like(p) for p in params]
        for p, g, v in zip(params, gradients, self.velocities):
            v[:] = self.momentum * v - rate * g
            p += self.momentum * v - rate * g if self.nesterov else v


class Adam(Still):
    def __init__(self, beta_1, beta_2, epsilon):
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon
        self.t, self.first, self.second = 0, None, None

    def correction(self, t):
        return np.sqrt(1 - self.beta_2**t) / (1 - self.beta_1**t)

    def step(self, params, gradients, rate):
        if self.first is None:
            self.first = [np.zeros_like(p) for p in params]
            self.second = [np.zeros_like(p) for p in params]
        self.t += 1
        rate = rate * self.correction(self.t)
        for p, g, m, v in zip(params, gradients, self.first, self.second):
            m[:] = self.beta_1 * m + (1 - self.beta_1) * g
            v[:] = self.beta_2 * v + (1 - self.beta_2) * g**2
            p -= rate * m / (np.sqrt(v) + self.epsilon)


class Nadam(Adam):
    def step(self, params, gradients, rate):
        if self.first is None:
            self.first = [np.zeros_like(p) for p in params]
            self.second = [np.zeros_like(p) for p in params]
        self.t += 1
        beta_1, beta_2, t = self.beta_1, self.beta_2, self.t
        for p, g, m, v in zip(params, gradients, self.first, self.second):
            m[:] = beta_1 * m + (1 - beta_1) * g
            v[:] = beta_2 * v + (1 - beta_2) * g**2
            ahead = beta_1 * m / (1 - beta_1 ** (t + 1))
            ahead += (1 - beta_1) * g / (1 - beta_1**t)
            p -= rate * np.sqrt(1 - beta_2**t) * ahead / (np.sqrt(v) + self.epsilon)


class AMSGrad(Adam):
    def __init__(self, beta_1, beta_2, epsilon):
        super().__init__(beta_1, beta_2, epsilon)
        self.largest = None

    def step(self, params, gradients, rate):
        if self.first is None:
            self.first = [np.zeros_like(p) for p in params]
            self.second = [np.zeros_like(p) for p in params]
            self.largest = [np.zeros_like(p) for p in params]
        self.t += 1
        rate = rate * self.correction(self.t)
        for i, (p, g) in enumerate(zip(params, gradients)):
            self.first[i] = self.beta_1 * self.first[i] + (1 - self.beta_1) * g
            self.second[i] = self.beta_2 * self.second[i] + (1 - self.beta_2) * g**2
            self.largest[i] = np.maximum(self.largest[i], self.second[i])
            p -= rate * self.first[i] / (np.sqrt(self.largest[i]) + self.epsilon)


class AdaGrad(Still):
    def __init__(self, epsilon):
        self.epsilon, self.seen = epsilon, []

    def step(self, params, gradients, rate):
        self.seen.append([g.copy() for g in gradients])
        for i, (p, g) in enumerate(zip(params, gradients)):
            total = sum(earlier[i] ** 2 for earlier in self.seen)
            p -= rate * g / (np.sqrt(total) + self.epsilon)


class RMSProp(Still):
    def __init__(self, rho, epsilon):
        self.rho, self.epsilon, self.means = rho, epsilon, None

    def step(self, params, gradients, rate):
        if self.means is None:
            self.means = [np.zeros_like(p) for p in params]
        for p, g, v in zip(params, gradients, self.means):
            v[:] = self.rho * v + (1 - self.rho) * g**2
            p -= rate * g / (np.sqrt(v) + self.epsilon)


class Lion(Still):
    def __init__(self, beta_1, beta_2):
        self.beta_1, self.beta_2, self.means = beta_1, beta_2, None

    def step(self, params, gradients, rate):
        if self.means is None:
            self.means = [np.zeros_like(p) for p in params]
        for p, g, m in zip(params, gradients, self.means):
            p -= rate * np.sign(self.beta_1 * m + (1 - self.beta_1) * g)
            m[:] = self.beta_2 * m + (1 - self.beta_2) * g


class ScheduleFree(Still):
    """Parameters are y, where gradients are taken; training is for x."""

    def __init__(self, beta_1, beta_2, epsilon):
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon
        self.t, self.largest, self.total, self.z = 0, 0.0, 0.0, None

    def step(self, params, gradients, rate):
        self.begin(params)
        self.t += 1
        self.largest = max(self.largest, rate)
        self.total += self.largest**2
        c = self.largest**2 / self.total if self.total > 0 else 0
        for y, g, v, x, z in zip(params, gradients, self.second, self.x, self.z):
            v[:] = self.beta_2 * v + (1 - self.beta_2) * g**2
            z -= rate * g / (np.sqrt(v / (1 - self.beta_2**self.t)) + self.epsilon)
            x[:] = (1 - c) * x + c * z
            y[:] = (1 - self.beta_1) * z + self.beta_1 * x

    def begin(self, params):
        if self.z is None:
            self.z = [p.copy() for p in params]
            self.x = [p.copy() for p in params]
            self.second = [np.zeros_like(p) for p in params]

    def decay(self, coefs, factor):
        """As the gradient, it is of y and moves z."""
        for y, z in zip(coefs, self.z):
            z -= factor * y

    def bound(self, coefs, limit):
        for y, x, z in zip(coefs, self.x, self.z):
            x[:], z[:] = bounded_norms(x, limit), bounded_norms(z, limit)
            y[:] = (1 - self.beta_1) * z + self.beta_1 * x


OPTIMIZERS = {
    "none": Still,
    "sgd": SGD,
    "adam": Adam,
    "adamw": Adam,
    "nadam": Nadam,
    "amsgrad": AMSGrad,
    "adagrad": AdaGrad,
    "rmsprop": RMSProp,
    "lion": Lion,
    "schedule_free": ScheduleFree,
}


def clipped(gradients, value, norm):
    """First by value, then by the norm of all together."""
    gradients = [np.clip(g, -value, value) for g in gradients]
    total = np.sqrt(sum((g**2).sum() for g in gradients))
    return [g * min(1, norm / total) if total > 0 else g for g in gradients]


def minibatches(order, batch_size, last_batch):
    """Rows of each step."""
    parts = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
    if len(parts) > 1 and len(parts[-1]) < batch_size and last_batch != "keep":
        rest = parts.pop()
        if last_batch == "merge":
            parts[-1] = np.concatenate([parts[-1], rest])
    return parts


def train(
    coefs,
    intercepts,
    X,
    Y,
    weight,
    orders,
    *,
    batch_size,
    optimizer,
    rate,
    last_batch="keep",
    weight_decay=0.0,
    clip_value=np.inf,
    clip_norm=np.inf,
    max_norm=np.inf,
    ema_decay=None,
    average=None,
    **options,
):
    """Train in place, an epoch for each order of rows; returns their mean losses.

    ``average`` is a list like ``coefs + intercepts``, which follows them.
    """
    losses, params, t = [], coefs + intercepts, 0
    if isinstance(optimizer, ScheduleFree):
        optimizer.begin(params)
    for order in orders:
        total = n_seen = 0
        for rows in minibatches(order, batch_size, last_batch):
            loss, d_coefs, d_intercepts = loss_and_gradient(
                coefs,
                intercepts,
                X[rows],
                Y[rows],
                None if weight is None else weight[rows],
                **options,
            )
            optimizer.decay(coefs, rate * weight_decay)
            gradients = clipped(d_coefs + d_intercepts, clip_value, clip_norm)
            optimizer.step(params, gradients, rate)
            if max_norm < np.inf:
                optimizer.bound(coefs, max_norm)
            t += 1
            for a, p in zip(average or [], params):
                a += max(1 - ema_decay, 9 / (10 + t)) * (p - a)
            total += loss * len(rows)
            n_seen += len(rows)
        losses.append(total / n_seen)
    return losses
