"""Figures that seaborn draws: their numbers are those of the files, and only they import it."""

import json
import re
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np

from reporting.figures import counts
from reporting.figures.svg import SERIES
from reporting.pages import render_report
from tests.conftest import REPO
from tests.reporting.states import STATES

SVG = "{http://www.w3.org/2000/svg}"
LABELS = [str(digit) for digit in range(10)]


def texts_of(svg):
    """Return what a figure writes: text, x and y of each, in the order of its elements."""
    texts = ElementTree.fromstring(svg).iter(f"{SVG}text")
    return [(text.text, float(text.get("x")), float(text.get("y"))) for text in texts]


def fills_of(svg, series):
    """Return how many areas have the colour of a series."""
    paths = ElementTree.fromstring(svg).iter(f"{SVG}path")
    return sum(path.get("fill") == SERIES[series - 1] for path in paths)


def cells_of(svg):
    """Return the numbers of a heatmap, each in the row and column whose names are the nearest."""
    texts = texts_of(svg)
    across = [x for text, x, _ in texts if text in LABELS][:10]
    down = [y for text, _, y in texts if text in LABELS][10:]
    cells = np.zeros((10, 10), int)
    for text, x, y in texts:
        if text[0] in "+\N{MINUS SIGN}":
            row, column = np.abs(np.array(down) - y).argmin(), np.abs(np.array(across) - x).argmin()
            assert cells[row, column] == 0, "one number a cell"
            cells[row, column] = int(text.replace("\N{MINUS SIGN}", "-"))
    return cells


def test_heatmap_is_the_difference_of_the_two_matrices(evaluation):
    other, better = evaluation["results"]
    expected = np.array(better["confusion_matrix"]) - np.array(other["confusion_matrix"])
    np.fill_diagonal(expected, 0)
    svg = counts.confusion_difference(better, other, LABELS, "digit")
    assert (cells_of(svg) == expected).all()
    # A cell is coloured if it has a number: blue if there are fewer of its errors, or else orange.
    for series, number in ((1, (expected < 0).sum()), (2, (expected > 0).sum())):
        assert fills_of(svg, series) == number
    words = ElementTree.fromstring(svg).get("aria-label")
    assert words.startswith("Confusions of improved compared with base: ")
    assert f"{-expected[expected < 0].sum()} fewer (" in words
    assert f"{expected[expected > 0].sum()} more (" in words
    true, answer = np.unravel_index(expected.argmin(), expected.shape)
    assert f"{true} taken for {answer} \N{MINUS SIGN}{-expected.min()}" in words


def test_heatmap_is_of_the_better_run_and_each_other_one(evaluation, runs, undrawn):
    page = render_report(evaluation, runs, {})
    assert page.count("Confusions of improved compared with base") == 1
    assert page.count("Confusions of base compared with improved") == 0
    evaluation["best"] = "base"
    assert "Confusions of base compared with improved" in render_report(evaluation, runs, {})
    twin = dict(evaluation["results"][0], name="twin")
    evaluation |= {"results": [evaluation["results"][0], twin], "comparisons": []}
    page = render_report(evaluation, {"base": runs["base"]}, {})
    assert "compared with" not in page, "no error is mended or added"


def test_heatmap_of_one_sign_says_that_there_are_none_of_the_other(evaluation):
    row = evaluation["results"][0]
    perfect = np.diag(np.array(row["confusion_matrix"]).sum(axis=1)).tolist()
    better = row | {"name": "perfect", "confusion_matrix": perfect}
    svg = counts.confusion_difference(better, row, LABELS, "digit")
    assert svg.count("+") == 0
    assert "; 0 more." in svg


def test_class_counts_are_those_of_the_data(runs):
    data = runs["base"]["data"]
    svg = counts.class_counts(data["class_counts"], data["classes"], "digit")
    assert fills_of(svg, 1) == fills_of(svg, 2) == 11, "ten bars and one in the legend"
    for split in ("train", "val"):
        numbers = data["class_counts"][split]
        for number in (min(numbers), max(numbers)):
            assert f"{number:,} ({numbers.index(number)})" in svg
    assert fills_of(counts.class_counts({"train": [1, 2], "val": [0, 0]}, ["a", "b"], "x"), 2) == 0


def test_distribution_marks_the_bar_that_holds_an_accuracy():
    accuracies = [70.0, 91.0, 91.1, 100.0]
    edges = counts.bar_edges(accuracies, 90)
    bars = [counts.bar_of(edges, accuracy) for accuracy in (70.0, 91.0, 91.1, 100.0)]
    assert bars == [0, 17, 17, 24]
    drawn = {counts.accuracy_distribution(accuracies, 90, bar) for bar in bars}
    for svg in drawn:
        assert len(bars_of(svg, 2)) == 1
        assert [text for text, *_ in texts_of(svg)].count("this one") == 1
    assert len(drawn) == 3


def bars_of(svg, series):
    """Return left, right and top of the bars in a series' colour: rectangles on the x axis."""
    found = []
    for path in ElementTree.fromstring(svg).iter(f"{SVG}path"):
        corners = re.findall(r"[ML] (\S+) (\S+)", path.get("d"))
        if path.get("fill") == SERIES[series - 1] and path.get("clip-path") and len(corners) >= 4:
            x, y = zip(*((float(a), float(b)) for a, b in corners), strict=True)
            found.append((min(x), max(x), min(y)))
    return found


def test_mark_of_a_bar_covers_neither_another_bar_nor_the_axis():
    for accuracies, marked in (([70.0] * 3 + [91.0] * 9 + [95.2, 100.0], 95.2), ([90.0] * 5, 90.0)):
        bar = counts.bar_of(counts.bar_edges(accuracies, 90), marked)
        svg = counts.accuracy_distribution(accuracies, 90, bar)
        ((left, right, top),) = bars_of(svg, 2)
        root = ElementTree.fromstring(svg)
        mark, _ = (use for use in root.iter(f"{SVG}use") if use.get("fill") == SERIES[1])
        x, y, size = float(mark.get("x")), float(mark.get("y")), 4 / 2
        assert left <= x - size < x + size <= right
        assert 0 < y < top - size, "above its bar, and within the figure"


def test_hardest_classes_come_first(evaluation):
    row = evaluation["results"][0]["per_class"]
    for digit, entry in enumerate(row):
        entry["accuracy"] = None if digit == 4 else 90.0 + digit
    other = [dict(entry) for entry in row]
    other[7]["accuracy"] = 10.0
    other[9]["accuracy"] = 95.0
    ordered = counts.hardest_first([row, other])
    assert list(ordered) == [7, 0, 1, 2, 3, 5, 6, 9, 8], "4 has no images"
    assert ordered[7] == [97.0, 10.0]
    svg = counts.hardest_classes(ordered, LABELS, "digit")
    names = [(x, text) for text, x, _ in texts_of(svg) if text in LABELS]
    assert "".join(text for _, text in sorted(names)) == "701235698"
    assert "Median accuracy of each digit: 7 53.50 %, 0 90.00 %" in svg


# Renders page after page, and prints which of the two packages have been imported. What takes
# longest comes after these imports, and is left out.
IMPORTED = (
    "import shlex, sys\n"
    "from reporting.figures import svg\n"
    "svg.render = lambda axes, description: description\n"
    "from report import main\n"
    "for args in sys.argv[1:]:\n"
    "    main(shlex.split(args))\n"
    "    print('imported:', {'seaborn', 'pandas'} & {*sys.modules})\n"
)


def test_page_without_such_a_figure_imports_no_seaborn(finished, evaluation, tmp_path):
    broken, _ = STATES["all_broken"](evaluation, {})
    alone, _ = STATES["one_run"](evaluation, {"base": {}})
    alone["results"][0]["source"] = "elsewhere"
    for name, document in (("broken", broken), ("alone", alone), ("whole", evaluation)):
        (tmp_path / f"{name}.json").write_text(json.dumps(document), encoding="utf-8")
    without = ["--claims", "broken.json", "alone.json", "alone.json whole.json"]
    completed = subprocess.run(
        [sys.executable, "-c", IMPORTED, *without, "whole.json"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(REPO), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    *before, after = [line for line in completed.stdout.splitlines() if line.startswith("imported")]
    assert before == ["imported: set()"] * len(without)
    assert "seaborn" in after
