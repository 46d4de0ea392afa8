"""The playground's page: it says what its file does, and lets nothing in or out."""

import base64
import hashlib
import json
import re
import shutil

import numpy as np
import pytest

import report
from common.support.errors import UserError
from reporting.playground_page import SCRIPTS, page_script, render_playground
from tests.conftest import REPO, read, run
from tests.reporting.test_report import HOSTILE, Page


def test_page_is_well_formed_and_can_ask_for_nothing(shown):
    page = Page(shown.page)
    assert len(page.ids) == len(set(page.ids))
    assert not page.tags & {"link", "iframe", "object", "form", "base"}
    assert not re.search(r"https?:|@import|url\(|\bon\w+=", shown.page)
    digest = base64.b64encode(hashlib.sha256(page_script().encode()).digest()).decode()
    policy = next(value for _, value in page.attributes if value and "default-src" in value)
    assert policy.startswith("default-src 'none'; ")
    assert re.findall(r"script-src [^;]*", policy) == [f"script-src 'sha256-{digest}'"]
    assert f"<script>{page_script()}</script>" in shown.page
    assert len(shown.page.encode()) < 4_000_000


def test_script_fits_in_a_sitting():
    scripts = (REPO / "templates/playground").glob("*.js")
    lines = {s.stem: len(s.read_text(encoding="utf-8").splitlines()) for s in scripts}
    assert lines.keys() == set(SCRIPTS)
    assert max(lines.values()) <= 300


def test_page_says_what_an_answer_is_worth(shown):
    text = re.sub(r"\s+", " ", " ".join(Page(shown.page).text))
    whole, quantized = (shown.document[f"{kind}_network"] for kind in ("float", "quantized"))
    for network in (whole, quantized):
        low, high = network["accuracy_ci95"]
        assert f"{network['accuracy']:.2f} %" in text
        assert f"{low:.2f}–{high:.2f} %" in text
    assert f"gives another answer to {quantized['changed_answers']} of them" in text
    assert "sought among 1,000 of 60,000: 100 of each digit" in text
    assert "seed 42" in text
    assert "Drawings are not the test set" in text
    assert "has to answer one of ten digits, whatever is drawn" in text


def test_words_in_the_file_stay_words(document):
    document["run"]["name"] = document["run"]["architecture"] = HOSTILE
    document["test_set"]["name"] = HOSTILE
    document["network"]["extra"] = document["test_digits"]["recognised"][0]["extra"] = HOSTILE
    text = render_playground(document, checksum="")
    assert "alert(1)" in text
    assert text.count("<script") == 2
    assert "onerror" not in {name for name, _ in Page(text).attributes}
    assert "49" not in re.findall(r"run <strong>(.*?)</strong>", text)


TAMPERED = {
    "a script in pixels": lambda d: d["training_digits"]["images"][0].update(pixels="</script>"),
    "an image too small": lambda d: d["training_digits"]["images"][0].update(pixels="AAAA"),
    "a script in weights": lambda d: d["network"]["layers"][0].update(levels="<!--<script>"),
    "weights cut short": lambda d: d["network"]["layers"][1].update(levels="AAAA"),
    "scales of no number": lambda d: d["network"]["layers"][-1].update(
        scales=base64.b64encode(np.full(10, np.nan, "<f4").tobytes()).decode()
    ),
    "a deviation of zero": lambda d: d["network"].update(pixel_std=0),
    "a mean that is no number": lambda d: d["network"].update(pixel_mean="nan"),
    "a label of no digit": lambda d: d["test_digits"]["recognised"][0].update(true=99),
    "no layers": lambda d: d["network"].update(layers=[]),
    "a layer left out": lambda d: d["network"]["layers"].pop(1),
    "an index in words": lambda d: d["test_digits"]["recognised"][0].update(index="<b>"),
    "an accuracy in words": lambda d: d["float_network"].update(accuracy="high"),
    "units of another layer": lambda d: d["strongest_images"].pop(),
    "an image that is not there": lambda d: d["strongest_images"][0].__setitem__(0, [1000]),
    "groups of another kind": lambda d: d.update(test_digits=5),
}


@pytest.mark.parametrize("change", TAMPERED)
def test_tampered_file_is_refused(document, tmp_path, change):
    TAMPERED[change](document)
    (tmp_path / "p.json").write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(UserError, match=r"p\.json: .*run evaluate\.py --playground again"):
        report.main([f"--playground={tmp_path}/p.json", f"--output={tmp_path}/p.html"])
    assert not (tmp_path / "p.html").exists()


def assert_one_line(completed, text):
    assert completed.returncode == 2
    assert len(completed.stderr.splitlines()) == 1
    assert text in completed.stderr


def test_other_files_are_refused(shown, tmp_path):
    shutil.copy(shown.folder / "evaluation.json", tmp_path)
    completed = run("report.py", "--playground", "evaluation.json", cwd=tmp_path)
    assert_one_line(completed, "run is missing: run evaluate.py --playground again")
    assert not (tmp_path / "playground.html").exists()
    shutil.copy(shown.folder / "playground.json", tmp_path)
    flags = ("--playground", "playground.json", "--output", "playground.json")
    assert_one_line(run("report.py", *flags, cwd=tmp_path), "what the page is made from")


LINK = 'href="playground.html"'


def test_report_renders_the_playground_and_links_to_it(
    shown, finished, tmp_path, monkeypatch, capsys
):
    for path in ("evaluation.json", "playground.json"):
        shutil.copy(shown.folder / path, tmp_path)
    monkeypatch.chdir(finished.folder)
    report.main([str(tmp_path / "evaluation.json")])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"Playground: {tmp_path}/playground.html"
    assert lines[-1] == f"Report: {tmp_path}/report.html"
    assert (tmp_path / "playground.html").read_text(encoding="utf-8") == shown.page
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert LINK in text
    assert len(text.encode()) < 300_000
    output = tmp_path / "elsewhere/page.html"
    report.main([str(tmp_path / "evaluation.json"), f"--output={output}"])
    assert LINK in output.read_text(encoding="utf-8")
    assert output.with_name("playground.html").exists(), "it goes where the link looks for it"


def other_run(document):
    document["run"]["sha256"] = "0" * 64


def other_images(document):
    document["test_set"]["md5"] = {}


@pytest.mark.parametrize("change", [None, other_run, other_images])
def test_report_links_to_no_playground_of_another_network(shown, document, tmp_path, change):
    shutil.copy(shown.folder / "evaluation.json", tmp_path)
    if change:
        change(document)
        (tmp_path / "playground.json").write_text(json.dumps(document), encoding="utf-8")
    report.main([str(tmp_path / "evaluation.json")])
    assert "playground.html" not in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert not (tmp_path / "playground.html").exists()


def test_report_is_not_written_over_what_its_playground_is_made_from(shown, tmp_path):
    for path in ("evaluation.json", "playground.json"):
        shutil.copy(shown.folder / path, tmp_path)
    output = tmp_path / "playground.json"
    with pytest.raises(UserError, match="what the page is made from"):
        report.main([str(tmp_path / "evaluation.json"), f"--output={output}"])
    assert read(output) == shown.document
