"""Figures of grades, images and confusions, most drawn by seaborn. Data in, SVG text out.

seaborn takes long to import, with pandas and scipy, so only what draws with it imports it.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from operator import itemgetter
from statistics import median
from typing import cast

import numpy as np
from markupsafe import Markup
from matplotlib.patches import Rectangle

from reporting.figures import svg
from reporting.figures.svg import Row

# Classes whose cells have room for a number.
MAX_CELLS = 12

_NAMED_CELLS = 3


def bar_edges(accuracies: Sequence[float], threshold: float) -> list[float]:
    """Return where the bars of a distribution begin and end, all in percent."""
    low = min(math.floor(min(accuracies)), math.floor(threshold))
    return np.linspace(low, 100, 26).tolist() if low < 100 else [99.0, 100.0]


def bar_of(edges: Sequence[float], accuracy: float) -> int:
    """Return the number of the bar that holds an accuracy; the last includes its upper end."""
    return min(bisect_right(edges, accuracy), len(edges) - 1) - 1


def accuracy_distribution(
    accuracies: Sequence[float], threshold: float, marked: int | None = None
) -> Markup:
    """Draw how many submissions reached which accuracy, with the threshold.

    All in percent; there is at least one accuracy. The bar of number ``marked`` stands out, with a
    mark above it.
    """
    import seaborn

    edges = bar_edges(accuracies, threshold)
    with svg.new_axes(height=2.8) as axes:
        style: svg.Style = {"color": svg.SERIES[0], "alpha": 1, "linewidth": 0, "shrink": 0.9}
        seaborn.histplot(x=list(accuracies), bins=edges, ax=axes, **style)
        marks = ""
        if marked is not None:
            bar = cast(Rectangle, axes.patches[marked])
            bar.set_facecolor(svg.SERIES[1])
            # The mark is no wider than the bar, so it covers no other one; a name would.
            middle = bar.get_x() + bar.get_width() / 2
            above = bar.get_height() + 0.05 * axes.dataLim.y1
            axes.plot(middle, above, "v", color=svg.SERIES[1], label="this one")
            marks = f" This one has {edges[marked]:.4g} to {edges[marked + 1]:.4g} %."
        name = f"threshold {threshold:.12g} %"
        axes.axvline(threshold, color=svg.ERROR, linestyle="--", label=name)
        axes.set(xlabel="accuracy, %", ylabel="submissions")
        svg.count_axis(axes.yaxis)
        svg.legend_above(axes)
        return svg.render(
            axes,
            f"Accuracies of {len(accuracies)} submissions, from {min(accuracies):.2f} to "
            f"{max(accuracies):.2f} %; the threshold is {threshold:.12g} %.{marks}",
        )


def hardest_first(per_class: Sequence[list[Row]]) -> dict[int, list[float]]:
    """Return the accuracies (percent) of each class, those of the lowest median first.

    ``per_class`` is that of each submission. A class without images is left out.
    """
    known = {
        entries[0]["class"]: [e["accuracy"] for e in entries if e["accuracy"] is not None]
        for entries in zip(*per_class, strict=True)
    }
    return dict(sorted(filter(itemgetter(1), known.items()), key=lambda item: median(item[1])))


def hardest_classes(accuracies: dict[int, list[float]], labels: Sequence[str], noun: str) -> Markup:
    """Draw how well submissions recognise each class, in this order, ``MAX_NAMED`` of them at most.

    ``accuracies`` come from ``hardest_first``.
    """
    shown = dict(list(accuracies.items())[: svg.MAX_NAMED])
    names = [labels[label] for label in shown]
    told = [f"{n} {median(a):.2f} %" for n, a in zip(names, shown.values(), strict=True)]
    with svg.new_axes(height=2.8) as axes:
        line: svg.Style = {"color": svg.SERIES[0], "linewidth": 1.2}
        parts: svg.Style = dict.fromkeys(("boxprops", "whiskerprops", "capprops"), line)
        parts |= {"medianprops": line | {"linewidth": 2.6}, "showfliers": False, "widths": 0.6}
        axes.boxplot([*shown.values()], positions=range(len(shown)), manage_ticks=False, **parts)
        svg.name_ticks(axes, names)
        axes.grid(axis="x", visible=False)
        axes.set(xlabel=f"{noun}, the hardest first", ylabel="accuracy, %")
        return svg.render(axes, f"Median accuracy of each {noun}: {', '.join(told)}.")


def class_counts(counts: dict[str, Sequence[int]], labels: Sequence[str], noun: str) -> Markup:
    """Draw how many images of each class there are to train on and to validate on.

    ``counts`` has ``class_counts`` of ``metrics.json``; without validation images, one bar a class.
    """
    import seaborn

    words = {"train": "to train on", "val": "to validate on"}
    splits = {words[split]: list(numbers) for split, numbers in counts.items() if any(numbers)}
    alt_text = []
    for word, numbers in splits.items():
        fewest, most = (labels[numbers.index(pick(numbers))] for pick in (min, max))
        alt_text.append(f"{word} from {min(numbers):,} ({fewest}) to {max(numbers):,} ({most})")
    with svg.new_axes(height=2.2) as axes:
        seaborn.barplot(
            x=[*range(len(labels))] * len(splits),
            y=np.concatenate([*splits.values()]),
            hue=np.repeat([*splits], len(labels)),
            palette=svg.SERIES[: len(splits)],
            saturation=1,
            errorbar=None,
            legend=False,
            ax=axes,
        )
        for bars, word in zip(axes.containers, splits, strict=True):
            bars.set_label(word)
        svg.name_ticks(axes, labels)
        axes.grid(axis="x", visible=False)
        axes.set(xlabel=noun, ylabel="images")
        axes.yaxis.set_major_formatter("{x:,.0f}")
        svg.count_axis(axes.yaxis)
        svg.legend_above(axes)
        return svg.render(axes, f"Images of each {noun}: {'; '.join(alt_text)}.")


def confusion_changes(better: Row, other: Row) -> np.ndarray:
    """Return how many more confusions a row of an evaluation has than another.

    int64, shape [classes, classes], true class first; the diagonal, right answers, is 0.
    """
    changes = np.array(better["confusion_matrix"]) - np.array(other["confusion_matrix"])
    np.fill_diagonal(changes, 0)
    return changes


def confusion_difference(better: Row, other: Row, labels: Sequence[str], noun: str) -> Markup:
    """Draw which confusions the better of two runs mends and which it adds, as a heatmap.

    Both are rows of an evaluation, of at most ``MAX_CELLS`` classes, and differ in a confusion.
    """
    import seaborn

    changes = confusion_changes(better, other)
    size, most = len(labels), np.abs(changes).max()
    names = [svg.tick_name(label) for label in labels]
    with svg.new_axes(height=3.6) as axes:
        axes.plot([0, size], [0, size], color=svg.GRID, linewidth=1)
        seaborn.heatmap(
            changes,
            mask=changes == 0,
            cmap=[*svg.SHADES],
            vmin=-most,
            vmax=most,
            annot=np.vectorize(_signed)(changes),
            fmt="",
            annot_kws={"color": svg.INK},
            cbar=False,
            xticklabels=False,
            yticklabels=False,
            ax=axes,
        )
        svg.name_ticks(axes, labels, offset=0.5)
        axes.set_yticks(np.arange(size) + 0.5, names)
        axes.grid(visible=False)
        axes.set_xticks(range(size + 1), minor=True)
        axes.set_yticks(range(size + 1), minor=True)
        axes.tick_params(which="minor", bottom=False, left=False)
        axes.grid(which="minor", visible=True)
        axes.set(xlabel="answer", ylabel=f"true {noun}")
        return svg.render(axes, _in_words(changes, better["name"], other["name"], labels))


def _signed(change: int) -> str:
    return f"{change:+d}".replace("-", "\N{MINUS SIGN}")


def _in_words(changes: np.ndarray, better: str, other: str, labels: Sequence[str]) -> str:
    """Return the totals of a heatmap, and the largest cells of either sign."""
    order = np.argsort(changes, axis=None, kind="stable")
    cells = [divmod(int(place), len(labels)) for place in order]
    told = []
    for word, some in (("fewer", cells), ("more", cells[::-1])):
        sign = -1 if word == "fewer" else 1
        total = int(changes[sign * changes > 0].sum())
        largest = [
            f"{labels[true]} taken for {labels[answer]} {_signed(int(changes[true, answer]))}"
            for true, answer in some[:_NAMED_CELLS]
            if sign * changes[true, answer] > 0
        ]
        told.append(f"{abs(total)} {word}" + (f" ({', '.join(largest)})" if largest else ""))
    return f"Confusions of {better} compared with {other}: {'; '.join(told)}."
