"""What is said of changed images: beside the verdict, in the terminal, and in a section."""

import copy
from pathlib import Path

import pytest

from common.metrics import proportion
from own_runs.corruptions import CORRUPTIONS
from reporting.pages import render_report
from reporting.terminal import beyond_test_set, choice


def with_accuracies(evaluation, **correct):
    """Return an evaluation of the better model ``improved``, with so many of 1000 for each run."""
    changed = copy.deepcopy(evaluation) | {"best": "improved"}
    for row in changed["robustness"]["corruptions"]:
        for one in row["runs"]:
            one |= proportion(980, 1000)
            if row["name"] in ("blur", "inverted greys"):
                # Blur is where the two are furthest apart.
                nearer = (row["name"], one["run"]) == ("inverted greys", "base")
                one |= proportion(correct[one["run"]] - 8 * nearer, 1000)
    return changed


WORSE = (
    "On changed images improved can be the worse model: with blur it recognises "
    "55.1 % where base recognises 88.8 %; it also falls behind with inverted greys."
)


def test_worse_model_on_changed_images_is_said_where_the_verdict_is(evaluation, runs):
    worse = with_accuracies(evaluation, base=888, improved=551)
    assert beyond_test_set(worse) == WORSE
    page = " ".join(render_report(worse, runs, {}).split())
    assert f'{WORSE} <a href="#robustness">' in page[: page.index("<main>")]


@pytest.mark.parametrize(
    "correct",
    [
        {"base": 551, "improved": 888},
        {"base": 900, "improved": 890},
        {"base": 499, "improved": 100},
    ],
)
def test_nothing_is_said_while_the_better_model_is_no_worse(evaluation, runs, correct):
    fine = with_accuracies(evaluation, **correct)
    assert beyond_test_set(fine) == ""
    page = render_report(fine, runs, {})
    assert "can be the worse model" not in page
    assert "Beyond the test set" in page


def test_terminal_says_it_below_the_choice(finished, evaluation):
    said = choice(with_accuracies(evaluation, base=888, improved=551), Path("best.pth"))
    assert said.splitlines()[1] == WORSE
    assert choice(evaluation, Path("runs/mnist_classifier_best.pth")) in finished.evaluation.stdout


def test_page_shows_each_change(evaluation, runs):
    page = render_report(evaluation, runs, {})
    section = page[page.index('<h2 id="robustness">') : page.index('<h2 id="history">')]
    assert section.count("<img") == len(CORRUPTIONS) - 1
    for row in evaluation["robustness"]["corruptions"]:
        assert section.count(f">{row['name']}</") == 2 - (row["name"] == "no change")
        for one in row["runs"]:
            assert f"{one['accuracy']:.1f} % with {row['name']}" in section


def test_older_evaluation_has_no_section(evaluation, runs):
    del evaluation["robustness"]
    page = render_report(evaluation, runs, {})
    assert "Beyond the test set" not in page
    assert beyond_test_set(evaluation) == ""
