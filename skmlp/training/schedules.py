"""Learning rates as pure functions."""

import numpy as np


def inverse_scaling(learning_rate_init, n_seen, power_t):
    """eta_0 / (t + 1)^power_t, with t the number of rows seen."""
    return float(learning_rate_init) / (n_seen + 1) ** power_t


def bias_correction(first_step, n_steps, beta_1, beta_2):
    """Adam's sqrt(1 - beta_2^t) / (1 - beta_1^t) for n_steps values of t."""
    t = np.arange(first_step, first_step + n_steps, dtype=np.float64)
    return np.sqrt(1 - beta_2**t) / (1 - beta_1**t)
