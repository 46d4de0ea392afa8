"""The report's figures: data in, SVG text out. Each works from a notebook as well."""

import io
from collections.abc import Sequence
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, to_rgb
from matplotlib.ticker import LogLocator

from common.history import PublishedResult
from common.svg import ERROR, INK, MUTED, SERIES, STYLE, render

_MARKERS = ("o", "s", "^", "D")

# Narrow enough that the text stays readable on a telephone, where the page scales the figure.
_WIDTH = 4.6  # inches

History = list[dict[str, Any]]


def learning_curves(histories: dict[str, History], quantity: str, label: str) -> str:
    """Draw loss or accuracy against the epoch, training dashed and validation solid.

    Parameters
    ----------
    histories : dict
        ``history`` of ``metrics.json``, by the run's name.
    quantity : "loss" or "accuracy"
        Rows hold it as ``train_<quantity>`` and ``val_<quantity>``.
    label : str
        Of the vertical axis.
    """
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(_WIDTH, 3.0), layout="constrained")
        for (name, history), colour in zip(histories.items(), _cycle(SERIES), strict=False):
            epochs = [row["epoch"] for row in history]
            for part, line in (("train", "--"), ("val", "-")):
                values = [row[f"{part}_{quantity}"] for row in history]
                if None not in values:
                    mark = "." if len(epochs) == 1 else ""
                    word = "training" if part == "train" else "validation"
                    axes.plot(
                        epochs, values, line, marker=mark, color=colour, label=f"{name}, {word}"
                    )
        _epoch_axis(axes, label)
        axes.legend()
        return render(figure, f"{label} of {', '.join(histories)} after each epoch")


def learning_rates(histories: dict[str, History]) -> str:
    """Draw the learning rate of each epoch's last step."""
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(_WIDTH, 3.0), layout="constrained")
        for (name, history), colour, marker in zip(
            histories.items(), _cycle(SERIES), _cycle(_MARKERS), strict=False
        ):
            axes.plot(
                [row["epoch"] for row in history],
                [row["learning_rate"] for row in history],
                marker=marker,
                markersize=3,
                color=colour,
                label=_short(name),
            )
        _epoch_axis(axes, "learning rate")
        axes.legend()
        return render(figure, f"Learning rate of {', '.join(histories)} at the end of each epoch")


def per_class_accuracy(rows: dict[str, list[dict[str, Any]]]) -> str:
    """Draw each digit's accuracy as a dot with its 95 % interval, one colour and mark a run.

    Parameters
    ----------
    rows : dict
        ``per_class`` of the evaluation, by the run's name. Classes without images are left out.
    """
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(_WIDTH, 3.2), layout="constrained")
        for position, ((name, per_class), colour, marker) in enumerate(
            zip(rows.items(), _cycle(SERIES), _cycle(_MARKERS), strict=False)
        ):
            known = [row for row in per_class if row["accuracy"] is not None]
            accuracy = np.array([row["accuracy"] for row in known])
            ends = np.array([row["accuracy_ci95"] for row in known])
            axes.errorbar(
                [row["digit"] + 0.26 * (position - (len(rows) - 1) / 2) for row in known],
                accuracy,
                yerr=np.abs(ends.T - accuracy),
                fmt=marker,
                color=colour,
                elinewidth=1,
                label=_short(name),
            )
        axes.set_xticks(range(10))
        axes.grid(axis="x", visible=False)
        axes.set_xlabel("digit")
        axes.set_ylabel("accuracy, %")
        axes.legend(ncols=len(rows), loc="lower left")
        return render(figure, f"Accuracy of {', '.join(rows)} for each digit, with 95 % intervals")


def confusion_heatmap(matrix: Sequence[Sequence[int]], name: str) -> str:
    """Draw a confusion matrix in which the errors show: only they are coloured.

    The thousands of right answers would leave every error in one pale shade, so the diagonal is a
    neutral grey and the scale belongs to the other cells; empty ones stay without a number.
    """
    counts = np.asarray(matrix)
    diagonal = np.eye(len(counts), dtype=bool)
    errors = np.where(diagonal, 0, counts)
    labels = np.where(counts > 0, counts.astype(str), "")
    with plt.rc_context({**STYLE, "axes.grid": False}):
        figure, axes = plt.subplots(figsize=(_WIDTH, 4.3), layout="constrained")
        shared = {"ax": axes, "fmt": "", "square": True, "cbar": False, "linewidths": 0}
        sns.heatmap(
            errors,
            mask=diagonal,
            annot=labels,
            annot_kws={"color": INK, "size": 8},
            cmap=_shades(ERROR, 0.75),
            vmin=0,
            vmax=max(1, errors.max()),
            **shared,
        )
        sns.heatmap(
            counts,
            mask=~diagonal,
            annot=labels,
            annot_kws={"color": INK, "size": 7},
            cmap=ListedColormap([(*to_rgb(MUTED), 0.18)]),
            **shared,
        )
        axes.set_xlabel("answer")
        axes.set_ylabel("truth")
        axes.tick_params(length=0)
        axes.tick_params(axis="y", rotation=0)
        return render(figure, f"Confusion matrix of {name}: rows are the truth, columns the answer")


def accuracy_distribution(accuracies: Sequence[float], threshold: float) -> str:
    """Draw how many submissions reached which accuracy, with the threshold.

    Parameters
    ----------
    accuracies : sequence of float
        Percent, at least one.
    threshold : float
        Percent; what lies left of it failed.
    """
    low = min(np.floor(min(accuracies)), np.floor(threshold))
    edges = np.linspace(low, 100, 26) if low < 100 else np.array([99.0, 100.0])
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(_WIDTH, 2.8), layout="constrained")
        axes.hist(accuracies, bins=edges, color=SERIES[0], rwidth=0.9)
        axes.axvline(threshold, color=ERROR, linestyle="--", label=f"threshold {threshold:g} %")
        axes.set_xlabel("accuracy, %")
        axes.set_ylabel("submissions")
        axes.yaxis.get_major_locator().set_params(integer=True)
        axes.legend()
        return render(figure, f"Accuracies of {len(accuracies)} submissions and the threshold")


def compare_with_published(
    published: Sequence[PublishedResult], own: dict[str, dict[str, Any]]
) -> str:
    """Draw test errors on a logarithmic axis: published ones, and one's own with 95 % intervals.

    Parameters
    ----------
    published : sequence of PublishedResult
    own : dict
        Rows of the evaluation, by the run's name.
    """
    labels = [f"{result.label}, {result.year}".replace(", ", ",\n", 1) for result in published]
    labels += map(_short, own)
    places = range(len(labels), 0, -1)
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(
            figsize=(_WIDTH, 0.9 + 0.42 * len(labels)), layout="constrained"
        )
        axes.plot(
            [result.error for result in published], places[: len(published)], "D", color=MUTED
        )
        for row, place, colour, marker in zip(
            own.values(), places[len(published) :], _cycle(SERIES), _cycle(_MARKERS), strict=False
        ):
            # An error of 0 has no place on a logarithmic axis; its interval still shows.
            low, high = (max(100 - end, 0.001) for end in reversed(row["accuracy_ci95"]))
            error = max(100 - row["accuracy"], 0.001)
            axes.errorbar(
                error, place, xerr=[[error - low], [high - error]], fmt=marker, color=colour
            )
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
        axes.minorticks_off()
        axes.set_yticks(places, labels)
        axes.set_ylim(0.4, len(labels) + 0.6)
        axes.set_xlabel("test error, % (left is better)")
        return render(figure, "Test error of published classifiers and of the runs of this report")


def digit_png(image: np.ndarray) -> bytes:
    """Return an image (uint8, shape [28, 28], 255 is ink) as a PNG of dark ink on white."""
    buffer = io.BytesIO()
    # Without metadata: matplotlib would write its version, and the page should not depend on it.
    plt.imsave(
        buffer, image, cmap="gray_r", vmin=0, vmax=255, format="png", metadata={"Software": None}
    )
    return buffer.getvalue()


def _short(name: str) -> str:
    # A folder's name can be long enough to leave no room for the figure.
    return name if len(name) <= 24 else f"{name[:23]}…"


def _cycle(values: Sequence[str]) -> list[str]:
    # More runs than colours is unusual; marks and labels still tell them apart.
    return list(values) * 8


def _epoch_axis(axes: Axes, label: str) -> None:
    axes.set_xlabel("epoch")
    axes.set_ylabel(label)
    axes.xaxis.get_major_locator().set_params(integer=True)


def _shades(colour: str, strongest: float) -> ListedColormap:
    """Return one colour in rising opacity, which works on a light and on a dark page."""
    return ListedColormap([(*to_rgb(colour), strongest * step / 99) for step in range(100)])


matplotlib.use("svg")
