"""The loops, held against the plain loop of a tutorial on real images."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from sklearn.metrics import accuracy_score, log_loss
from torch import nn, optim
from torch.utils.data import DataLoader

from common.checkpoints import TrainingState
from common.loops import Batches, TrainingResult, evaluate, predict_logits, train_one_epoch
from common.metrics import fit_temperature
from common.models import ImprovedMNISTClassifier, MNISTClassifier
from common.runs import Run
from common.support.errors import UserError
from common.transforms import train_transform

CPU = torch.device("cpu")


@pytest.fixture
def few(train_images):
    return train_images.select(np.arange(1000))


@pytest.mark.parametrize("network", [MNISTClassifier, ImprovedMNISTClassifier])
def test_one_epoch_equals_the_tutorials_loop(few, network):
    """Same images, order, dropout and steps, through PIL transforms and a DataLoader."""
    torch.manual_seed(0)
    ours = network()
    theirs = network()
    theirs.load_state_dict(ours.state_dict())
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1)

    optimizer = optim.Adam(ours.parameters(), lr=1e-3)
    batches = Batches(few, 64, CPU, generator=torch.Generator().manual_seed(5))
    torch.manual_seed(1)
    result = train_one_epoch(ours, batches, criterion, optimizer, epoch=1)

    order = torch.randperm(len(few), generator=torch.Generator().manual_seed(5)).tolist()
    dataset = [
        (train_transform(Image.fromarray(few.images[i])), int(few.targets[i])) for i in order
    ]
    optimizer = optim.Adam(theirs.parameters(), lr=1e-3)
    theirs.train()
    torch.manual_seed(1)
    running_loss, correct = 0.0, 0
    # A loader draws a seed from the global generator; one of its own keeps the dropout the same.
    for images, targets in DataLoader(dataset, batch_size=64, generator=torch.Generator()):
        optimizer.zero_grad()
        logits = theirs(images)
        loss = criterion(logits, targets)
        loss.backward()
        optimizer.step()
        running_loss += loss.item() * len(targets)
        correct += (logits.argmax(dim=1) == targets).sum().item()

    for name, tensor in ours.state_dict().items():
        assert torch.equal(tensor, theirs.state_dict()[name]), name
    assert result.loss == pytest.approx(running_loss / 1000)
    assert (result.correct, result.total) == (correct, 1000)
    assert result.learning_rate == 1e-3


def test_schedule_per_batch_moves_once_a_step(few):
    model = MNISTClassifier(hidden_sizes=(8,))
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    batches = Batches(few, 100, CPU, generator=torch.Generator())
    schedule = optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
    result = train_one_epoch(model, batches, F.cross_entropy, optimizer, 1, schedule)
    assert result.learning_rate == pytest.approx(0.1 * 0.5**9)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.1 * 0.5**10)


def test_measuring_agrees_with_scikit_learn_and_changes_nothing(few):
    torch.manual_seed(0)
    model = ImprovedMNISTClassifier(hidden_sizes=(32, 16))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    batches = Batches(few, 64, CPU)
    result = evaluate(model, batches, nn.CrossEntropyLoss())
    logits = predict_logits(model, batches)
    assert logits.shape == (1000, 10)
    assert result.correct == 1000 * accuracy_score(few.targets, logits.argmax(1))
    probabilities = logits.double().softmax(dim=1)
    assert result.loss == pytest.approx(log_loss(few.targets, probabilities), rel=1e-5)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_shuffled_batches_hold_each_image_once_in_a_new_order_each_pass(few):
    batches = Batches(few, 64, CPU, generator=torch.Generator().manual_seed(0))
    assert len(batches) == 16
    passes = [torch.cat([images for images, _ in batches]).sum(dim=(1, 2, 3)) for _ in range(2)]
    assert not torch.equal(*passes)
    assert torch.equal(*(sums.sort().values for sums in passes))
    sizes = [len(targets) for _, targets in batches]
    assert sizes == [64] * 15 + [40]


def test_batch_larger_than_the_data_is_all_of_it(few):
    (batch,) = Batches(few, 10**30, CPU)
    assert len(batch[1]) == 1000


def test_weights_that_are_not_finite_are_not_saved(few, tmp_path):
    model = MNISTClassifier(hidden_sizes=(8,))
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    schedule = optim.lr_scheduler.StepLR(optimizer, step_size=1)
    state = TrainingState(model, optimizer, schedule, Batches(few, 64, CPU))
    run = Run(tmp_path, state, nn.CrossEntropyLoss(), {"val_size": 0}, epochs=1, seed=0)
    nn.init.constant_(model.fc1.bias, float("inf"))
    with pytest.raises(UserError, match="weights are not finite after epoch 1"):
        run.finish_epoch(TrainingResult(1.0, 100, 1000, 0.1, 1.0), validation=None)
    assert not list(tmp_path.iterdir())


def test_loss_that_is_not_finite_names_the_first_such_step(few):
    model = MNISTClassifier(hidden_sizes=(8,), dropout_rate=0)
    steps = iter(range(100))

    def criterion(logits, targets):
        loss = F.cross_entropy(logits, targets)
        return loss * (float("inf") if next(steps) == 4 else 1)

    optimizer = optim.SGD(model.parameters(), lr=0.01)
    with pytest.raises(UserError, match="loss is inf at epoch 7, step 5 of 10"):
        train_one_epoch(model, Batches(few, 100, CPU), criterion, optimizer, epoch=7)


def test_validation_loss_that_is_not_finite_is_refused(few):
    model = MNISTClassifier(hidden_sizes=(8,))
    nn.init.constant_(model.fc2.bias, float("nan"))
    with pytest.raises(UserError, match="validation loss is nan"):
        evaluate(model, Batches(few, 100, CPU), F.cross_entropy)


@pytest.mark.parametrize("true_temperature", [0.5, 1.0, 3.0])
def test_temperature_is_found_as_by_a_grid_search(true_temperature):
    generator = torch.Generator().manual_seed(0)
    calibrated = 2 * torch.randn(5000, 10, generator=generator)
    targets = torch.multinomial(calibrated.softmax(1), 1, generator=generator).squeeze(1)
    logits = calibrated * true_temperature
    best, width = 2.15, 1.85  # from 0.3 to 4, then around the best of each grid before
    for _ in range(3):
        grid = torch.linspace(best - width, best + width, 38, dtype=torch.float64)
        losses = [F.cross_entropy(logits.double() / t, targets) for t in grid]
        best, width = grid[torch.stack(losses).argmin()].item(), width / 18
    assert fit_temperature(logits.numpy(), targets.numpy()) == pytest.approx(best, abs=0.001)
