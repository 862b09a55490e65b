"""Pieces of C99 that headers are put together from, with ``$fields``.

To add an activation or a link: a row in ``ACTIVATIONS`` or ``LINKS``.
"""

# Functions of a float z.
ACTIVATIONS = {
    "identity": "z",
    "logistic": "1.0f / (1.0f + expf(-z))",
    "tanh": "tanhf(z)",
    "relu": "z > 0.0f ? z : 0.0f",
    "leaky_relu": "z > 0.0f ? z : 0.01f * z",
    "elu": "z > 0.0f ? z : expm1f(z)",
    "selu": "1.05070099f * (z > 0.0f ? z : 1.67326324f * expm1f(z))",
    "softplus": "(z > 0.0f ? z : 0.0f) + log1pf(expf(-fabsf(z)))",
    "softsign": "z / (1.0f + fabsf(z))",
    "hard_sigmoid": "fminf(fmaxf(z / 6.0f + 0.5f, 0.0f), 1.0f)",
    "hard_tanh": "fminf(fmaxf(z, -1.0f), 1.0f)",
    "gelu": "0.5f * z * (1.0f + erff(0.707106781f * z))",
    "silu": "z / (1.0f + expf(-z))",
    "mish": "z * tanhf((z > 0.0f ? z : 0.0f) + log1pf(expf(-fabsf(z))))",
}
# Statements on an array z of $n floats.
LINKS = {
    "identity": "",
    "sorted": """
        for (int i = 1; i < $n; i++) {
            const float top = z[i];
            int j = i;
            for (; j > 0 && z[j - 1] > top; j--)
                z[j] = z[j - 1];
            z[j] = top;
        }
        """,
    "gaussian": """
        for (int i = $n / 2; i < $n; i++)
            z[i] = sqrtf(expf(z[i]) + $least);
        """,
    "exp": """
        for (int i = 0; i < $n; i++)
            z[i] = expf(z[i]);
        """,
    "logistic": """
        for (int i = 0; i < $n; i++)
            z[i] = 1.0f / (1.0f + expf(-z[i]));
        """,
    "softmax": """
        float top = z[0], sum = 0.0f;
        for (int i = 1; i < $n; i++)
            top = fmaxf(top, z[i]);
        for (int i = 0; i < $n; i++) {
            z[i] = expf(z[i] - top);
            sum += z[i];
        }
        for (int i = 0; i < $n; i++)
            z[i] /= sum;
        """,
    "relu": """
        for (int i = 0; i < $n; i++)
            z[i] = fmaxf(z[i], 0.0f);
        """,
    "tanh": """
        for (int i = 0; i < $n; i++)
            z[i] = tanhf(z[i]);
        """,
}
DENSE = """
    for (int j = 0; j < n_out; j++)
        z[j] = b ? b[j] : 0.0f;
    for (int i = 0; i < n_in; i++)
        for (int j = 0; j < n_out; j++)
            z[j] += x[i] * w[i * n_out + j];
    """
NORMALIZE = """
    float mean = 0.0f, variance = 0.0f;
    for (int j = 0; j < n; j++)
        mean += z[j] / (float)n;
    for (int j = 0; j < n; j++)
        variance += (z[j] - mean) * (z[j] - mean) / (float)n;
    for (int j = 0; j < n; j++)
        z[j] = (z[j] - mean) / sqrtf(variance + epsilon) * scale[j] + b[j];
    """
SCALE = """
    for (int j = 0; j < $n; j++) {
        double t = ((double)x[$scaled[j]] - $center[j]) * $gain[j];
        t = fmin(fmax(t, -$far), $far);
        e[j] = isnan(x[$scaled[j]]) ? 0.0f : (float)($limit * t / sqrt(1.0 + t * t));
    }
    """
INDICATE = """
    for (int j = 0; j < $n; j++)
        e[$first + j] = isnan(x[$places[j]]) ? 1.0f : 0.0f;
    """
CODES = """
    for (int j = 0; j < $n; j++)
        e[$first + j] = x[$places[j]];
    """
NUMBERS = """
    for (int j = 0; j < $n; j++)
        a[j] = e[j];
    """
PIECES = """
    for (int j = 0; j < $n; j++) {
        const int at = m * $n + j;
        const float come = (e[$piece_of[j]] - $low[at]) / ($high[at] - $low[at]);
        a[$first + j] = fminf(fmaxf(come, 0.0f), 1.0f);
    }
    """
VECTOR = """
    {
        const float code = e[$column];
        const int row = code >= 0.0f && code < $size ? (int)code : $size;
        for (int j = 0; j < $n; j++)
            a[$first + j] = $vectors[(m * ($size + 1) + row) * $n + j];
    }
    """
WAVES = """
    for (int j = 0; j < $n; j++) {
        const int at = m * $n + j;
        const float t = e[$wave_of[j]] * $frequencies[at] + $shifts[at];
        a[$first + j] = cosf(6.28318531f * (t - floorf(t + 0.5f)));
    }
    """
MEAN = """
    for (int i = 0; i < $n; i++)
        out[i] = 0.0;
    for (int m = 0; m < $n_networks; m++) {
        float part[$n];
        $network(m, e, part);
        for (int i = 0; i < $n; i++)
            out[i] += $shares[m] * (double)part[i];
    }
    """
MIXTURE = """
    double square[$n / 2];
    for (int i = 0; i < $n / 2; i++)
        out[i] = square[i] = 0.0;
    for (int m = 0; m < $n_networks; m++) {
        float part[$n];
        $network(m, e, part);
        for (int i = 0; i < $n / 2; i++) {
            const double mean = part[i], std = part[$n / 2 + i];
            out[i] += $shares[m] * mean;
            square[i] += $shares[m] * (mean * mean + std * std);
        }
    }
    for (int i = 0; i < $n / 2; i++)
        out[$n / 2 + i] = sqrt(fmax(square[i] - out[i] * out[i], 0.0));
    """
SHARPEN_CLASSES = """
    double top = -HUGE_VAL, sum = 0.0;
    for (int i = 0; i < $n; i++) {
        p[i] = $factor * log(fmin(fmax(p[i], $smallest), $largest));
        top = fmax(top, p[i]);
    }
    for (int i = 0; i < $n; i++) {
        p[i] = exp(p[i] - top);
        sum += p[i];
    }
    for (int i = 0; i < $n; i++)
        p[i] = $rest * p[i] / sum + $equal;
    """
SHARPEN_LABELS = """
    for (int i = 0; i < $n; i++) {
        const double q = fmin(fmax(p[i], $smallest), $largest);
        p[i] = $rest / (1.0 + exp(-$factor * (log(q) - log(1.0 - q)))) + $equal;
    }
    """
RESTORE = """
    for (int i = 0; i < $n; i++) {
        const double value = p[i] * $spread[i] + $center[i];
        out[i] = (float)fmin(fmax(value, $low[i]), $high[i]);
    }
    """
ARGMAX = """
    int best = 0;
    for (int i = 1; i < $n; i++)
        if (p[i] > p[best])
            best = i;
    out[0] = (float)best;
    """
OVER_HALF = """
    for (int i = 0; i < $n; i++)
        out[i] = p[i] > 0.5f ? 1.0f : 0.0f;
    """
COPY = """
    for (int i = 0; i < $n; i++)
        out[i] = (float)p[i];
    """
SINGLE = """
    out[1] = (float)p[0];
    out[0] = (float)(1.0f - p[0]);
    """
DEVIATIONS = """
    for (int i = 0; i < $n; i++)
        out[$n + i] = (float)(p[$n + i] * $spread[i]);
    """
