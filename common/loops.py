"""The loops over batches: training for one epoch, measuring, predicting."""

import math
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from tqdm import tqdm

from common.data import LabelledImages
from common.errors import UserError
from common.normalization import normalize

# (logits [N, 10], targets [N]) -> mean loss, a scalar.
Criterion = Callable[[Tensor, Tensor], Tensor]


class Batches:
    """Mini-batches of a data set that lies in memory as a whole, on the device that computes.

    A tutorial's ``DataLoader`` decodes, converts and collates image by image, which costs several
    times the arithmetic of a small network. Here a batch is one indexing operation on the uint8
    images and one normalisation.

    Parameters
    ----------
    data : LabelledImages
    batch_size : int
        Images per batch; the last batch of a pass may be smaller.
    device : torch.device
        Where the data set is kept and the batches are made.
    generator : torch.Generator, optional
        Shuffles anew at each pass. Without it the order is that of the data.
    """

    def __init__(
        self,
        data: LabelledImages,
        batch_size: int,
        device: torch.device,
        generator: torch.Generator | None = None,
    ) -> None:
        self.images = data.images.to(device)
        self.targets = data.targets.to(device)
        # A larger batch is the same batch, and torch takes no number beyond 64 bits.
        self.batch_size = min(batch_size, max(1, len(data)))
        self.generator = generator

    @property
    def num_samples(self) -> int:
        """Images in a pass."""
        return len(self.targets)

    def __len__(self) -> int:
        return -(-self.num_samples // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield images (float32, [N, 1, 28, 28], normalised) and targets (int64, [N])."""
        if self.generator is None:
            order = torch.arange(self.num_samples)
        else:
            order = torch.randperm(self.num_samples, generator=self.generator)
        for indices in order.to(self.targets.device).split(self.batch_size):
            yield normalize(self.images[indices]), self.targets[indices]


class TrainingResult(NamedTuple):
    """One pass over the training images, measured while the weights changed and dropout was on."""

    loss: float
    accuracy: float  # percent
    learning_rate: float  # of the last step
    seconds: float


class ValidationResult(NamedTuple):
    """One pass over other images, with the weights at rest."""

    loss: float
    accuracy: float  # percent


def train_one_epoch(
    model: nn.Module,
    batches: Batches,
    criterion: Criterion,
    optimizer: Optimizer,
    epoch: int,
    scheduler_per_batch: LRScheduler | None = None,
) -> TrainingResult:
    """Update the weights once per batch, for one pass over the training images.

    Losses and hits stay tensors until the end of the pass: reading one (``loss.item()``) makes the
    processor wait for a GPU. The progress bar reads them only when it redraws, ten times a second.

    Raises
    ------
    UserError
        If the loss of a step was not finite; the message names epoch and step.
    """
    model.train()
    started = time.perf_counter()
    losses: list[Tensor] = []  # per step: sum over the images of the batch
    hits = torch.zeros((), dtype=torch.int64, device=batches.targets.device)
    seen = 0
    with tqdm(total=len(batches), desc=f"epoch {epoch}", disable=None, leave=False) as bar:
        for images, targets in batches:
            optimizer.zero_grad()
            logits = model(images)
            loss = criterion(logits, targets)
            loss.backward()
            optimizer.step()

            losses.append(loss.detach() * len(targets))
            hits += (logits.argmax(dim=1) == targets).sum()
            seen += len(targets)
            learning_rate = optimizer.param_groups[0]["lr"]
            if scheduler_per_batch is not None:
                scheduler_per_batch.step()
            if bar.update():
                bar.set_postfix_str(
                    f"loss {losses[-1].item() / len(targets):.4f}, "
                    f"accuracy {100 * hits.item() / seen:.2f} %, lr {learning_rate:.2g}",
                    refresh=False,
                )
    loss_sums = torch.stack(losses).cpu().double()
    _require_finite(loss_sums, epoch)
    return TrainingResult(
        loss=loss_sums.sum().item() / seen,
        accuracy=100 * hits.item() / seen,
        learning_rate=learning_rate,
        seconds=time.perf_counter() - started,
    )


def _require_finite(loss_sums: Tensor, epoch: int) -> None:
    broken = (~loss_sums.isfinite()).nonzero()
    if len(broken) > 0:
        step = int(broken[0]) + 1
        raise UserError(
            f"the loss is {loss_sums[step - 1].item()} at epoch {epoch}, step {step} of "
            f"{len(loss_sums)}: training diverged, try a lower --lr (the epochs before are saved)"
        )


@torch.inference_mode()
def evaluate(model: nn.Module, batches: Batches, criterion: Criterion) -> ValidationResult:
    """Measure loss and accuracy without changing the model (dropout off, running statistics).

    Raises
    ------
    UserError
        If the loss is not finite.
    """
    model.eval()
    losses: list[Tensor] = []
    hits = torch.zeros((), dtype=torch.int64, device=batches.targets.device)
    for images, targets in batches:
        logits = model(images)
        losses.append(criterion(logits, targets) * len(targets))
        hits += (logits.argmax(dim=1) == targets).sum()
    loss = torch.stack(losses).cpu().double().sum().item() / batches.num_samples
    if not math.isfinite(loss):
        raise UserError(
            f"the validation loss is {loss}: training diverged, try a lower --lr "
            "(the epochs before are saved)"
        )
    return ValidationResult(loss=loss, accuracy=100 * hits.item() / batches.num_samples)


@torch.inference_mode()
def predict_logits(model: nn.Module, batches: Batches) -> Tensor:
    """Return the logits of all images in the order of the data: float32 [N, 10], on the CPU."""
    model.eval()
    return torch.cat([model(images) for images, _ in batches]).cpu()
