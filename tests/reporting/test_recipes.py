"""What the report says of several recipes: what was chosen, and on which images."""

import copy
import re

import pytest

from reporting.comparison import compare_recipes, flatten_recipe, origins
from reporting.pages import render_report
from tests.conftest import read
from tests.reporting.states import STATES


@pytest.fixture
def recipes(finished):
    """The recipes of both scripts, and of the base one at three times its rate."""
    found = {
        name: read(finished.folder / f"runs/{name}/metrics.json")["recipe"]
        for name in ("base", "improved")
    }
    found["faster"] = copy.deepcopy(found["base"])
    found["faster"]["optimizer"]["lr"] = found["faster"]["schedule"]["initial_lr"] = 0.003
    return found


def flat(recipes):
    return {name: flatten_recipe(recipe) for name, recipe in recipes.items()}


def differing(recipes):
    rows = compare_recipes(list(flat(recipes).values()))
    return {row["name"]: row["cells"] for row in rows if row["differs"]}


def test_what_was_chosen_is_told_and_not_what_follows_from_it(recipes):
    found = differing(recipes)
    assert found["lr"] == ["0.001", "0.01", "0.003"]
    assert found["schedule"] == ["StepLR", "OneCycleLR", "StepLR"]
    names = {"lr", "model", "loss", "optimizer", "schedule"}
    assert {name.split(" ")[0] for name in found} <= names
    assert not any(name.startswith("schedule ") for name in found)
    widths = [max(map(len, cells)) for cells in found.values()]
    assert widths == sorted(widths)


def test_change_within_a_class_is_told_even_if_another_class_has_no_such_setting(recipes):
    recipes["faster"]["schedule"]["gamma"] = 0.5
    assert differing(recipes)["schedule gamma"] == ["0.7", "–", "0.5"]
    recipes["faster"]["optimizer"]["amsgrad"] = True
    assert differing(recipes)["optimizer amsgrad"] == ["–", "–", "True"]


def test_least_changed_recipe_comes_first(recipes):
    first, second = origins(flat(recipes))
    assert first == ("faster", "base", [("lr", "0.003", "0.001")])
    assert (second.name, second.like) == ("improved", "base")
    assert ("lr", "0.01", "0.001") in second.changes


@pytest.mark.parametrize("state", ["default", "three_runs"])
def test_images_are_those_of_the_runs_that_are_named(finished, state):
    evaluation = read(finished.folder / "runs/evaluation.json")
    runs = {
        name: read(finished.folder / f"runs/{name}/metrics.json") for name in ("base", "improved")
    }
    page = render_report(*STATES[state](evaluation, runs), {})
    first = page.split('<h2 id="data">')[1].split("</p>")[0]
    text = " ".join(re.sub("<[^>]*>", " ", first).split())
    assert "3,000 to train on and 57,000 to validate on" in text
    other = "for base and improved ; 60,000 to train on and 0 to validate on for faster ,"
    assert (other in text) is (state == "three_runs")
    assert ("What follows is of base" in text) is (state == "three_runs")


@pytest.mark.parametrize(
    ("state", "held_out", "caption"),
    [
        ("default", True, "Loss: solid on validation images, dashed on training images. Training"),
        ("without_validation", True, "Loss on training images. Training figures"),
        ("five_runs", True, "Loss on validation images. Label smoothing"),
        ("five_runs", False, "dashed on training images where none were held out. Training"),
    ],
)
def test_caption_of_the_curves_describes_what_is_drawn(evaluation, runs, state, held_out, caption):
    evaluation, runs = STATES[state](evaluation, runs)
    if not held_out:
        unknown = dict.fromkeys(("val_loss", "val_accuracy", "val_correct", "val_total"))
        runs["base"]["history"] = [epoch | unknown for epoch in runs["base"]["history"]]
    assert caption in " ".join(render_report(evaluation, runs, {}).split())


@pytest.mark.parametrize(("state", "told"), [("default", False), ("five_runs", True)])
def test_sentences_on_some_of_the_runs_say_of_which(evaluation, runs, state, told):
    page = render_report(*STATES[state](evaluation, runs), {})
    assert ("Of these 5 runs, the 4 with the highest validation accuracy" in page) == told
