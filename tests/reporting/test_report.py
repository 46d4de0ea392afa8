"""The report: self-contained, well-formed and escaped."""

import copy
import json
import re
import shutil
from html.parser import HTMLParser

import pytest

from common.support.errors import UserError
from reporting.figures.svg import CSS_VARIABLES
from reporting.pages import render_report
from reporting.sources import read_sources
from reporting.terminal import summary
from tests.conftest import REPO, read, run
from tests.processes import run_forked

HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>&amp;{{ 7*7 }}"
VOID = {"meta", "img", "br", "link", "hr", "input"}


class Page(HTMLParser):
    """Collects what a page holds, and whether its elements are closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.ids, self.text = [], set(), [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_last_lines_say_accuracies_verdict_and_path(finished, evaluation):
    lines = finished.report.stdout.splitlines()
    for line, row in zip(lines, evaluation["results"], strict=False):
        assert line.startswith(f"{row['name']}: {row['accuracy']:.2f} % of 10,000 images")
    assert lines[-2].startswith("Verdict: 2 of 2 reached 80 %")
    assert lines[-1] == "Report: runs/report.html"


def test_page_is_well_formed_and_asks_for_nothing(page_text):
    page = Page(page_text)
    assert len(page.ids) == len(set(page.ids))
    assert not page.tags & {"script", "link", "iframe", "object", "form"}
    for name, value in page.attributes:
        assert not name.startswith("on")
        if name == "src":
            assert value.startswith("data:image/png;base64,"), value
        if name == "href":
            assert value.startswith(("https://", "#")), value
    assert "@import" not in page_text
    assert not re.search(r"url\((?!#|data:image/png;base64,)", page_text)
    assert len(page_text.encode()) < 300_000


def test_every_reference_inside_the_page_has_its_target(page_text):
    page = Page(page_text)
    referred = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', page_text))
    referred |= {v for n, v in page.attributes if n == "aria-labelledby"}
    assert {*("models", "learning", "errors", "confidence"), "robustness"} <= referred
    assert {"history", "data", "recipes"} <= referred
    assert referred <= set(page.ids)


def test_page_shows_what_the_files_say(page_text, evaluation):
    text = re.sub(r"\s+", " ", " ".join(Page(page_text).text))
    best = next(row for row in evaluation["results"] if row["name"] == evaluation["best"])
    assert f"Pass: {best['accuracy']:.2f} %" in text
    for row in evaluation["results"]:
        assert f"{row['accuracy_ci95'][0]:.2f}–{row['accuracy_ci95'][1]:.2f}" in text
    for error in best["misclassified"]:
        assert f"no. {error['index']}" in text
    for fact in ("LeCun", "Cireșan", "12.00 %", "4.70 %", "0.35 %", "OneCycleLR", "StepLR"):
        assert fact in text
    assert f"MD5 {evaluation['dataset']['md5']['t10k-images-idx3-ubyte']}" in text
    (pair,) = evaluation["comparisons"]
    assert ", ".join(map(str, pair["indices_only_a"])) in text
    for row in evaluation["results"]:
        for calibration in (row["confidence"]["before"], row["confidence"]["after"]):
            assert f"{calibration['expected_calibration_error']:.2f} points" in text
    for command in ("train_base.py --val-size 57000 --epochs 2", "evaluate.py --threshold 80"):
        assert f"python {command}" in text
    assert "python report.py runs/evaluation.json" in text


def test_figures_in_a_notebook_have_the_colours_of_the_light_page():
    style_sheet = (REPO / "templates/report.css").read_text(encoding="utf-8")
    light = style_sheet[: style_sheet.index("@media")]
    for colour, variable in CSS_VARIABLES.items():
        assert f"{variable}: {colour};" in light


def test_figures_have_colours_without_css_variables_and_follow_the_page_with_them(page_text):
    figures = re.findall(r"<svg [^>]*class=\"figure\".*?</svg>", page_text, flags=re.DOTALL)
    assert len(figures) == 12
    for figure in figures:
        # Colours of matplotlib's own would not follow; white and black are none of ours either.
        colours = re.findall(r'(?:fill|stroke)(?:="|: ?)(#[^;"]*|[a-z]+\()', figure)
        assert len(colours) > 20
        assert set(colours) <= CSS_VARIABLES.keys()
        assert not re.search(r"(?:fill|stroke): ?#", figure), "as a style it would win"
        assert "var(" not in figure
        assert re.search(r'role="img" aria-label="[^"]{20,}"', figure)
    for colour, variable in CSS_VARIABLES.items():
        for name in ("fill", "stroke"):
            assert f'svg [{name}="{colour}"] {{ {name}: var({variable}); }}' in page_text


def test_failure_is_said_in_words(evaluation, runs, undrawn):
    evaluation["threshold"] = 99.9
    for row in evaluation["results"]:
        row["status"] = "fail"
    page = render_report(evaluation, runs, {})
    assert "Fail: " in page
    assert "below the threshold of 99.9 %" in " ".join(page.split())


def test_json_of_another_kind_is_refused(finished):
    with pytest.raises(
        UserError, match=r"metrics\.json: command is missing: run evaluate\.py again"
    ):
        read_sources(finished.folder / "runs/base/metrics.json")


def test_evaluations_are_compared(finished, tmp_path):
    for name in ("first", "second"):
        shutil.copytree(finished.folder / "runs", tmp_path / name)
    paths = ("first/evaluation.json", "second/evaluation.json")
    completed = run("report.py", *paths, cwd=tmp_path)
    assert completed.returncode == 0, completed.stderr
    assert completed.stdout.splitlines()[-1] == "Report: first/comparison.html"
    text = " ".join(Page((tmp_path / "first/comparison.html").read_text(encoding="utf-8")).text)
    for name in ("first: base", "first: improved", "second: base", "second: improved"):
        assert name in text
    assert "2 evaluations compared" in text
    assert "Other images" not in text
    # On other images, and with submissions of which one is graded otherwise.
    other = read(tmp_path / paths[1])
    other["dataset"]["md5"], other["best"] = {"a": "0"}, None
    other["results"] = [{**row, "own": False} for row in other["results"]]
    other["results"][1] |= {"status": "error", "reason": "cut short"}
    (tmp_path / paths[1]).write_text(json.dumps(other), encoding="utf-8")
    assert run("report.py", *paths, "--output", "c.html", cwd=tmp_path).returncode == 0
    text = " ".join(Page((tmp_path / "c.html").read_text(encoding="utf-8")).text)
    assert "Other images" in text
    assert "! error" in text


def test_evaluation_named_twice_is_refused(finished):
    twice = ("runs/evaluation.json",) * 2
    completed = run("report.py", *twice, cwd=finished.folder)
    assert completed.returncode == 2
    assert "named twice" in completed.stderr


def test_open_calls_the_browser(evaluation, tmp_path):
    nothing = {"results": [], "comparisons": [], "best": None}
    (tmp_path / "e.json").write_text(json.dumps(evaluation | nothing), encoding="utf-8")
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/opened\n')
    browser.chmod(0o755)
    called = REPO / "report.py", ["e.json", "--open"], tmp_path
    completed = run_forked(*called, BROWSER=f"{browser} %s")
    assert completed.returncode == 0, completed.stderr
    opened = (tmp_path / "opened").read_text().strip()
    assert opened == (tmp_path / "report.html").resolve().as_uri()


def strings_replaced(value):
    """Put markup into every string that a file could hold, except those that code decides by."""
    if isinstance(value, dict):
        kept = ("status", "pixels", "mean_pixels", "weights", "decisive", "own")
        return {k: v if k in kept else strings_replaced(v) for k, v in value.items()}
    if isinstance(value, list):
        return [strings_replaced(item) for item in value]
    return HOSTILE if isinstance(value, str) else value


def test_markup_in_any_string_stays_text(evaluation, runs):
    hostile = strings_replaced(copy.deepcopy(evaluation))
    failed = {
        "name": HOSTILE,
        "source": HOSTILE,
        "own": False,
        "status": "error",
        "reason": HOSTILE,
    }
    hostile["results"] = [hostile["results"][0], failed]
    page = Page(
        render_report(hostile, {HOSTILE: strings_replaced(runs["base"])}, {HOSTILE: HOSTILE})
    )
    assert not page.tags & {"script"}
    assert not any(name.startswith("on") for name, _ in page.attributes)
    assert all(value.startswith("data:") for name, value in page.attributes if name == "src")
    assert HOSTILE in "".join(page.text)


def test_grading_is_rendered_with_its_reasons(evaluation, undrawn):
    graded = dict(evaluation, best=None, comparisons=[])
    row = {
        **evaluation["results"][0],
        "own": False,
        "claim_differs": True,
        "claimed_accuracy": 99.0,
    }
    failed = {
        "name": "bob",
        "source": "bob",
        "own": False,
        "status": "error",
        "reason": "cut short",
    }
    graded["results"] = [row, failed]
    text = " ".join(" ".join(Page(render_report(graded, {}, {})).text).split())
    assert "2 submissions" in text
    assert "pass 1 fail 0 could not be graded 1" in text
    assert "cut short 1 submission bob" in text
    assert "claims 99.00 %" in text


def test_grading_is_counted_on_the_terminal(evaluation):
    rows = evaluation["results"]
    for row in rows:
        row["own"] = False
    assert "2 pass, 0 fail\nVerdict: 2 of 2" in summary(evaluation)
    rows[0] |= {"status": "error", "reason": "cut short"}
    rows[1]["status"] = "fail"
    assert "0 pass, 1 fail, 1 could not be graded\nVerdict: 0 of 2" in summary(evaluation)


def test_grading_that_was_cut_short_is_called_incomplete(evaluation, tmp_path):
    evaluation |= {"best": None, "comparisons": [], "complete": False}
    for row in evaluation["results"]:
        row["own"] = False
    (tmp_path / "e.json").write_text(json.dumps(evaluation), encoding="utf-8")
    completed = run("report.py", "e.json", cwd=tmp_path)
    assert "Incomplete: the run was cut short" in completed.stdout
    assert "Incomplete:" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_threshold_within_the_interval_is_said(evaluation, runs, undrawn):
    evaluation["threshold"] = evaluation["results"][1]["accuracy"]
    text = " ".join(render_report(evaluation, runs, {}).split())
    assert "just the threshold" in text
    assert "the model could fail" in text


def test_other_images_are_not_set_beside_published_results(evaluation, runs, undrawn):
    evaluation["dataset"] |= {"name": "private", "size": 10_000, "md5": {"x": "0"}}
    page = render_report(evaluation, runs, {})
    assert "LeCun" not in page
    assert "with the pixels that decided" in page


@pytest.mark.parametrize("epochs", [1, 500])
def test_any_length_of_history_is_drawn(evaluation, runs, epochs):
    for metrics in runs.values():
        rows = metrics["history"] * epochs
        metrics["history"] = [{**rows[i], "epoch": i + 1} for i in range(epochs)]
    Page(render_report(evaluation, runs, {}))
