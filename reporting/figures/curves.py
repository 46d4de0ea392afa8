"""Figures of lines: a training epoch by epoch, and confidence. Data in, SVG text out.

>>> IPython.display.SVG(learning_rates({"base": metrics["history"]}))
"""

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes

from reporting.figures import svg
from reporting.figures.svg import Row

_HEIGHT = 3.0  # inches

# Answers in a bin of the reliability diagram, for it to be drawn.
MIN_DRAWN = 10

# On the axis of accuracy_curves: each has about half the errors of the one before.
_ACCURACY_TICKS = (50, 80, 90, 95, 98, 99, 99.5, 99.8, 99.9, 99.95, 99.98, 99.99)


# Runs whose losses on training images can be told apart as well.
MAX_DASHED = 4


def loss_curves(histories: dict[str, list[Row]]) -> Markup:
    """Draw the loss after each epoch, dashed on training images and solid on validation images.

    Of more than ``MAX_DASHED`` runs those that held images out have no dashed line. Each line ends
    in a mark: there are the weights that the run kept, those of its last epoch.

    ``histories`` has the ``history`` of ``metrics.json`` by run.
    """
    with svg.new_axes(_HEIGHT) as axes:
        alt_text = _draw_curves(axes, histories, "loss")
        _epoch_axis(axes, "loss")
        svg.label_ends(axes, {name: _last(history, "loss") for name, history in histories.items()})
        return svg.render(axes, f"Loss after each epoch: {alt_text}.")


def accuracy_curves(histories: dict[str, list[Row]]) -> Markup:
    """Draw the accuracy after each epoch, likewise.

    Equal distances on the axis are equal ratios of errors: on a linear one all that matters would
    happen in its last tenth. It is linear where fewer than two of its ticks would be in the figure.
    """
    rows = [row for history in histories.values() for row in history]
    values = [row[key] for row in rows for key in ("train_accuracy", "val_accuracy")]
    known = [value for value in values if value is not None]
    # 100 % has no place on such an axis, and is drawn at half of the fewest errors otherwise.
    ceiling = 100 - min((100 - value for value in known if value < 100), default=1) / 2
    ticks = [tick for tick in _ACCURACY_TICKS if min(known) <= tick <= max(known)]
    with svg.new_axes(_HEIGHT) as axes:
        if len(ticks) > 1:
            axes.set_yscale("function", functions=(_to_log_error, _from_log_error))
        alt_text = _draw_curves(axes, histories, "accuracy", at_most=ceiling)
        if len(ticks) > 1:
            axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
            axes.minorticks_off()
        _epoch_axis(axes, "accuracy, %")
        ends = {name: _last(history, "accuracy") for name, history in histories.items()}
        svg.label_ends(axes, {name: min(value, ceiling) for name, value in ends.items()})
        return svg.render(axes, f"Accuracy after each epoch: {alt_text}.")


def learning_rates(histories: dict[str, list[Row]]) -> Markup:
    """Draw the learning rate of each epoch's last step, likewise."""
    alt_text = []
    with svg.new_axes(_HEIGHT) as axes:
        for name, history, style in svg.with_styles(histories):
            rates = [row["learning_rate"] for row in history]
            # A mark for each of hundreds of epochs would be a thick line, and many bytes.
            every = max(1, len(history) // 20)
            epochs = [row["epoch"] for row in history]
            axes.plot(epochs, rates, markersize=3, markevery=every, label=svg.short(name), **style)
            first, highest, last = rates[0], max(rates), rates[-1]
            alt_text.append(f"{name} from {first:.3g}, at most {highest:.3g}, to {last:.3g}")
        _epoch_axis(axes, "learning rate")
        svg.label_ends(axes, {name: rows[-1]["learning_rate"] for name, rows in histories.items()})
        return svg.render(axes, f"Learning rate at the end of each epoch: {'; '.join(alt_text)}.")


def _draw_curves(
    axes: Axes, histories: dict[str, list[Row]], quantity: str, at_most: float = np.inf
) -> str:
    """Draw the lines of both splits, each value where ``at_most`` allows; return them in words."""
    alt_text = []
    for name, history, style in svg.with_styles(histories):
        for part, word, line in (("train", "training", "--"), ("val", "validation", "-")):
            values = [row[f"{part}_{quantity}"] for row in history]
            if None in values:
                continue  # a run that held nothing out
            is_named = part == "val" or history[-1]["val_loss"] is None
            if not is_named and len(histories) > MAX_DASHED:
                continue
            axes.plot(
                [row["epoch"] for row in history],
                np.minimum(values, at_most),
                linestyle=line,
                linewidth=1.8 if part == "val" else 1.1,
                markevery=[-1],
                markerfacecolor=style["color"] if part == "val" else "none",
                label=svg.short(name) if is_named else None,
                **style,
            )
            alt_text.append(f"{name}, {word}, from {values[0]:.4g} to {values[-1]:.4g}")
    return "; ".join(alt_text)


def _last(history: list[Row], quantity: str) -> float:
    """Return the last value on validation images; on training images if none were held out."""
    last = history[-1]
    validated: float | None = last[f"val_{quantity}"]
    return last[f"train_{quantity}"] if validated is None else validated


def _to_log_error(accuracy: np.ndarray) -> np.ndarray:
    return -np.log10(np.maximum(100 - accuracy, 1e-9))


def _from_log_error(value: np.ndarray) -> np.ndarray:
    return 100 - 10**-value


def _epoch_axis(axes: Axes, label: str) -> None:
    axes.set(xlabel="epoch", ylabel=label)
    svg.count_axis(axes.xaxis)


def reliability_diagram(before: Row, after: Row | None, name: str, style: svg.Style) -> Markup:
    """Draw accuracy against confidence: on the diagonal calibration is perfect.

    Bins of fewer than ``MIN_DRAWN`` answers say nothing, and are left out.

    ``before`` and ``after`` temperature scaling are what ``common.metrics.calibration`` returns.
    """
    alt_text = []
    with svg.new_axes(height=3.4) as axes:
        axes.plot([0, 100], [0, 100], ":", color=svg.MUTED, linewidth=1, label="perfect")
        for measured, label, line in ((before, "as trained", "--"), (after, "scaled", "-")):
            if measured is None:
                continue
            bins = [row for row in measured["reliability"] if row["total"] >= MIN_DRAWN]
            svg.with_intervals(
                axes,
                [row["confidence"] for row in bins],
                bins,
                linestyle=line,
                linewidth=1.2,
                elinewidth=0.8,
                markerfacecolor="none" if measured is before else style["color"],
                label=label,
                **style,
            )
            alt_text.append(f"{measured['expected_calibration_error']:.2f} points {label}")
        axes.set(xlabel="confidence, %", ylabel="accuracy, %", ylim=(-3, 103))
        svg.legend_above(axes)
        told = f"Accuracy of {name} against its confidence. Expected calibration error:"
        return svg.render(axes, f"{told} {', '.join(alt_text)}.")


def accuracy_against_coverage(rows: dict[str, list[Row]]) -> Markup:
    """Draw the accuracy on what is still answered if the least certain images are not.

    ``rows`` has what ``common.metrics.accuracy_at_coverage`` returns, by run.
    """
    alt_text = []
    with svg.new_axes(height=3.4) as axes:
        for name, points, style in svg.with_styles(rows):
            # As many as there were: of few images, 0.5 % can be none.
            left_out = [100 - 100 * point["total"] / points[0]["total"] for point in points]
            accuracy = [point["accuracy"] for point in points]
            axes.plot(left_out, accuracy, label=svg.short(name), **style)
            alt_text.append(
                f"{name} from {accuracy[0]:.2f} % on all images to {accuracy[-1]:.2f} % without "
                f"the {left_out[-1]:g} % that it is least certain of"
            )
        axes.set_xlabel("left unanswered, the least certain first, %")
        axes.set_ylabel("accuracy on the others, %")
        svg.label_ends(axes, {name: points[-1]["accuracy"] for name, points in rows.items()})
        return svg.render(axes, f"Accuracy on what is answered: {'; '.join(alt_text)}.")
