"""The networks, held against the source explanation's own way of writing them."""

import contextlib
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from common import models
from common.checkpoints import TrainingState, load_checkpoint
from common.data.splits import describe
from common.layers import BatchNorm1d, Dropout, Linear, is_independent_of_threads
from common.loops import Batches, evaluate, train_one_epoch
from common.models import (
    ARCHITECTURES,
    ImprovedMNISTClassifier,
    MNISTClassifier,
    build_model,
    count_parameters,
    register,
)
from common.runs import Run
from common.support.errors import UserError
from common.support.processor import has_onednn
from own_runs.measure import Measured, Unmeasured, measure_run


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
    torch.testing.assert_close(model.eval()(images), reference.eval()(images))
    assert count_parameters(model) == count_parameters(reference)


@contextlib.contextmanager
def using_threads(number):
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


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


def test_dropout_of_any_shape_and_type_and_its_units_are_independent():
    torch.manual_seed(0)
    for shape in ((3,), (5, 7), (2, 1, 3)):  # 64 bits decide four values: these leave some over
        assert Dropout(0.5)(torch.ones(shape, dtype=torch.float64)).shape == shape
    assert Dropout(0.5)(torch.ones(4, dtype=torch.bfloat16)).dtype == torch.bfloat16
    dropped = (Dropout(0.4)(torch.ones(100_000, 4)) == 0).double()
    covariance = torch.cov(dropped.t())
    torch.testing.assert_close(covariance, 0.24 * torch.eye(4).double(), atol=0.005, rtol=0)


def test_dropout_is_seeded_and_off_in_evaluation():
    x = torch.ones(50, 50)
    layer = Dropout(0.5)
    first = [torch.manual_seed(7) and layer(x) for _ in range(2)]
    assert torch.equal(*first)
    assert torch.equal(layer.eval()(x), x)
    assert torch.equal(Dropout(0.0)(x), x)
    assert not Dropout(1.0)(x).any()


class PlainNetwork(nn.Module):
    """A network of one's own, as a student would write it."""

    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(784, 32)
        self.output = nn.Linear(32, 10)

    def forward(self, images):
        return self.output(torch.tanh(self.hidden(images.flatten(1))))


class SizedNetwork(PlainNetwork):
    """One that cannot be built without arguments, and so records them."""

    def __init__(self, units):
        super().__init__()
        self.hidden, self.output = nn.Linear(784, units), nn.Linear(units, 10)
        self.model_args = {"units": units}


def trained(network, train_images, folder):
    """Train for an epoch on 2,000 images and validate on 500, as the scripts do."""
    train = train_images.select(np.arange(2000))
    val = train_images.select(np.arange(2000, 2500))
    batches = Batches(train, 50, torch.device("cpu"), torch.Generator().manual_seed(0))
    val_batches = Batches(val, 500, torch.device("cpu"))
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 10)
    state = TrainingState(network, optimizer, schedule, batches)
    with Run(folder, state, criterion, describe(train_images, train, val), 1, seed=0) as run:
        for epoch in run.epochs():
            result = train_one_epoch(network, batches, criterion, optimizer, epoch)
            run.finish_epoch(result, evaluate(network, val_batches, criterion))
        run.finish(val_batches)
    return folder


@pytest.mark.parametrize("build", [PlainNetwork, lambda: SizedNetwork(24)])
def test_network_of_ones_own_is_trained_saved_loaded_and_measured(
    train_images, test_images, tmp_path, monkeypatch, build
):
    """It takes a registered class, with ``model_args`` if it needs arguments, and nothing else."""
    torch.manual_seed(0)
    network = build()
    monkeypatch.setitem(ARCHITECTURES, type(network).__name__, type(network))
    folder = trained(network, train_images, tmp_path / "own")
    loaded = load_checkpoint(folder / "checkpoint.pth")
    images = torch.randn(5, 1, 28, 28)
    assert torch.equal(loaded.model(images), network.eval()(images))
    batches = Batches(test_images, 1000, torch.device("cpu"))
    measured = measure_run(folder, test_images, batches, Fraction(70))
    assert isinstance(measured, Measured), measured.row["reason"]
    assert measured.row["status"] == "pass"
    assert measured.row["architecture"] == type(network).__name__


def test_network_that_is_not_registered_is_named_with_what_to_do(
    train_images, test_images, tmp_path
):
    folder = trained(PlainNetwork(), train_images, tmp_path / "own")
    with pytest.raises(UserError, match=r"PlainNetwork, which is not registered: it has"):
        load_checkpoint(folder / "checkpoint.pth")
    batches = Batches(test_images, 1000, torch.device("cpu"))
    measured = measure_run(folder, test_images, batches, Fraction(90))
    assert isinstance(measured, Unmeasured)
    assert "PlainNetwork, which is not registered" in measured.row["reason"]


def test_register_keeps_the_class_under_its_name(monkeypatch):
    monkeypatch.setattr("common.models.ARCHITECTURES", {})
    assert register(PlainNetwork) is PlainNetwork
    assert {"PlainNetwork": PlainNetwork} == models.ARCHITECTURES


def test_batch_norm_has_the_results_of_torchs_own_on_one_thread():
    torch.manual_seed(0)
    inputs = torch.randn(64, 512)
    found = []
    for layer, threads in ((BatchNorm1d(512), 4), (nn.BatchNorm1d(512), 1)):
        x = inputs.clone().requires_grad_()
        with using_threads(threads):
            y = layer(x)
            (y * inputs.flip(0)).sum().backward()
            assert torch.get_num_threads() == threads
        found.append([y, x.grad, layer.weight.grad, layer.running_var, layer.eval()(x)])
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(*found, strict=True))


def test_what_depends_on_the_number_of_threads_is_known():
    assert is_independent_of_threads(ImprovedMNISTClassifier(), 4096) == has_onednn()
    for network in (MNISTClassifier(hidden_sizes=(2000,)), nn.Linear(4, 4), nn.Conv2d(1, 8, 3)):
        assert not is_independent_of_threads(network, 64)
    assert not is_independent_of_threads(nn.Sequential(Linear(4, 4), nn.BatchNorm1d(4)), 64)
    assert not is_independent_of_threads(MNISTClassifier(), 5000)


def test_linear_layer_is_torchs_own_but_for_rounding():
    """Values, gradients, and where oneDNN does not multiply: other types and shapes."""
    torch.manual_seed(0)
    ours, theirs = Linear(784, 30), nn.Linear(784, 30)
    theirs.load_state_dict(ours.state_dict())
    for dtype, tolerance in ((torch.float64, 0.0), (torch.float32, 1e-4)):
        inputs, found = torch.randn(64, 784, dtype=dtype), []
        for layer in (ours.to(dtype), theirs.to(dtype)):
            layer.zero_grad()
            x = inputs.clone().requires_grad_()
            y = layer(x)
            (y * torch.linspace(-1, 1, 30, dtype=dtype)).sum().backward()
            found.append([y, x.grad, layer.weight.grad, layer.bias.grad])
        for one, other in zip(*found, strict=True):
            assert (one - other).abs().max() <= tolerance
    with torch.autocast("cpu", torch.bfloat16):
        assert ours(torch.randn(4, 784)).dtype == torch.bfloat16
    assert ours(torch.randn(2, 32, 784)).shape == (2, 32, 30)
    without_bias = Linear(784, 3, bias=False)
    without_bias(torch.randn(5, 784)).sum().backward()
    assert without_bias.weight.grad.shape == (3, 784)
