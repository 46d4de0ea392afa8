"""What report.py reads: files that evaluate.py cannot have written, and names as they come."""

import contextlib
import copy
import functools
import json
import operator
import random
import shutil
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import report
from common.support.errors import UserError
from common.support.files import read_json
from evaluations.validation import check_evaluation, check_metrics
from grading.document import GrowingEvaluation
from reporting.figures.curves import learning_rates
from reporting.figures.dot_plots import accuracies
from reporting.sources import read_sources
from tests.conftest import read, run
from tests.reporting.states import STATES


@pytest.fixture
def evaluation(finished):
    return read(finished.folder / "runs/evaluation.json")


WRONG = (None, True, -1, 1e9, "x", [], {}, [[]])


def places(value, way=()):
    """Yield the ways to all values in a document; of the entries of a list, to the first."""
    if isinstance(value, dict):
        for key in value:
            yield (*way, key)
            yield from places(value[key], (*way, key))
    elif isinstance(value, list) and value:
        yield (*way, 0)
        yield from places(value[0], (*way, 0))


def changed(document, way, value=None, remove=False):
    """Return a copy of a document with another value in one place, or without it."""
    copied = copy.deepcopy(document)
    parent = functools.reduce(operator.getitem, way[:-1], copied)
    if remove:
        del parent[way[-1]]
    else:
        parent[way[-1]] = value
    return copied


def variants(document):
    for way in places(document):
        yield changed(document, way, remove=True)
        for value in WRONG:
            yield changed(document, way, value)


def accepted(document, check):
    """Return the changed documents that are not refused. No check may end in another error."""
    found = []
    for variant in variants(document):
        with contextlib.suppress(UserError):
            check(variant, Path("x.json"))
            found.append(variant)
    return found


@pytest.mark.long
def test_what_is_not_refused_can_be_rendered(finished, evaluation):
    """Whatever is changed in a file: one line that names the place, or a page."""
    (_, runs, _) = source = read_sources(finished.folder / "runs/evaluation.json")
    graded, _ = STATES["submissions"](evaluation, {}, count=20)
    chance = random.Random(0)
    for document in (evaluation, graded):
        for variant in chance.sample(accepted(document, check_evaluation), 6):
            report.render({"": source._replace(evaluation=variant, paths={})})
    for variant in chance.sample(accepted(runs["improved"], check_metrics), 6):
        report.render({"": source._replace(runs={**runs, "improved": variant}, paths={})})


@pytest.mark.parametrize(
    ("key", "value"), [("per_class", 5), ("confusion_matrix", [[1]]), ("loss", "high")]
)
def test_files_of_another_version_are_refused(evaluation, key, value):
    evaluation["results"][0][key] = value
    with pytest.raises(UserError, match=rf"e\.json: row 1: {key}.*: run evaluate\.py again"):
        check_evaluation(evaluation, "e.json")


@pytest.mark.parametrize(
    ("way", "value"),
    [
        (("per_class", 3, "accuracy_ci95"), None),
        (("most_confused", 0, "count"), 0),
        (("misclassified", 0, "probability"), None),
        (("confused", 0, "probability"), 2.0),
        (("inspection", "units", 0, "class"), 10),
        (("inspection", "plane", 0, "true"), 10),
        (("inspection", "decisive"), []),
    ],
)
def test_what_the_page_could_not_show_is_refused(evaluation, way, value):
    edited = changed(evaluation, ("results", 0, *way), value)
    with pytest.raises(UserError, match=r"e\.json: row 1: .*: run evaluate\.py again"):
        check_evaluation(edited, "e.json")


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
    assert "data.key is missing: train again" in page
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
    assert "row 1: confidence is missing: run evaluate.py again" in completed.stderr
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        (5, "results: Input should be a valid list"),
        (["row"], "row 1: is no row"),
        ([{"name": "x"}], "row 1: source is missing"),
        ([{"own": False}], "row 1: name is missing"),
    ],
)
def test_rows_of_another_kind_are_refused(evaluation, rows, complaint):
    with pytest.raises(UserError, match=rf"^e\.json: {complaint}: run evaluate\.py again"):
        check_evaluation({**evaluation, "results": rows}, "e.json")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"name": 5}, "name: Input should be a valid string"),
        ({"source": None}, "source: Input should be a valid string"),
        ({"status": "weird"}, "status: Input should be 'pass' or 'fail'"),
        ({"own": 5}, "own: Input should be a valid boolean"),
        ({"correct": 10_001}, "does not add up"),
        ({"correct": 9_000.0}, "correct: Input should be a valid integer"),
        ({"accuracy": 100.0}, "accuracy is not"),
        ({"total": 0}, "total: Input should be greater than 0"),
        ({"status": "fail"}, "status is fail for"),
    ],
)
def test_verdicts_that_cannot_be_are_refused(evaluation, change, complaint):
    evaluation["results"][0] |= change
    with pytest.raises(UserError, match=rf"row 1: .*{complaint}"):
        check_evaluation(evaluation, "e.json")


def test_pass_below_the_threshold_is_refused_in_one_line(evaluation, tmp_path):
    """A file that says "pass" beside 10 % is no evaluation of ours."""
    row = evaluation["results"][0]
    matrix = np.zeros((10, 10), int)
    matrix[:, 0] = 1000
    row |= {"status": "pass", "correct": 1000, "accuracy": 10.0}
    row["confusion_matrix"] = matrix.tolist()
    (tmp_path / "e.json").write_text(json.dumps(evaluation), encoding="utf-8")
    completed = run("report.py", "e.json", cwd=tmp_path)
    assert completed.returncode == 2
    (line,) = completed.stderr.splitlines()
    assert "row 1: status is pass for 1000 of 10000 at a threshold of 80 %" in line
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"best": 5}, "best: Input should be a valid string"),
        ({"best": "nobody"}, "the better model is no run that was measured"),
        ({"threshold": 1e308}, "threshold: Input should be less than or equal to 100"),
        ({"threshold": "90"}, "threshold: Input should be a valid number"),
        ({"threshold": 99.9}, "row 1: status is pass for"),
    ],
)
def test_evaluations_that_cannot_be_are_refused(evaluation, change, complaint):
    with pytest.raises(UserError, match=rf"e\.json: {complaint}"):
        check_evaluation({**evaluation, **change}, "e.json")


def test_two_runs_of_one_name_are_refused(evaluation):
    evaluation["results"][1]["name"] = evaluation["results"][0]["name"]
    with pytest.raises(UserError, match="two runs have the same name"):
        check_evaluation(evaluation, "e.json")


def test_no_number_is_no_json(tmp_path):
    (tmp_path / "e.json").write_text('{"schema_version": 2, "accuracy": NaN}')
    with pytest.raises(UserError, match="not valid JSON"):
        read_json(tmp_path / "e.json")


def test_page_never_replaces_what_it_is_made_from(finished, tmp_path, monkeypatch):
    shutil.copytree(finished.folder / "runs", tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    before = (tmp_path / "runs/base/metrics.json").read_bytes()
    with pytest.raises(UserError, match="what the page is made from"):
        report.main(["--output=runs/base/metrics.json"])
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
