"""The same training in PyTorch and JAX: Adam on shuffled minibatches, nothing else.

Both prepare once and return a function that trains from the same initial weights
and returns the mean loss of the last epoch, penalty left out.
"""

from functools import partial
from itertools import pairwise

import numpy as np
from common import seconds

BETAS, EPSILON = (0.9, 0.999), 1e-8


def initial_weights(sizes, dtype):
    """Glorot and Bengio's uniform weights and biases, layer by layer."""
    random = np.random.default_rng(0)
    layers = []
    for fan_in, fan_out in pairwise(sizes):
        bound = np.sqrt(6 / (fan_in + fan_out))
        W = random.uniform(-bound, bound, (fan_in, fan_out)).astype(dtype)
        b = random.uniform(-bound, bound, fan_out).astype(dtype)
        layers.append((W, b))
    return layers


def torch_fit(X, y, work, *, n_threads):
    """A plain loop in PyTorch, with its fused Adam."""
    import torch

    functional = torch.nn.functional
    X = torch.from_numpy(X)
    if work.n_classes > 2:
        Y = torch.from_numpy(y.astype(np.int64))
    else:
        Y = torch.from_numpy(y.astype(work.dtype)[:, None])
    loss_function = {
        "regression": lambda z, t: 0.5 * functional.mse_loss(z, t),
        "binary": functional.binary_cross_entropy_with_logits,
        "multiclass": functional.cross_entropy,
    }[work.kind]
    activations = {
        "relu": torch.nn.ReLU,
        "tanh": torch.nn.Tanh,
        "logistic": torch.nn.Sigmoid,
        "identity": torch.nn.Identity,
    }

    def network():
        modules = []
        for W, b in initial_weights(work.sizes, work.dtype):
            linear = torch.nn.Linear(*W.shape, dtype=X.dtype)
            with torch.no_grad():
                linear.weight.copy_(torch.from_numpy(W.T))
                linear.bias.copy_(torch.from_numpy(b))
            modules += [linear, activations[work.activation]()]
        return torch.nn.Sequential(*modules[:-1])

    def train(epochs=work.epochs):
        before = torch.get_num_threads()
        torch.set_num_threads(n_threads)
        model, generator = network(), torch.Generator().manual_seed(0)
        optimizer = torch.optim.Adam(
            model.parameters(),
            lr=work.learning_rate,
            betas=BETAS,
            eps=EPSILON,
            weight_decay=work.alpha / work.batch_size,
            fused=True,
        )
        for _ in range(epochs):
            total = torch.zeros((), dtype=X.dtype)
            for rows in torch.randperm(len(X), generator=generator).split(
                work.batch_size
            ):
                loss = loss_function(model(X[rows]), Y[rows])
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                total += loss.detach() * len(rows)
        torch.set_num_threads(before)
        return float(total) / len(X)

    train(1)
    return train


def torch_products(work, *, n_threads):
    """Function that runs the products of all epochs through PyTorch's BLAS."""
    import torch

    dtype = getattr(torch, work.dtype)
    layers = []
    for fan_in, fan_out in pairwise(work.sizes):
        shapes = (
            (work.batch_size, fan_in),
            (fan_in, fan_out),
            (work.batch_size, fan_out),
        )
        layers.append([torch.rand(shape, dtype=dtype) for shape in shapes * 2])

    def run():
        before = torch.get_num_threads()
        torch.set_num_threads(n_threads)
        for _ in range(work.epochs * -(-work.n_rows // work.batch_size)):
            for A, W, Z, *_ in layers:
                torch.mm(A, W, out=Z)
            for i, (A, W, Z, dA, dW, _) in reversed(list(enumerate(layers))):
                torch.mm(A.T, Z, out=dW)
                if i > 0:
                    torch.mm(Z, W.T, out=dA)
        torch.set_num_threads(before)

    return run


def jax_fit(X, y, work):
    """One compiled epoch in JAX: a scan over minibatches, Adam written out.

    Returns the training function and the seconds that compilation took.
    """
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    n_rows = len(X)
    n_full = n_rows // work.batch_size
    Y = y.astype(np.int32) if work.n_classes > 2 else y.astype(work.dtype)[:, None]
    X, Y = jnp.asarray(X), jnp.asarray(Y)
    hidden = {
        "relu": jax.nn.relu,
        "tanh": jnp.tanh,
        "logistic": jax.nn.sigmoid,
        "identity": lambda z: z,
    }[work.activation]

    def mean_loss(layers, rows):
        A = X[rows]
        for W, b in layers[:-1]:
            A = hidden(A @ W + b)
        W, b = layers[-1]
        Z, T = A @ W + b, Y[rows]
        if work.kind == "regression":
            return 0.5 * jnp.mean((Z - T) ** 2)
        if work.kind == "binary":
            return jnp.mean(jax.nn.softplus(Z) - T * Z)
        log_p = jax.nn.log_softmax(Z)
        return -jnp.mean(jnp.take_along_axis(log_p, T[:, None], axis=1))

    def decay(beta, moment, value):
        return beta * moment + (1 - beta) * value

    def step(carry, rows):
        layers, first, second, t = carry
        loss, gradient = jax.value_and_grad(mean_loss)(layers, rows)
        l2 = work.alpha / len(rows)
        gradient = [(dW + l2 * W, db) for (dW, db), (W, _) in zip(gradient, layers)]
        t += 1
        rate = work.learning_rate * jnp.sqrt(1 - BETAS[1] ** t) / (1 - BETAS[0] ** t)
        tree_map = jax.tree_util.tree_map
        first = tree_map(partial(decay, BETAS[0]), first, gradient)
        squares = tree_map(jnp.square, gradient)
        second = tree_map(partial(decay, BETAS[1]), second, squares)
        layers = tree_map(
            lambda p, m, v: (p - rate * m / (jnp.sqrt(v) + EPSILON)).astype(p.dtype),
            layers,
            first,
            second,
        )
        return (layers, first, second, t), loss * len(rows)

    @partial(jax.jit, donate_argnums=0)
    def epoch(carry, order):
        batches = order[: n_full * work.batch_size].reshape(n_full, work.batch_size)
        carry, losses = jax.lax.scan(step, carry, batches)
        total = losses.sum()
        if n_full * work.batch_size < n_rows:
            carry, loss = step(carry, order[n_full * work.batch_size :])
            total += loss
        return carry, total / n_rows

    def start():
        layers = [
            (jnp.asarray(W), jnp.asarray(b))
            for W, b in initial_weights(work.sizes, work.dtype)
        ]
        zeros = partial(jax.tree_util.tree_map, jnp.zeros_like)
        return layers, zeros(layers), zeros(layers), jnp.zeros((), work.dtype)

    compile_seconds, compiled = seconds(
        lambda: epoch.lower(start(), jnp.arange(n_rows)).compile()
    )

    def train():
        random, carry = np.random.default_rng(0), start()
        for _ in range(work.epochs):
            carry, loss = compiled(carry, jnp.asarray(random.permutation(n_rows)))
        return float(loss)

    return train, compile_seconds
