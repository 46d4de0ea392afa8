"""The report's figures: data in, SVG text out. Each works from a notebook as well.

>>> IPython.display.SVG(learning_rates({"base": metrics["history"]}))
"""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import seaborn as sns
from matplotlib import image as matplotlib_image
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, to_rgb

from common.escaping import shorten_middle, visible
from common.svg import ERROR, INK, MUTED, SERIES, legend_above, new_axes, render, short, with_looks

# Classes whose names have room along an axis, and whose confusions can be told apart.
MAX_NAMED = 20
_TICK_WIDTH = 14

# Answers in a bin of the reliability diagram, for it to be drawn.
MIN_DRAWN = 10

Row = dict[str, Any]


def learning_curves(histories: dict[str, list[Row]], quantity: str, label: str) -> str:
    """Draw loss or accuracy against the epoch, training dashed and validation solid.

    Each line ends in a mark: there are the weights that the run kept, those of its last epoch.

    Parameters
    ----------
    histories : dict
        ``history`` of ``metrics.json``, by the run's name.
    quantity : "loss" or "accuracy"
        Rows hold it as ``train_<quantity>`` and ``val_<quantity>``.
    label : str
        Of the vertical axis.
    """
    told = []
    with new_axes(height=3.0) as axes:
        for name, history, look in with_looks(histories):
            for part, word, line in (("train", "training", "--"), ("val", "validation", "-")):
                values = [row[f"{part}_{quantity}"] for row in history]
                if None in values:
                    continue  # a run that held nothing out
                axes.plot(
                    [row["epoch"] for row in history],
                    values,
                    linestyle=line,
                    markevery=[-1],
                    markerfacecolor=look["color"] if part == "val" else "none",
                    label=f"{short(name)}, {word}",
                    **look,
                )
                told.append(f"{name}, {word}, from {values[0]:.4g} to {values[-1]:.4g}")
        _epoch_axis(axes, label)
        legend_above(axes)
        return render(axes.figure, f"{label} after each epoch: {'; '.join(told)}.")


def learning_rates(histories: dict[str, list[Row]]) -> str:
    """Draw the learning rate of each epoch's last step; ``histories`` as above."""
    told = []
    with new_axes(height=3.0) as axes:
        for name, history, look in with_looks(histories):
            rates = [row["learning_rate"] for row in history]
            # A mark for each of hundreds of epochs would be a thick line, and many bytes.
            every = max(1, len(history) // 20)
            epochs = [row["epoch"] for row in history]
            axes.plot(epochs, rates, markersize=3, markevery=every, label=short(name), **look)
            first, highest, last = rates[0], max(rates), rates[-1]
            told.append(f"{name} from {first:.3g}, at most {highest:.3g}, to {last:.3g}")
        _epoch_axis(axes, "learning rate")
        legend_above(axes)
        return render(axes.figure, f"Learning rate at the end of each epoch: {'; '.join(told)}.")


def per_class_accuracy(rows: dict[str, list[Row]], labels: Sequence[str], noun: str) -> str:
    """Draw each class's accuracy as a dot with its 95 % interval, one colour and mark a run.

    Parameters
    ----------
    rows : dict
        ``per_class`` of the evaluation, by the run's name. Classes without images are left out.
    labels : sequence of str
        Names of the classes.
    noun : str
        What a class is.
    """
    told = []
    step = min(0.26, 0.8 / len(rows))
    with new_axes(height=3.2) as axes:
        for position, (name, per_class, look) in enumerate(with_looks(rows)):
            known = [row for row in per_class if row["accuracy"] is not None]
            accuracy = np.array([row["accuracy"] for row in known])
            ends = np.array([row["accuracy_ci95"] for row in known])
            axes.errorbar(
                [row["class"] + step * (position - (len(rows) - 1) / 2) for row in known],
                accuracy,
                yerr=np.abs(ends.T - accuracy),
                linestyle="none",
                elinewidth=1,
                label=short(name),
                **look,
            )
            worst, best = known[accuracy.argmin()], known[accuracy.argmax()]
            told.append(
                f"{name} from {worst['accuracy']:.2f} % for the {noun} {labels[worst['class']]} to "
                f"{best['accuracy']:.2f} % for the {noun} {labels[best['class']]}"
            )
        _name_ticks(axes, "x", labels, offset=0)
        axes.grid(axis="x", visible=False)
        axes.set_xlabel(noun)
        axes.set_ylabel("accuracy, %")
        legend_above(axes)
        return render(axes.figure, f"Accuracy and 95 % interval of each {noun}: {'; '.join(told)}.")


def confusion_heatmap(
    matrix: Sequence[Sequence[int]], name: str, classes: Sequence[str], noun: str
) -> str:
    """Draw a confusion matrix in which the errors show: only they are coloured.

    The thousands of right answers would leave every error in one pale shade, so the diagonal is a
    neutral grey and the scale belongs to the other cells; empty ones stay without a number.
    """
    counts = np.asarray(matrix)
    diagonal = np.eye(len(counts), dtype=bool)
    errors = np.where(diagonal, 0, counts)
    written = np.where(counts > 0, counts.astype(str), "")
    with new_axes(height=4.3) as axes:
        axes.grid(visible=False)
        shared = {"ax": axes, "fmt": "", "square": True, "cbar": False, "linewidths": 0}
        sns.heatmap(
            errors,
            mask=diagonal,
            annot=written,
            annot_kws={"color": INK, "size": 8},
            cmap=_shades(ERROR, 0.6),
            vmin=0,
            vmax=max(1, errors.max()),
            **shared,
        )
        sns.heatmap(
            counts,
            mask=~diagonal,
            annot=written,
            annot_kws={"color": INK, "size": 7},
            cmap=ListedColormap([(*to_rgb(MUTED), 0.18)]),
            **shared,
        )
        axes.set_xlabel("answer")
        axes.set_ylabel("truth")
        axes.tick_params(length=0)
        _name_ticks(axes, "x", classes, offset=0.5)
        _name_ticks(axes, "y", classes, offset=0.5)
        truth, answer = np.unravel_index(errors.argmax(), errors.shape)
        return render(
            axes.figure,
            f"Confusion matrix of {name}, a row for each true {noun}, a column for each answer: "
            f"{counts.trace():,} of {counts.sum():,} on the diagonal; the most frequent error is "
            f"{classes[truth]} taken for {classes[answer]}, {errors.max():,} times.",
        )


def reliability_diagram(before: Row, after: Row | None, name: str, look: dict[str, str]) -> str:
    """Draw accuracy against confidence: on the diagonal, a network is as good as it believes.

    Bins of fewer than ``MIN_DRAWN`` answers say nothing, and are left out.

    Parameters
    ----------
    before, after : dict
        Of ``common.confidence.calibration``, before and after temperature scaling.
    name : str
        Of the run.
    look : dict
        One of ``LOOKS``: that of the run in the other figures.
    """
    told = []
    with new_axes(height=4.2) as axes:
        axes.plot([0, 100], [0, 100], ":", color=MUTED, linewidth=1, label="as good as it believes")
        for measured, label, line in (
            (before, "as trained", "--"),
            (after, "after temperature scaling", "-"),
        ):
            if measured is None:
                continue
            bins = [row for row in measured["reliability"] if row["total"] >= MIN_DRAWN]
            accuracy = np.array([row["accuracy"] for row in bins])
            ends = np.array([row["accuracy_ci95"] for row in bins])
            axes.errorbar(
                [row["confidence"] for row in bins],
                accuracy,
                yerr=np.abs(ends.T - accuracy),
                linestyle=line,
                linewidth=1.2,
                elinewidth=0.8,
                markerfacecolor="none" if measured is before else look["color"],
                label=label,
                **look,
            )
            told.append(f"{measured['expected_calibration_error']:.2f} points {label}")
        axes.set_xlabel("confidence, %")
        axes.set_ylabel("accuracy, %")
        axes.set_ylim(-3, 103)
        legend_above(axes)
        return render(
            axes.figure,
            f"Accuracy of {name} against its confidence. Expected calibration error: "
            f"{', '.join(told)}.",
        )


def accuracy_against_coverage(rows: dict[str, list[Row]]) -> str:
    """Draw the accuracy on what is still answered if the least certain images are not.

    Parameters
    ----------
    rows : dict
        Of ``common.confidence.accuracy_at_coverage``, by the run's name.
    """
    told = []
    with new_axes(height=3.6) as axes:
        for name, points, look in with_looks(rows):
            # As many as there were: of few images, 0.5 % can be none.
            left_out = [100 - 100 * point["total"] / points[0]["total"] for point in points]
            accuracy = [point["accuracy"] for point in points]
            axes.plot(left_out, accuracy, label=short(name), **look)
            told.append(
                f"{name} from {accuracy[0]:.2f} % on all images to {accuracy[-1]:.2f} % without "
                f"the {left_out[-1]:g} % that it is least certain of"
            )
        axes.set_xlabel("left unanswered, the least certain first, %")
        axes.set_ylabel("accuracy on the others, %")
        legend_above(axes)
        return render(axes.figure, f"Accuracy on what is answered: {'; '.join(told)}.")


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
    with new_axes(height=2.8) as axes:
        axes.hist(accuracies, bins=edges, color=SERIES[0], rwidth=0.9)
        axes.axvline(threshold, color=ERROR, linestyle="--", label=f"threshold {threshold:g} %")
        axes.set_xlabel("accuracy, %")
        axes.set_ylabel("submissions")
        axes.yaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        legend_above(axes)
        return render(
            axes.figure,
            f"Accuracies of {len(accuracies)} submissions, from {min(accuracies):.2f} to "
            f"{max(accuracies):.2f} %; the threshold is {threshold:g} %.",
        )


def image_png(image: np.ndarray) -> bytes:
    """Return an image (uint8, shape [side, side], 255 is ink) as a PNG of dark ink on white."""
    buffer = io.BytesIO()
    # Without metadata: matplotlib would write its version, and the page should not depend on it.
    matplotlib_image.imsave(
        buffer, image, cmap="gray_r", vmin=0, vmax=255, format="png", metadata={"Software": None}
    )
    return buffer.getvalue()


def _name_ticks(axes: Axes, axis: str, labels: Sequence[str], offset: float) -> None:
    """Write the classes' names along an axis, or every n-th if there are many."""
    every = -(-len(labels) // MAX_NAMED)
    ticks = [label + offset for label in range(0, len(labels), every)]
    names = [shorten_middle(visible(label), _TICK_WIDTH) for label in labels[::every]]
    slanted = axis == "x" and max(map(len, names)) > 3
    setter = axes.set_xticks if axis == "x" else axes.set_yticks
    setter(ticks, names, rotation=40 if slanted else 0, **({"ha": "right"} if slanted else {}))


def _epoch_axis(axes: Axes, label: str) -> None:
    axes.set_xlabel("epoch")
    axes.set_ylabel(label)
    axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)


def _shades(colour: str, strongest: float) -> ListedColormap:
    """Return one colour in rising opacity, which works on a light and on a dark page.

    Above 0.6 the numbers in the cells would have too little contrast in the dark.
    """
    return ListedColormap([(*to_rgb(colour), strongest * step / 99) for step in range(100)])
