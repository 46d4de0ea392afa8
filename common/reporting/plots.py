"""The report's figures: data in, SVG text out. Each works from a notebook as well.

>>> IPython.display.SVG(learning_rates({"base": metrics["history"]}))
"""

import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import seaborn as sns
from markupsafe import Markup
from matplotlib import image as matplotlib_image
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, to_rgb

from common.reporting.svg import (
    ERROR,
    INK,
    MUTED,
    SERIES,
    Style,
    count_axis,
    legend_above,
    name_ticks,
    new_axes,
    render,
    short,
    with_styles,
)

# Answers in a bin of the reliability diagram, for it to be drawn.
MIN_DRAWN = 10

Row = dict[str, Any]


def learning_curves(histories: dict[str, list[Row]], quantity: str, label: str) -> Markup:
    """Draw loss or accuracy against the epoch, training dashed and validation solid.

    Each line ends in a mark: there are the weights that the run kept, those of its last epoch.

    ``histories`` has the ``history`` of ``metrics.json`` by run, whose rows hold the quantity (loss
    or accuracy) as ``train_<quantity>`` and ``val_<quantity>``.
    """
    alt_text = []
    with new_axes(height=3.0) as axes:
        for name, history, style in with_styles(histories):
            for part, word, line in (("train", "training", "--"), ("val", "validation", "-")):
                values = [row[f"{part}_{quantity}"] for row in history]
                if None in values:
                    continue  # a run that held nothing out
                axes.plot(
                    [row["epoch"] for row in history],
                    values,
                    linestyle=line,
                    markevery=[-1],
                    markerfacecolor=style["color"] if part == "val" else "none",
                    label=f"{short(name)}, {word}",
                    **style,
                )
                alt_text.append(f"{name}, {word}, from {values[0]:.4g} to {values[-1]:.4g}")
        _epoch_axis(axes, label)
        legend_above(axes)
        return render(axes, f"{label} after each epoch: {'; '.join(alt_text)}.")


def learning_rates(histories: dict[str, list[Row]]) -> Markup:
    """Draw the learning rate of each epoch's last step; ``histories`` as above."""
    alt_text = []
    with new_axes(height=3.0) as axes:
        for name, history, style in with_styles(histories):
            rates = [row["learning_rate"] for row in history]
            # A mark for each of hundreds of epochs would be a thick line, and many bytes.
            every = max(1, len(history) // 20)
            epochs = [row["epoch"] for row in history]
            axes.plot(epochs, rates, markersize=3, markevery=every, label=short(name), **style)
            first, highest, last = rates[0], max(rates), rates[-1]
            alt_text.append(f"{name} from {first:.3g}, at most {highest:.3g}, to {last:.3g}")
        _epoch_axis(axes, "learning rate")
        legend_above(axes)
        return render(axes, f"Learning rate at the end of each epoch: {'; '.join(alt_text)}.")


def confusion_heatmap(
    matrix: Sequence[Sequence[int]], name: str, classes: Sequence[str], noun: str
) -> Markup:
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
        shared: Any = {"ax": axes, "fmt": "", "square": True, "cbar": False, "linewidths": 0}
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
        axes.set_xlabel("predicted")
        axes.set_ylabel("true")
        axes.tick_params(length=0)
        name_ticks(axes, "x", classes, offset=0.5)
        name_ticks(axes, "y", classes, offset=0.5)
        true, predicted = divmod(int(errors.argmax()), len(errors))
        return render(
            axes,
            f"Confusion matrix of {name}, a row for each true {noun}, a column for each answer: "
            f"{counts.trace():,} of {counts.sum():,} on the diagonal; the most frequent error is "
            f"{classes[true]} taken for {classes[predicted]}, {errors.max():,} times.",
        )


def reliability_diagram(before: Row, after: Row | None, name: str, style: Style) -> Markup:
    """Draw accuracy against confidence: on the diagonal calibration is perfect.

    Bins of fewer than ``MIN_DRAWN`` answers say nothing, and are left out.

    ``before`` and ``after`` temperature scaling are what ``common.metrics.calibration`` returns.
    """
    alt_text = []
    with new_axes(height=4.2) as axes:
        axes.plot([0, 100], [0, 100], ":", color=MUTED, linewidth=1, label="perfect calibration")
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
                markerfacecolor="none" if measured is before else style["color"],
                label=label,
                **style,
            )
            alt_text.append(f"{measured['expected_calibration_error']:.2f} points {label}")
        axes.set_xlabel("confidence, %")
        axes.set_ylabel("accuracy, %")
        axes.set_ylim(-3, 103)
        legend_above(axes)
        return render(
            axes,
            f"Accuracy of {name} against its confidence. Expected calibration error: "
            f"{', '.join(alt_text)}.",
        )


def accuracy_against_coverage(rows: dict[str, list[Row]]) -> Markup:
    """Draw the accuracy on what is still answered if the least certain images are not.

    ``rows`` has what ``common.metrics.accuracy_at_coverage`` returns, by run.
    """
    alt_text = []
    with new_axes(height=3.6) as axes:
        for name, points, style in with_styles(rows):
            # As many as there were: of few images, 0.5 % can be none.
            left_out = [100 - 100 * point["total"] / points[0]["total"] for point in points]
            accuracy = [point["accuracy"] for point in points]
            axes.plot(left_out, accuracy, label=short(name), **style)
            alt_text.append(
                f"{name} from {accuracy[0]:.2f} % on all images to {accuracy[-1]:.2f} % without "
                f"the {left_out[-1]:g} % that it is least certain of"
            )
        axes.set_xlabel("left unanswered, the least certain first, %")
        axes.set_ylabel("accuracy on the others, %")
        legend_above(axes)
        return render(axes, f"Accuracy on what is answered: {'; '.join(alt_text)}.")


def accuracy_distribution(accuracies: Sequence[float], threshold: float) -> Markup:
    """Draw how many submissions reached which accuracy, with the threshold.

    All in percent; there is at least one accuracy.
    """
    low = min(math.floor(min(accuracies)), math.floor(threshold))
    edges = np.linspace(low, 100, 26).tolist() if low < 100 else [99.0, 100.0]
    with new_axes(height=2.8) as axes:
        axes.hist(accuracies, bins=edges, color=SERIES[0], rwidth=0.9)
        axes.axvline(threshold, color=ERROR, linestyle="--", label=f"threshold {threshold:.12g} %")
        axes.set_xlabel("accuracy, %")
        axes.set_ylabel("submissions")
        count_axis(axes.yaxis)
        legend_above(axes)
        return render(
            axes,
            f"Accuracies of {len(accuracies)} submissions, from {min(accuracies):.2f} to "
            f"{max(accuracies):.2f} %; the threshold is {threshold:.12g} %.",
        )


def image_png(image: np.ndarray) -> bytes:
    """Return an image (uint8, shape [side, side], 255 is ink) as a PNG of dark ink on white."""
    buffer = io.BytesIO()
    # None: matplotlib would write its version, and the page should not depend on it.
    metadata: Any = {"Software": None}
    matplotlib_image.imsave(
        buffer, image, cmap="gray_r", vmin=0, vmax=255, format="png", metadata=metadata
    )
    return buffer.getvalue()


def _epoch_axis(axes: Axes, label: str) -> None:
    axes.set_xlabel("epoch")
    axes.set_ylabel(label)
    count_axis(axes.xaxis)


def _shades(colour: str, strongest: float) -> ListedColormap:
    """Return one colour in rising opacity, which works on a light and on a dark page.

    Above 0.6 the numbers in the cells would have too little contrast in the dark.
    """
    return ListedColormap([(*to_rgb(colour), strongest * step / 99) for step in range(100)])
