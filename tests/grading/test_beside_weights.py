"""What stands beside the weights of a checkpoint: read where it has one meaning."""

import numpy as np
import pytest
import torch

from common.data.catalog import Normalization
from common.models import MNISTClassifier
from common.support.errors import SubmissionError
from grading.preprocessing import Preprocessing
from grading.readers.weights.checkpoint import parse_checkpoint
from tests.grading.corpus import saved

WEIGHTS = MNISTClassifier(hidden_sizes=(4,)).state_dict()


def test_data_beside_weights_at_the_top_is_data():
    found = parse_checkpoint(saved({**WEIGHTS, "epoch": 3, "accuracy": 0.97}))
    assert (found.epoch, found.claimed_accuracy) == (3, 97)
    with pytest.raises(SubmissionError, match=r"fc1\.bias is no ordinary tensor"):
        parse_checkpoint(saved({**WEIGHTS, "fc1.bias": "a text"}))


@pytest.mark.parametrize(
    "declared",
    [
        (0.5, 0.25),
        [0.5, 0.25],
        "0.5,0.25",
        ((0.5,), (0.25,)),
        {"mean": 0.5, "std": 0.25},
        {"mean": (0.5,), "std": (0.25,)},
        torch.tensor([0.5, 0.25]),
    ],
)
def test_normalization_is_read_in_each_usual_form(declared):
    content = saved({"model_state_dict": WEIGHTS, "normalization": declared})
    assert parse_checkpoint(content).normalization == Normalization(0.5, 0.25)


@pytest.mark.parametrize(
    "declared", [(0.5,), (0.5, 0), {"mean": 0.5}, ((1, 2), (3, 4)), 7, (33.3, 78.6), (0, 255)]
)
def test_normalization_that_is_none_is_refused(declared):
    with pytest.raises(SubmissionError, match="normalization is not mean and standard deviation"):
        parse_checkpoint(saved({"model_state_dict": WEIGHTS, "normalization": declared}))


@pytest.fixture(scope="module")
def preprocessing(train_images):
    return Preprocessing(Normalization(0.1307, 0.3081), train_images.select(np.arange(1000)))


def answers(preprocessing, right, scale=5.0):
    """Logits of which the first ``right`` of 1,000 are right; ``scale`` is how sure they are."""
    targets = preprocessing.sample.targets
    classes = np.where(np.arange(1000) < right, targets, (targets + 1) % 10)
    return scale * np.eye(10, dtype=np.float32)[classes]


def test_recipe_that_has_nearly_all_right_is_taken_alone(preprocessing):
    assert preprocessing.advise({0: answers(preprocessing, 990)}, False) == {0}
    assert preprocessing.advise({0: answers(preprocessing, 989)}, False) == {0, 1, 2, 3}


def test_clearly_better_one_is_taken_and_of_twins_the_one_with_the_lower_loss(preprocessing):
    logits = {
        0: answers(preprocessing, 800),
        1: answers(preprocessing, 950, scale=50),
        2: answers(preprocessing, 300),
        3: answers(preprocessing, 949),
    }
    assert preprocessing.advise(logits, False) == {3}


def test_doubt_goes_on_and_ends_with_the_recipes(preprocessing):
    logits = {0: answers(preprocessing, 940), 2: answers(preprocessing, 946)}
    assert preprocessing.advise(logits, False) == {0, 2}
    assert preprocessing.advise(logits, True) == {0}


def test_one_that_is_right_for_less_than_half_is_never_taken(preprocessing):
    logits = {0: answers(preprocessing, 100), 1: answers(preprocessing, 499)}
    assert preprocessing.advise(logits, False) == {0}


def test_classes_alone_go_on_where_the_loss_of_a_network_would_tell(preprocessing):
    logits = {
        0: answers(preprocessing, 800, scale=1),
        1: answers(preprocessing, 950, scale=1),
        3: answers(preprocessing, 951, scale=1),
    }
    assert preprocessing.advise(logits, False) == {0, 1, 3}
    assert preprocessing.advise(logits, True) == {3}


def test_answers_that_hardly_differ_are_not_worth_more_images(preprocessing):
    logits = {0: answers(preprocessing, 940), 2: answers(preprocessing, 941)}
    assert preprocessing.advise(logits, False) == {0}
