"""Pictures of `bench_fit.py --plot` and of `bench_tabular.py --plot`."""

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot as plt

COLORS = {
    "skmlp": "#d1495b",
    "sklearn": "#f79256",
    "torch": "#5b8e7d",
    "jax": "#2e4057",
}
LABELS = {"sklearn": "scikit-learn", "torch": "PyTorch", "jax": "JAX"}


def plot_times(times, title, path):
    """One group of bars per workload, in units of skmlp's time.

    Parameters
    ----------
    times : dict of str to dict of str to float
        Seconds by workload and competitor.
    title : str
    path : str
        Where to write the SVG.
    """
    plt.rcParams["svg.hashsalt"] = "skmlp"  # the same file for the same figures
    figure, axes = plt.subplots(figsize=(8, 3.6), layout="constrained")
    names = list(next(iter(times.values())))
    width = 0.8 / len(names)
    for i, name in enumerate(names):
        heights = [row[name] / row["skmlp"] for row in times.values()]
        places = [j + (i - (len(names) - 1) / 2) * width for j in range(len(times))]
        bars = axes.bar(
            places, heights, width, color=COLORS[name], label=LABELS.get(name, name)
        )
        axes.bar_label(bars, fmt="{:.1f}", fontsize=7)
    axes.axhline(1, color="#888888", linewidth=0.5)
    axes.set(
        yscale="log",
        ylabel="time / time of skmlp",
        xticks=range(len(times)),
        xticklabels=list(times),
        xlabel="rows x features, hidden units",
        title=title,
    )
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, ncols=len(names), fontsize=8)
    figure.savefig(path, metadata={"Date": None})


def plot_errors(points, path):
    """Error over CPU time, a point for each competitor.

    Parameters
    ----------
    points : dict of str to (float, float)
        CPU time and error, as multiples of those of boosting.
    path : str
        Where to write the SVG.
    """
    plt.rcParams["svg.hashsalt"] = "skmlp"
    figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
    own = {name: place for name, place in points.items() if name.startswith("skmlp")}
    axes.plot(*zip(*sorted(own.values())), color=COLORS["skmlp"], linewidth=1)
    for name, (cpu, error) in points.items():
        color = COLORS["skmlp"] if name in own else COLORS["jax"]
        axes.plot(cpu, error, "o", color=color)
        axes.annotate(
            name,
            (cpu, error),
            xytext=(0, 7),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            color=color,
        )
    axes.set(
        xscale="log",
        xlabel="CPU time of fit / that of HistGradientBoosting",
        ylabel="error / that of HistGradientBoosting",
    )
    axes.margins(0.15)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None})
