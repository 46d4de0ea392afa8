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


@pytest.fixture
def page_of(evaluation, runs, undrawn):
    """A function that renders the page of a state."""
    return lambda state: render_report(*STATES[state](evaluation, runs), {})


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
def test_images_are_those_of_the_runs_that_are_named(page_of, state):
    first = page_of(state).split('<h2 id="data">')[1].split("</p>")[0]
    text = " ".join(re.sub("<[^>]*>", " ", first).split())
    assert "3,000 to train on and 57,000 to validate on" in text
    other = "for base and improved ; 60,000 to train on and 0 to validate on for faster ,"
    assert (other in text) is (state == "three_runs")
    assert ("What follows is of base" in text) is (state == "three_runs")


@pytest.mark.parametrize(
    ("state", "caption"),
    [
        ("default", "Loss: solid on validation images, dashed on training images. Training"),
        ("without_validation", "Loss on training images. Training figures"),
        ("five_runs", "Loss on validation images. Label smoothing"),
    ],
)
def test_caption_of_the_curves_describes_what_is_drawn(page_of, state, caption):
    assert caption in " ".join(page_of(state).split())


def test_caption_of_the_curves_tells_of_the_run_without_validation(evaluation, runs, undrawn):
    evaluation, runs = STATES["five_runs"](evaluation, runs)
    unknown = dict.fromkeys(("val_loss", "val_accuracy", "val_correct", "val_total"))
    runs["base"]["history"] = [epoch | unknown for epoch in runs["base"]["history"]]
    caption = "dashed on training images where none were held out. Training"
    assert caption in " ".join(render_report(evaluation, runs, {}).split())


@pytest.mark.parametrize(("state", "told"), [("default", False), ("five_runs", True)])
def test_sentences_on_some_of_the_runs_say_of_which(page_of, state, told):
    sentence = "Of these 5 runs, the 4 with the highest validation accuracy"
    assert (sentence in page_of(state)) == told
