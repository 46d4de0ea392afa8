"""What report.py reads: files that evaluate.py cannot have written, and names as they come."""

import json
import shutil
from xml.etree import ElementTree

import pytest
from conftest import read, run
from states import STATES

from common.dot_plots import accuracies
from common.errors import UserError
from common.evaluations import GrowingEvaluation
from common.files import read_json
from common.plots import learning_rates
from report import read_sources, render, require_evaluation


@pytest.fixture
def evaluation(finished):
    return read(finished.folder / "runs/evaluation.json")


@pytest.mark.parametrize(
    ("key", "value"), [("per_class", 5), ("confusion_matrix", [[1]]), ("loss", "high")]
)
def test_files_of_another_version_are_refused(finished, key, value):
    source = read_sources(finished.folder / "runs/evaluation.json")
    source.evaluation["results"][0][key] = value
    with pytest.raises(UserError, match=r"evaluation\.json, .*train and evaluate again"):
        render({"runs": source})


def test_run_that_was_not_measured_is_told_without_its_metrics(finished, tmp_path):
    """It may be of another data set, or of an earlier version."""
    shutil.copytree(finished.folder / "runs", tmp_path / "runs")
    (tmp_path / "data").symlink_to(finished.folder / "data")
    path = tmp_path / "runs/base/metrics.json"
    metrics = read(path)
    metrics["data"] = {"name": "Fashion-MNIST"}
    path.write_text(json.dumps(metrics), encoding="utf-8")
    assert run("evaluate.py", "--threshold", "80", cwd=tmp_path).returncode == 1
    completed = run("report.py", cwd=tmp_path)
    assert completed.returncode == 0, completed.stderr
    page = (tmp_path / "runs/report.html").read_text(encoding="utf-8")
    assert "does not say what it was trained on: train again" in page
    assert "Fashion" not in page


def test_grading_that_was_cut_short_is_shown_as_far_as_it_came(evaluation, tmp_path):
    graded, _ = STATES["submissions"](evaluation, {})
    rows = dict(enumerate(graded.pop("results")[:20]))
    fields = {key: graded[key] for key in graded.keys() - {"complete", "isolation"}}
    GrowingEvaluation(tmp_path / "e.json", fields, rows).save()
    completed = run("report.py", "e.json", cwd=tmp_path)
    assert completed.returncode == 0, completed.stderr
    assert "Incomplete: the run was cut short" in completed.stdout
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "the grading was cut short" in page


def test_file_of_an_earlier_version_is_one_line(evaluation, tmp_path):
    del evaluation["results"][0]["confidence"]
    (tmp_path / "e.json").write_text(json.dumps(evaluation), encoding="utf-8")
    completed = run("report.py", "e.json", cwd=tmp_path)
    assert completed.returncode == 2
    assert len(completed.stderr.splitlines()) == 1
    assert "train and evaluate again" in completed.stderr
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize("rows", [5, ["row"], [{"name": "x"}], [{"own": False}]])
def test_rows_of_another_kind_are_refused(evaluation, tmp_path, rows):
    with pytest.raises(UserError, match="has rows that"):
        require_evaluation({**evaluation, "results": rows}, tmp_path / "e.json")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", 5),
        ("source", None),
        ("status", "weird"),
        ("own", 5),
        ("correct", 10_001),
        ("correct", 9_000.0),
        ("accuracy", 100.0),
        ("total", 0),
    ],
)
def test_verdicts_that_cannot_be_are_refused(evaluation, key, value):
    evaluation["results"][0][key] = value
    with pytest.raises(UserError, match="has rows that"):
        require_evaluation(evaluation, "e.json")


@pytest.mark.parametrize("change", [{"best": 5}, {"threshold": 1e308}, {"threshold": "90"}])
def test_evaluations_that_cannot_be_are_refused(evaluation, change):
    with pytest.raises(UserError, match="has rows that"):
        require_evaluation({**evaluation, **change}, "e.json")


def test_two_runs_of_one_name_are_refused(evaluation):
    evaluation["results"][1]["name"] = evaluation["results"][0]["name"]
    with pytest.raises(UserError, match="has rows that"):
        require_evaluation(evaluation, "e.json")


def test_no_number_is_no_json(tmp_path):
    (tmp_path / "e.json").write_text('{"schema_version": 1, "accuracy": NaN}')
    with pytest.raises(UserError, match="not valid JSON"):
        read_json(tmp_path / "e.json")


def test_page_never_replaces_what_it_is_made_from(finished, tmp_path):
    shutil.copytree(finished.folder / "runs", tmp_path / "runs")
    before = (tmp_path / "runs/base/metrics.json").read_bytes()
    completed = run("report.py", "--output", "runs/base/metrics.json", cwd=tmp_path)
    assert completed.returncode == 2
    assert "what the page is made from" in completed.stderr
    assert (tmp_path / "runs/base/metrics.json").read_bytes() == before


NAMES = ("#010203", "xlink:href", "url(#p)", "font-family: Arial;", ' id="text_1"', "fill: #010203")


@pytest.mark.parametrize("name", [*NAMES, "_hidden", "日本語", "$x$", r"\g<1>", "a<b&c"])
def test_names_come_through_figures_as_they_are(name):
    svg = accuracies({name: {"accuracy": 98.0, "accuracy_ci95": [97.0, 99.0]}}, threshold=90)
    root = ElementTree.fromstring(svg)
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert name.strip() in [text.strip() for text in texts]
    assert f"{name} 98.00 %" in root.get("aria-label")


def test_control_characters_in_names_are_escaped_in_figures():
    history = [{"epoch": 1, "learning_rate": 0.1}]
    svg = learning_rates({"\x1b[31m\u202e": history, "": history})
    assert not any(ord(character) < 32 and character != "\n" for character in svg)
    assert "\u202e" not in svg
    assert "(blank)" in svg
    ElementTree.fromstring(svg)
