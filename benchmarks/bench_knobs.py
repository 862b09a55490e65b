"""What each part of the recipe for tables is worth: one at a time on against off.

One network (quality="fast") on real tables. Each fit is a line of a file of results,
which a later call adds to. "nothing" is another seed of the network: what differs less
than that is noise.
"""

import json
import sys
import warnings
from dataclasses import replace
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
from bench_tabular import SETS, measure, ratio, read_results, split
from common import make_parser
from real_data import read_table

import skmlp
from skmlp.preprocessing import encoder
from skmlp.tabular import base, members, network, tables
from skmlp.training.schedules import Constant

BASE = "as it is"


def recipe(**own):
    """The recipe with other settings."""
    make = base.make_recipe

    def changed(*args, **given):
        return replace(make(*args, **given), **own)

    return patch.object(base, "make_recipe", changed)


def same_rates():
    """One learning rate for all: that of weights at a fan-in of 256."""
    rates = network.rate_factors
    return patch.object(
        members,
        "rate_factors",
        lambda *args: np.full(len(rates(*args)), 256**-0.5),
    )


def plain_start():
    """First weights by fan-in alone, biases of zero."""

    def draw(W, b, A, random_state):
        W[:] = random_state.standard_normal(W.shape) / np.sqrt(len(W))
        b[:] = 0

    return patch.object(network, "_draw_layer", draw)


def unscaled_input():
    make = network.make_architecture
    return patch.object(
        network,
        "make_architecture",
        lambda *args, **given: make(*args, **{**given, "scaled_input": False}),
    )


KNOBS = {
    BASE: recipe,
    "nothing (another seed)": recipe,
    "waves for all tables": partial(recipe, encodings=("waves",)),
    "pieces for all tables": partial(recipe, encodings=("pieces",)),
    "neither waves nor pieces": partial(recipe, n_waves=0, n_pieces=0),
    "48 pieces": partial(recipe, n_pieces=48),
    "16 waves": partial(recipe, n_waves=16),
    "wave scale 0.5": partial(recipe, wave_scale=0.5),
    "no scale of the input": unscaled_input,
    "no smooth clip": lambda: patch.object(encoder, "LIMIT", 1e6),
    "no indicators of gaps": lambda: patch.object(
        tables,
        "TabularEncoder",
        partial(encoder.TabularEncoder, missing_indicator=False),
    ),
    "one-hot for all categories": partial(recipe, most_one_hot=10**6),
    "trained vectors for all categories": partial(recipe, most_one_hot=0),
    "no mix with the identity": partial(recipe, parametric=False),
    "relu": partial(recipe, activation="relu"),
    "plain first weights": plain_start,
    "one rate for all": same_rates,
    "constant rate": partial(recipe, learning_rate=Constant()),
    "rate times 1/2": partial(recipe, learning_rate_init=0.025),
    "no dropout": partial(recipe, dropout=0.0),
    "no weight decay": partial(recipe, weight_decay=0.0),
    "neither declines": partial(recipe, decline=Constant()),
    "batch of 256": partial(recipe, batch_size=256),
    "three layers": partial(recipe, hidden_layer_sizes=(256, 256, 256)),
    "half as many steps": partial(recipe, n_steps=900),
    "one checkpoint chosen": partial(recipe, n_models=1),
    "eight checkpoints chosen": partial(recipe, n_models=8),
    "no calibration": recipe,
}


def make(knob, is_class, seed):
    kind = skmlp.TabularMLPClassifier if is_class else skmlp.TabularMLPRegressor
    model = kind(quality="fast", random_state=seed, n_jobs=1)
    if knob == "nothing (another seed)":
        model.set_params(random_state=seed + 1000)
    if knob == "no calibration" and is_class:
        model.set_params(calibrate=False)
    return model


def run(options):
    done = {
        (line["model"], line["set"], line["seed"]) for line in read_results(options.out)
    }
    for seed in options.seeds:
        for name in options.sets:
            table, y, is_class = read_table(name, options.data)
            data = *split(table, y, is_class, seed, options.rows), is_class
            for knob in KNOBS:
                if (knob, name, seed) in done:
                    continue
                line = {"model": knob, "set": name, "seed": seed}
                with KNOBS[knob]():
                    line |= measure(partial(make, knob), data, seed)
                with options.out.open("a") as file:
                    file.write(json.dumps(line) + "\n")


def report(results):
    print("| | error | sets with less | log-loss | CPU time |")
    print("|---|---|---|---|---|")
    for knob in KNOBS:
        error, n_sets, wins = ratio(results, knob, BASE, "error")
        loss, _, _ = ratio(results, knob, BASE, "log_loss")
        cpu, _, _ = ratio(results, knob, BASE, "cpu")
        wins = f"{wins} of {n_sets}"
        print(f"| {knob} | {error:.3f} | {wins} | {loss:.3f} | {cpu:.2f} |")


def main():
    parser = make_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=8000, help="training rows at most")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--sets", nargs="+", default=SETS)
    parser.add_argument("--out", type=Path, default=Path("knobs.jsonl"))
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    run(options)
    report(read_results(options.out))


if __name__ == "__main__":
    sys.exit(main())
