"""Figures of dots with their intervals, one below the other. Data in, SVG text out."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from operator import itemgetter
from textwrap import wrap

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator

from evaluations.words import accuracy_text
from reporting.figures import svg
from reporting.figures.published import PublishedResult
from reporting.figures.svg import Row


def accuracies(rows: dict[str, Row], threshold: float | None = None) -> Markup:
    """Draw accuracies as dots with their 95 % intervals, one below the other.

    ``rows`` of evaluations are keyed by the label to show; ``threshold`` is in percent. Where rows
    have a threshold of their own each, none is drawn.
    """
    places = range(len(rows), 0, -1)
    alt_text = [f"{name} {row['accuracy']:.2f} %" for name, row in rows.items()]
    with svg.new_axes(height=0.8 + 0.44 * len(rows)) as axes:
        for place, (_, row, style) in zip(places, svg.with_styles(rows), strict=True):
            _with_interval(axes, row["accuracy"], place, row["accuracy_ci95"], style)
            written = accuracy_text(row["accuracy"], row.get("threshold", threshold))
            _write_above(axes, f"{written} %", row["accuracy"], place)
        if threshold is not None:
            label = f"threshold {threshold:.12g} %"
            axes.axvline(threshold, color=svg.ERROR, linestyle="--")
            _write_above(axes, label, threshold, len(rows) + 0.7)
            alt_text.append(label)
        axes.set_yticks(places, map(svg.short, rows))
        axes.set(ylim=(0.5, len(rows) + 0.7), xlabel="test accuracy, %")
        return svg.render(axes, f"Test accuracies with 95 % intervals: {', '.join(alt_text)}.")


def per_class_accuracy(rows: dict[str, list[Row]], labels: Sequence[str], noun: str) -> Markup:
    """Draw each class's accuracy as a dot with its 95 % interval, one colour and mark a run.

    ``rows`` has ``per_class`` of the evaluation by run. Classes without images are left out.
    """
    alt_text = []
    step = min(0.26, 0.8 / len(rows))
    with svg.new_axes(height=2.8) as axes:
        for position, (name, per_class, style) in enumerate(svg.with_styles(rows)):
            known = [row for row in per_class if row["accuracy"] is not None]
            places = [row["class"] + step * (position - (len(rows) - 1) / 2) for row in known]
            style = style | {"linestyle": "none", "elinewidth": 1, "label": svg.short(name)}
            svg.with_intervals(axes, places, known, **style)
            worst, best = (pick(known, key=itemgetter("accuracy")) for pick in (min, max))
            alt_text.append(
                f"{name} from {worst['accuracy']:.2f} % for the {noun} {labels[worst['class']]} to "
                f"{best['accuracy']:.2f} % for the {noun} {labels[best['class']]}"
            )
        svg.name_ticks(axes, labels)
        axes.grid(axis="x", visible=False)
        axes.set(xlabel=noun, ylabel="accuracy, %")
        svg.legend_above(axes)
        return svg.render(
            axes, f"Accuracy and 95 % interval of each {noun}: {'; '.join(alt_text)}."
        )


def compare_with_published(published: Sequence[PublishedResult], own: dict[str, Row]) -> Markup:
    """Draw test errors on a logarithmic axis: published ones, and one's own with 95 % intervals.

    ``own`` has the rows of the evaluation by run.
    """
    labels = [f"{result.label}, {result.year}".replace(", ", ",\n", 1) for result in published]
    labels += map(svg.short, own)
    places = range(len(labels), 0, -1)
    alt_text = [f"{result.label}, {result.year}, {result.error:g} %" for result in published]
    with svg.new_axes(height=0.9 + 0.42 * len(labels)) as axes:
        errors = [result.error for result in published]
        axes.plot(errors, places[: len(published)], "D", color=svg.MUTED)
        own_places = places[len(published) :]
        for place, (name, row, style) in zip(own_places, svg.with_styles(own), strict=True):
            low, high = (100 - end for end in reversed(row["accuracy_ci95"]))
            if row["accuracy"] < 100:
                _with_interval(axes, 100 - row["accuracy"], place, [low, high], style)
            else:  # 0 has no place on a logarithmic axis: the interval comes in from its left
                arrow = {"arrowstyle": "->", "color": style["color"]}
                axes.annotate("", (high / 30, place), (high, place), arrowprops=arrow)
                axes.plot(high, place, "|", color=style["color"])
            alt_text.append(f"{name} {100 - row['accuracy']:.2f} %")
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        low, high = axes.get_xlim()
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 3) if high < 1000 * low else (1,)))
        axes.minorticks_off()
        axes.set_yticks(places, labels)
        axes.set(ylim=(0.4, len(labels) + 0.6), xlabel="test error, % (left is better)")
        return svg.render(axes, f"Test errors on a logarithmic axis: {'; '.join(alt_text)}.")


def robustness(corruptions: Sequence[Row], runs: Iterable[str]) -> Markup:
    """Draw accuracies on images changed in several ways, one row a change, one mark a run.

    ``corruptions`` are those of an evaluation. Where a group of them ends, there is a gap.
    """
    places, alt_text = [0.0], []
    for above, row in pairwise(corruptions):
        places.append(places[-1] - (1 if row["group"] == above["group"] else 1.3))
    styles = list(svg.with_styles(dict.fromkeys(runs)))
    with svg.new_axes(height=0.7 - 0.2 * places[-1]) as axes:
        for position, (name, _, style) in enumerate(styles):
            aside = 0.5 * ((len(styles) - 1) / 2 - position) / len(styles)
            known = [
                (place + aside, row["name"], run)
                for place, row in zip(places, corruptions, strict=True)
                for run in row["runs"]
                if run["run"] == name
            ]
            if known:
                at, changes, measured = zip(*known, strict=True)
                style = style | {"linestyle": "none", "elinewidth": 1, "label": svg.short(name)}
                svg.with_intervals(axes, at, list(measured), sideways=True, **style)
                told = (
                    f"{run['accuracy']:.1f} % with {change}"
                    for change, run in zip(changes, measured, strict=True)
                )
                alt_text.append(f"{name} {', '.join(told)}")
        axes.set_yticks(places, [svg.short(row["name"]) for row in corruptions])
        axes.set(xlim=(-2, 102), ylim=(places[-1] - 0.7, 0.7), xlabel="accuracy, %")
        svg.legend_above(axes, left=-0.5)
        return svg.render(axes, f"Accuracies on changed images: {'; '.join(alt_text)}.")


# Characters of a contrast for which a line of the figure has room.
_NAME_WIDTH = 50

# How the verdicts on claims style: one does not need the colours to tell them apart.
VERDICT_STYLES: dict[str, svg.Style] = {
    "supported": {"color": svg.SERIES[2], "marker": "o"},
    "contradicted": {"color": svg.ERROR, "marker": "X"},
    "equivalent": {"color": svg.INK, "marker": "s", "markerfacecolor": "none"},
    "undecided": {"color": svg.MUTED, "marker": "o", "markerfacecolor": "none"},
}


def forest(claims: Sequence[Row], measure: str) -> Markup:
    """Draw the gain of each claim under its contrast: right of 0 the claim holds.

    The thick line is the 95 % interval, the thin one that which decides. Where gains go beyond 1,
    the axis is logarithmic beyond 0.1 on either side.

    ``claims`` have a ``number`` each, and all have this measure.
    """
    names = [wrap(f"{claim['number']}  {claim['contrast']}", _NAME_WIDTH) for claim in claims]
    heights = [0.26 + 0.17 * len(lines) for lines in names]  # inches
    with svg.new_axes(height=1.3 + sum(heights)) as axes:
        top = 0.0
        for claim, lines, height in zip(claims, names, heights, strict=True):
            axes.text(0.01, top, "\n".join(lines), va="top", transform=axes.get_yaxis_transform())
            style, place = VERDICT_STYLES[claim["verdict"]], top - height + 0.14
            thin = style | {"marker": "none", "elinewidth": 0.8}
            _with_interval(axes, claim["mean_difference"], place, claim["interval_corrected"], thin)
            thick = style | {"elinewidth": 2.6}
            _with_interval(axes, claim["mean_difference"], place, claim["interval"], thick)
            axes.vlines(0, place - 0.08, place + 0.08, color=svg.INK, linewidth=0.8)
            top -= height
        for verdict, style in VERDICT_STYLES.items():
            axes.plot([], [], linestyle="none", label=verdict, **style)
        if max(abs(end) for claim in claims for end in claim["interval_corrected"]) > 1:
            axes.set_xscale("symlog", linthresh=0.1)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.minorticks_off()
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.set(ylim=(top, 0), xlabel=f"{measure}: right of 0 the claim holds")
        axes.legend(loc="lower left", bbox_to_anchor=(-0.1, 1), ncols=2)
        alt_text = [f"claim {claim['number']} {claim['verdict']}" for claim in claims]
        return svg.render(axes, f"Gains with two intervals each: {', '.join(alt_text)}.")


def _with_interval(
    axes: Axes, value: float, place: float, ends: Sequence[float], style: svg.Style
) -> None:
    axes.errorbar(value, place, xerr=[[value - ends[0]], [ends[1] - value]], **style)


def _write_above(axes: Axes, text: str, x: float, y: float) -> None:
    # The threshold's line can pass behind the text, and would cross it.
    mask = {"facecolor": svg.PAGE, "edgecolor": "none", "pad": 0.5}
    style: svg.Style = {"textcoords": "offset points", "ha": "center", "va": "bottom", "bbox": mask}
    axes.annotate(text, (x, y), (0, 5), **style)
