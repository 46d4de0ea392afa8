"""What stands beside the weights of a checkpoint: read where it has one meaning."""

import pytest
import torch

from common.data.catalog import Normalization
from common.models import MNISTClassifier
from common.support.errors import SubmissionError
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
