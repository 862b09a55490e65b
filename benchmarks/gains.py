"""Paired differences, and tables of them."""

from statistics import fmean
from typing import NamedTuple

import numpy as np
from additions import ADDITIONS
from scores import SCORES, USUAL


class Gain(NamedTuple):
    """By how much an addition is better, negative if worse, and the standard error."""

    mean: float
    error: float
    digits: int

    @property
    def verdict(self):
        """1 better, -1 worse by more than two standard errors; else 0.

        What rounds to zero is neither.
        """
        beyond_chance = abs(self.mean) > 2 * self.error
        return int(np.sign(round(self.mean, self.digits))) * beyond_chance

    def __str__(self):
        text = f"{self.mean:+.{self.digits}f} ± {self.error:.{self.digits}f}"
        return f"**{text}**" if self.verdict else text


def gain_on(pairs, score):
    """Of a set, from the scores off and on, a row per seed."""
    differences = SCORES[score].sign * (pairs[:, 1] - pairs[:, 0])
    error = differences.std(ddof=1) / np.sqrt(len(differences))
    return Gain(differences.mean(), error, SCORES[score].digits)


def mean_gain(gains):
    """Over sets."""
    error = np.sqrt(sum(gain.error**2 for gain in gains)) / len(gains)
    return Gain(fmean(gain.mean for gain in gains), error, gains[0].digits)


def overview(results):
    """Header and rows: mean gains of each addition, better on, worse on."""
    scores = [s for usual in USUAL.values() for s in usual]
    scores = [s for s in scores if any(s in row for row in results.values())]
    rows = []
    for title, row in results.items():
        cells = []
        for score in scores:
            gains = [gain_on(pairs, score) for pairs in row.get(score, {}).values()]
            verdicts = [gain.verdict for gain in gains]
            counts = f"({verdicts.count(1)}, {verdicts.count(-1)})"
            cells.append(f"{mean_gain(gains)} {counts}" if gains else "")
        rows.append((title, *cells))
    return ["", *scores], [row for row in rows if any(row[1:])]


def on_each_set(results, score):
    """Header and rows: the scores with all off, and gains of each addition."""
    rows = {title: row[score] for title, row in results.items() if score in row}
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    off = {
        name: f"{pairs[:, 0].mean():.{SCORES[score].digits}f}"
        for title, row in rows.items()
        for name, pairs in row.items()
        if not ADDITIONS[title].off
    }
    lines = [("all off", *(off.get(name, "") for name in names))] if off else []
    for title, row in rows.items():
        gains = (gain_on(row[n], score) if n in row else "" for n in names)
        lines.append((title, *gains))
    return ["", *names], lines
