"""Chains of Linear layers: what their names and numbers say of what stands between them."""

import pytest
import torch
from torch import nn

from common.support.errors import SubmissionError
from grading.readers.weights.checkpoint import parse_checkpoint
from tests.grading.corpus import SEED, saved

IMAGES = torch.randn(9, 1, 28, 28, generator=torch.Generator().manual_seed(SEED))


def answers(model):
    with torch.inference_mode():
        return model.eval()(IMAGES)


def trained_statistics(*layers, **named):
    """Layers that follow each other, with batch normalisations that have seen images."""
    torch.manual_seed(SEED)
    made = nn.Sequential(nn.Flatten(), *layers, *named.values())
    for _ in range(3):
        made.train()(2 * torch.rand(50, 784) - 1)
    return made.eval()


@pytest.mark.parametrize(
    "between",
    [
        (nn.BatchNorm1d(24), nn.ReLU()),
        (nn.BatchNorm1d(24), nn.ReLU(), nn.Dropout()),
        (nn.Dropout(), nn.BatchNorm1d(24), nn.ReLU()),
        (nn.ReLU(), nn.BatchNorm1d(24)),
        (nn.ReLU(), nn.Dropout(), nn.BatchNorm1d(24)),
    ],
)
def test_what_a_batch_normalisation_has_seen_says_where_relu_stands(between):
    made = trained_statistics(nn.Linear(784, 24), *between, nn.Linear(24, 10))
    found = parse_checkpoint(saved({f"net.{n}": t for n, t in made.state_dict().items()})).model
    torch.testing.assert_close(answers(found), answers(made))


OF_NO_CLASS = {
    "no biases": {
        "fc1": nn.Linear(784, 24, bias=False),
        "relu": nn.ReLU(),
        "fc2": nn.Linear(24, 10, bias=False),
    },
    "no biases before the normalisation": {
        "fc1": nn.Linear(784, 24, bias=False),
        "bn1": nn.BatchNorm1d(24),
        "relu": nn.ReLU(),
        "fc2": nn.Linear(24, 10),
    },
    "some are normalised": {
        "fc1": nn.Linear(784, 24),
        "bn1": nn.BatchNorm1d(24),
        "relu": nn.ReLU(),
        "fc2": nn.Linear(24, 20),
        "relu2": nn.ReLU(),
        "fc3": nn.Linear(20, 10),
    },
    "normalised after ReLU": {
        "fc1": nn.Linear(784, 24),
        "relu": nn.ReLU(),
        "bn1": nn.BatchNorm1d(24),
        "fc2": nn.Linear(24, 10),
    },
}


@pytest.mark.parametrize("name", OF_NO_CLASS)
def test_our_names_of_other_layers_are_a_chain_like_any(name):
    made = trained_statistics(**OF_NO_CLASS[name])
    state_dict = nn.ModuleDict(OF_NO_CLASS[name]).state_dict()
    for in_order in (state_dict, dict(sorted(state_dict.items(), reverse=True))):
        found = parse_checkpoint(saved(in_order))
        torch.testing.assert_close(answers(found.model), answers(made))
        assert found.is_guess


@pytest.mark.parametrize("name", ["fc1.weight", "net.first.weight"])
def test_what_is_wrong_is_named_as_in_the_file(name):
    other = name.replace("fc1", "fc2").replace("first", "second")
    weights = {name: torch.full((24, 784), torch.nan), other: torch.zeros(10, 24)}
    with pytest.raises(SubmissionError, match=f"^{name.removeprefix('net.')} holds values"):
        parse_checkpoint(saved(weights))
