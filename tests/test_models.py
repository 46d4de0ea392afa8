"""The networks, held against the source explanation's own way of writing them."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from common.models import (
    Dropout,
    ImprovedMNISTClassifier,
    MNISTClassifier,
    build_model,
    count_parameters,
)


class SeedBase(nn.Module):
    """The base network as the explanation writes it, layer by layer."""

    def __init__(self):
        super().__init__()
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear(784, 512)
        self.dropout1 = nn.Dropout(0.3)
        self.fc2 = nn.Linear(512, 256)
        self.dropout2 = nn.Dropout(0.3)
        self.fc3 = nn.Linear(256, 128)
        self.dropout3 = nn.Dropout(0.3)
        self.fc4 = nn.Linear(128, 10)

    def forward(self, x):
        x = self.flatten(x)
        x = self.dropout1(F.relu(self.fc1(x)))
        x = self.dropout2(F.relu(self.fc2(x)))
        x = self.dropout3(F.relu(self.fc3(x)))
        return self.fc4(x)


class SeedImproved(nn.Module):
    """The improved network as the explanation writes it, layer by layer."""

    def __init__(self):
        super().__init__()
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear(784, 1024)
        self.bn1 = nn.BatchNorm1d(1024)
        self.dropout1 = nn.Dropout(0.4)
        self.fc2 = nn.Linear(1024, 512)
        self.bn2 = nn.BatchNorm1d(512)
        self.dropout2 = nn.Dropout(0.4)
        self.fc3 = nn.Linear(512, 256)
        self.bn3 = nn.BatchNorm1d(256)
        self.dropout3 = nn.Dropout(0.4)
        self.fc4 = nn.Linear(256, 128)
        self.bn4 = nn.BatchNorm1d(128)
        self.dropout4 = nn.Dropout(0.4)
        self.fc5 = nn.Linear(128, 10)

    def forward(self, x):
        x = self.flatten(x)
        x = self.dropout1(F.relu(self.bn1(self.fc1(x))))
        x = self.dropout2(F.relu(self.bn2(self.fc2(x))))
        x = self.dropout3(F.relu(self.bn3(self.fc3(x))))
        x = self.dropout4(F.relu(self.bn4(self.fc4(x))))
        return self.fc5(x)


@pytest.mark.parametrize(
    ("seed_class", "ours"),
    [(SeedBase, MNISTClassifier), (SeedImproved, ImprovedMNISTClassifier)],
)
def test_state_dict_of_the_explanation_loads_and_gives_the_same_logits(seed_class, ours):
    torch.manual_seed(0)
    reference = seed_class()
    images = torch.randn(32, 1, 28, 28)
    reference(images)  # moves the running statistics off their starting values
    model = ours()
    model.load_state_dict(reference.state_dict(), strict=True)
    assert torch.equal(model.eval()(images), reference.eval()(images))
    assert count_parameters(model) == count_parameters(reference)


def test_base_forward_written_out():
    torch.manual_seed(0)
    model = MNISTClassifier(hidden_sizes=(6, 5), dropout_rate=0.5).eval()
    x = torch.randn(4, 784)
    hidden = (x @ model.fc1.weight.T + model.fc1.bias).clamp(min=0)
    hidden = (hidden @ model.fc2.weight.T + model.fc2.bias).clamp(min=0)
    logits = hidden @ model.fc3.weight.T + model.fc3.bias
    torch.testing.assert_close(model(x.view(4, 1, 28, 28)), logits)


@pytest.mark.parametrize("architecture", ["MNISTClassifier", "ImprovedMNISTClassifier"])
def test_registry_rebuilds_from_name_and_args(architecture):
    args = {"hidden_sizes": [20, 15, 11], "dropout_rate": 0.1}
    model = build_model(architecture, args)
    rebuilt = build_model(type(model).__name__, model.model_args)
    rebuilt.load_state_dict(model.state_dict())
    assert [m.out_features for m in rebuilt.modules() if isinstance(m, nn.Linear)] == [
        20,
        15,
        11,
        10,
    ]
    assert {m.p for m in rebuilt.modules() if isinstance(m, nn.Dropout)} == {0.1}


@pytest.mark.parametrize("network", [MNISTClassifier, ImprovedMNISTClassifier])
def test_weights_start_as_xavier_says(network):
    torch.manual_seed(0)
    for layer in (m for m in network().modules() if isinstance(m, nn.Linear)):
        bound = math.sqrt(6 / (layer.in_features + layer.out_features))
        assert layer.weight.abs().max() <= bound
        assert layer.weight.abs().max() > 0.98 * bound
        assert layer.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05)
        assert not layer.bias.any()


def test_dropout_keeps_the_right_share_and_the_expectation():
    torch.manual_seed(0)
    x = torch.ones(1000, 1000, requires_grad=True)
    y = Dropout(0.3)(x)
    # Five standard deviations of the share among a million values.
    assert (y == 0).float().mean().item() == pytest.approx(0.3, abs=5 * math.sqrt(0.21e-6))
    torch.testing.assert_close(y[y > 0].unique(), torch.tensor([1 / 0.7]))
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())


def test_dropout_is_seeded_and_off_in_evaluation():
    x = torch.ones(50, 50)
    layer = Dropout(0.5)
    first = [torch.manual_seed(7) and layer(x) for _ in range(2)]
    assert torch.equal(*first)
    assert torch.equal(layer.eval()(x), x)
    assert torch.equal(Dropout(0.0)(x), x)
    assert not Dropout(1.0)(x).any()
