"""Figures of dots with their intervals, one below the other. Data in, SVG text out."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator

from common.history import PublishedResult
from common.svg import ERROR, MUTED, new_axes, render, short, with_looks

Row = dict[str, Any]


def accuracies(rows: dict[str, Row], threshold: float | None = None) -> str:
    """Draw accuracies as dots with their 95 % intervals, one below the other.

    Parameters
    ----------
    rows : dict
        Rows of evaluations, by the label to show.
    threshold : float, optional
        Percent; drawn as a line, which the axis takes in.
    """
    places = range(len(rows), 0, -1)
    told = [f"{name} {row['accuracy']:.2f} %" for name, row in rows.items()]
    with new_axes(height=1.0 + 0.35 * len(rows)) as axes:
        for place, (_, row, look) in zip(places, with_looks(rows), strict=True):
            _with_interval(axes, row["accuracy"], place, row["accuracy_ci95"], look)
        if threshold is not None:
            label = f"threshold {threshold:g} %"
            axes.axvline(threshold, color=ERROR, linestyle="--", label=label)
            axes.legend(loc="lower right", bbox_to_anchor=(1, 1))
            told.append(label)
        axes.set_yticks(places, map(short, rows))
        axes.set_ylim(0.4, len(rows) + 0.6)
        axes.set_xlabel("test accuracy, %")
        return render(axes.figure, f"Test accuracies with 95 % intervals: {', '.join(told)}.")


def compare_with_published(published: Sequence[PublishedResult], own: dict[str, Row]) -> str:
    """Draw test errors on a logarithmic axis: published ones, and one's own with 95 % intervals.

    Parameters
    ----------
    published : sequence of PublishedResult
    own : dict
        Rows of the evaluation, by the run's name.
    """
    labels = [f"{result.label}, {result.year}".replace(", ", ",\n", 1) for result in published]
    labels += map(short, own)
    places = range(len(labels), 0, -1)
    told = [f"{result.label}, {result.year}, {result.error:g} %" for result in published]
    with new_axes(height=0.9 + 0.42 * len(labels)) as axes:
        errors = [result.error for result in published]
        axes.plot(errors, places[: len(published)], "D", color=MUTED)
        for place, (name, row, look) in zip(places[len(published) :], with_looks(own), strict=True):
            # An error of 0 has no place on a logarithmic axis; its interval still shows.
            ends = [max(100 - end, 0.001) for end in reversed(row["accuracy_ci95"])]
            _with_interval(axes, max(100 - row["accuracy"], 0.001), place, ends, look)
            told.append(f"{name} {100 - row['accuracy']:.2f} %")
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
        axes.minorticks_off()
        axes.set_yticks(places, labels)
        axes.set_ylim(0.4, len(labels) + 0.6)
        axes.set_xlabel("test error, % (left is better)")
        return render(axes.figure, f"Test errors on a logarithmic axis: {'; '.join(told)}.")


def _with_interval(
    axes: Axes, value: float, place: float, ends: Sequence[float], look: dict[str, str]
) -> None:
    axes.errorbar(value, place, xerr=[[value - ends[0]], [ends[1] - value]], **look)
