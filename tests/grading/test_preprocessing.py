"""How the normalisation of a network is chosen, and whether it is for transposed images."""

import numpy as np
import pytest

from common.data.catalog import Normalization
from grading.preprocessing import Preprocessing
from grading.sandbox.wire import STAGES, Trials

RECIPE, UNIT, HALF, RAW = range(4)
TRANSPOSED = {4, 5, 6, 7}


@pytest.fixture
def preprocessing(train_images):
    return Preprocessing(Normalization(0.1307, 0.3081), train_images.select(np.arange(2000)))


def answers(preprocessing, wrong, num_images, certainty=5.0):
    """Answers to the first images: sure of the right class, but for each of ``wrong``."""
    targets = preprocessing.sample.targets[:num_images].copy()
    wrong = [index for index in wrong if index < num_images]
    targets[wrong] = (targets[wrong] + 1) % 10
    return np.eye(10, dtype=np.float32)[targets] * np.float32(certainty)


def first(share, num_images):
    return range(int(share * num_images))


def test_first_look_compares_all_even_if_the_recipes_has_nearly_all_right(preprocessing):
    """[0, 1] is 0.5 points better, which neither 100 nor 200 images show."""
    wrong = {RECIPE: range(0, 2000, 200), UNIT: (), HALF: range(0, 2000, 2), RAW: range(2000)}
    asked = {RECIPE, UNIT, HALF, RAW}
    for num_images in (n for n in STAGES if n <= 2000):
        logits = {n: answers(preprocessing, wrong[n], num_images) for n in asked}
        asked = preprocessing.advise(logits, is_last=False)
        assert UNIT in asked
        assert not asked & {HALF, RAW}
    assert asked == {UNIT}


def test_recipe_is_taken_at_once_where_the_others_are_clearly_worse(preprocessing):
    logits = {RECIPE: answers(preprocessing, [1], 100)}
    logits |= {n: answers(preprocessing, first(0.2, 100), 100) for n in (UNIT, HALF, RAW)}
    assert preprocessing.advise(logits, is_last=False) == {RECIPE}


def test_little_speaks_for_the_recipe_and_much_is_needed_against_it(preprocessing):
    better = answers(preprocessing, (), 100)
    worse = answers(preprocessing, first(0.04, 100), 100)
    assert preprocessing.advise({RECIPE: better, UNIT: worse}, False) == {RECIPE}
    assert preprocessing.advise({RECIPE: worse, UNIT: better}, False) == {RECIPE, UNIT}


def test_more_certain_answers_are_no_better_ones(preprocessing):
    """A timid network answers more certainly where its inputs are too large."""
    logits = {
        RECIPE: answers(preprocessing, range(0, 2000, 25), 2000, certainty=50),
        HALF: answers(preprocessing, range(0, 2000, 50), 2000, certainty=1.5),
    }
    assert preprocessing.advise(logits, is_last=False) == {HALF}


def test_equal_answers_are_not_worth_more_images(preprocessing):
    logits = {
        UNIT: answers(preprocessing, range(50), 2000),
        HALF: answers(preprocessing, range(50), 2000, certainty=4),
    }
    assert len(preprocessing.advise(logits, is_last=False)) == 2
    sample = preprocessing.sample
    preprocessing.sample = sample.select(np.arange(5000) % 2000)
    logits = {number: np.tile(x, (3, 1))[:5000] for number, x in logits.items()}
    assert len(preprocessing.advise(logits, is_last=False)) == 1


def test_classes_alone_are_compared_by_who_is_right(preprocessing):
    logits = {
        RECIPE: answers(preprocessing, first(0.1, 800), 800, certainty=1),
        UNIT: answers(preprocessing, first(0.02, 800), 800, certainty=1),
    }
    assert preprocessing.advise(logits, is_last=False) == {UNIT}
    logits[RECIPE] = answers(preprocessing, first(0.023, 800), 800, certainty=1)
    assert preprocessing.advise(logits, is_last=False) == {RECIPE, UNIT}
    assert preprocessing.advise(logits, is_last=True) == {UNIT}


def test_network_that_recognises_few_is_tried_on_transposed_images_once(preprocessing):
    upright = {n: answers(preprocessing, first(0.8, 100), 100) for n in range(4)}
    asked = preprocessing.advise(upright, is_last=False)
    assert asked == {RECIPE} | TRANSPOSED
    logits = {n: answers(preprocessing, first(0.8, 200), 200) for n in asked}
    assert preprocessing.advise(logits, is_last=False) == {RECIPE}
    logits[5] = answers(preprocessing, first(0.05, 200), 200)
    assert preprocessing.advise(logits, is_last=False) == {5}


def test_weak_network_keeps_its_chance_upright(preprocessing):
    upright = {n: answers(preprocessing, first(0.9, 100), 100) for n in range(4)}
    upright[UNIT] = answers(preprocessing, first(0.6, 100), 100)
    assert preprocessing.advise(upright, is_last=False) == {UNIT} | TRANSPOSED


def test_network_that_recognises_half_is_upright(preprocessing):
    logits = {n: answers(preprocessing, first(0.9, 100), 100) for n in (UNIT, HALF, RAW)}
    logits[RECIPE] = answers(preprocessing, first(0.5, 100), 100)
    assert preprocessing.advise(logits, is_last=False) == {RECIPE}


def test_zeros_are_no_answer(preprocessing):
    """A file that declares its normalisation answers under that alone, be it ever so wrong."""
    nothing = np.zeros((100, 10), np.float32)
    logits = {RECIPE: answers(preprocessing, range(60), 100, certainty=100)}
    assert preprocessing.advise({**logits, 1: nothing, 2: nothing}, False) == {0} | TRANSPOSED
    assert preprocessing.advise({0: nothing, 1: nothing}, is_last=False) == {0}


@pytest.mark.parametrize("value", [np.finfo(np.float32).max, -np.finfo(np.float32).max, 1e-38])
def test_extreme_answers_are_compared_all_the_same(preprocessing, value):
    logits = {n: answers(preprocessing, range(n), 100, certainty=value) for n in range(4)}
    with np.errstate(all="raise", under="ignore"):
        for is_last in (False, True):
            assert preprocessing.advise(logits, is_last)


def test_a_network_that_recognises_hardly_any_image_in_any_way_is_noted(preprocessing):
    size = 100
    right = preprocessing.sample.targets[:size]
    tried = {way: (right + 1) % 10 for way in range(4)}
    assert "0 % of the training images" in preprocessing.note(Trials(tried))
    assert preprocessing.note(Trials({0: (right + 1) % 10})) == "", "it was not tried otherwise"
    assert preprocessing.note(Trials({**tried, 2: right}, taken=2)) == ""
