"""The loops over batches: training for one epoch, measuring, predicting."""

import math
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from tqdm import tqdm

from common import ranks
from common.augment import Distortions
from common.averaging import WeightAverage
from common.data import LabelledImages
from common.errors import UserError
from common.normalization import normalize
from common.ranks import ALL, Share

# (logits [N, C], targets [N]) -> mean loss, a scalar.
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
    distort : Distortions, optional
        Distorts the images of each batch before they are normalised.
    share : Share
        What of each batch is yielded. All shares of a batch are equal, so that the mean of their
        gradients is the gradient of the batch: up to ``number - 1`` images of a pass, others each
        time, are left out for that.

    Raises
    ------
    UserError
        If a batch cannot be shared out equally.
    """

    def __init__(
        self,
        data: LabelledImages,
        batch_size: int,
        device: torch.device,
        generator: torch.Generator | None = None,
        distort: Distortions | None = None,
        share: Share = ALL,
    ) -> None:
        if batch_size % share.number:
            raise UserError(
                f"--batch-size {batch_size} cannot be shared out equally over {share.number} "
                "processes: give a multiple of their number"
            )
        if 0 < len(data) < share.number:
            raise UserError(
                f"{len(data)} images cannot be shared out over {share.number} processes"
            )
        self.share = share
        self.images = data.images.to(device)
        self.targets = data.targets.to(device)
        self.normalization = data.normalization
        self.distort = distort
        # A larger batch is the same batch, and torch takes no number beyond 64 bits.
        self.batch_size = min(batch_size, max(1, self.num_samples))
        self.generator = generator
        self._position = 0  # batches of the pass under way that were yielded
        self._skip = 0  # batches of the next pass that an earlier process has had
        self._order_from: Tensor | None = None  # the generator's state before that pass

    @property
    def num_samples(self) -> int:
        """Images in a pass, over all shares."""
        return len(self.targets) // self.share.number * self.share.number

    @property
    def smallest(self) -> int:
        """Images in the smallest batch or share of one that is yielded."""
        return (self.num_samples % self.batch_size or self.batch_size) // self.share.number

    def __len__(self) -> int:
        return -(-self.num_samples // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield images (float32, [N, 1, side, side], normalised) and targets (int64, [N])."""
        start, self._skip = self._skip, 0
        if self.generator is None:
            order = torch.arange(len(self.targets))
        else:
            self._order_from = self.generator.get_state()
            order = torch.randperm(len(self.targets), generator=self.generator)
        order = order[: self.num_samples].to(self.targets.device)
        indices_of_batches = order.split(self.batch_size)[start:]
        for self._position, batch in enumerate(indices_of_batches, start=start + 1):
            indices = batch[self.share.rank :: self.share.number]
            images = self.images[indices]
            if self.distort is not None:
                images = self.distort(images)
            yield normalize(images, self.normalization), self.targets[indices]
        self._position, self._order_from = 0, None

    def state_dict(self) -> dict[str, Any]:
        """Return where the pass under way stands; between two passes, at the start of the next.

        The order is a function of the generator's state before the pass, so that and a number say
        it all.
        """
        generator = self.generator.get_state() if self.generator else None
        return {
            "position": self._position,
            "generator": generator if self._order_from is None else self._order_from,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Let the next pass be the rest of the one that ``state_dict`` stands in."""
        if self.generator is not None:
            self.generator.set_state(state_dict["generator"])
        self._skip = self._position = state_dict["position"]
        self._order_from = state_dict["generator"]


class TrainingResult(NamedTuple):
    """One pass over the training images, measured while the weights changed and dropout was on."""

    loss: float
    accuracy: float  # percent
    learning_rate: float  # of the last step
    seconds: float


class Progress:
    """What the steps of the epoch under way have measured so far.

    ``after_step`` is called at the end of each of them: the moment to save, or to stop.
    """

    def __init__(self, after_step: Callable[[], None] | None = None) -> None:
        self.after_step = after_step
        self.earlier_losses = torch.empty(0)  # of steps that an earlier process did
        self.losses: list[Tensor] = []  # per step: the sum over the images of the batch
        self.hits: Tensor | int = 0
        self.seen = 0
        self.learning_rate = 0.0
        self.seconds = 0.0

    def finish_step(
        self, loss: Tensor, logits: Tensor, targets: Tensor, learning_rate: float
    ) -> None:
        """Count a step, without waiting for the device that computes it."""
        self.losses.append(loss.detach() * len(targets))
        self.hits += (logits.argmax(dim=1) == targets).sum()
        self.seen += len(targets)
        self.learning_rate = learning_rate
        if self.after_step is not None:
            self.after_step()

    def loss_sums(self) -> Tensor:
        """Return the losses of all steps so far: float32 [steps], on the CPU."""
        if not self.losses:
            return self.earlier_losses
        return torch.cat([self.earlier_losses, torch.stack(self.losses).cpu()])

    def accuracy(self) -> float:
        """Return the percentage of the images so far that were recognised."""
        return 100 * int(self.hits) / self.seen

    def totals(self) -> tuple[Tensor, int, int]:
        """Return losses as ``loss_sums`` (float64), hits and images, over all ranks."""
        counts = torch.tensor([int(self.hits), self.seen], dtype=torch.float64)
        sums = ranks.total(torch.cat([self.loss_sums().double(), counts]))
        hits, seen = sums[-2:].tolist()
        return sums[:-2], int(hits), int(seen)

    def state_dict(self) -> dict[str, Any]:
        """Return the figures as tensors and plain values."""
        return {
            "losses": self.loss_sums(),
            "hits": int(self.hits),
            "seen": self.seen,
            "learning_rate": self.learning_rate,
            "seconds": self.seconds,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with figures that ``state_dict`` returned; the first rank counts them for all."""
        self.earlier_losses = state_dict["losses"]
        self.hits, self.seen = state_dict["hits"], state_dict["seen"]
        self.learning_rate, self.seconds = state_dict["learning_rate"], state_dict["seconds"]
        if not ranks.is_first():
            self.earlier_losses, self.hits, self.seen = self.earlier_losses * 0, 0, 0


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
    progress: Progress | None = None,
    average: WeightAverage | None = None,
) -> TrainingResult:
    """Update the weights once per batch, for one pass over the training images.

    Losses and hits stay tensors until the end of the pass: reading one (``loss.item()``) makes the
    processor wait for a GPU. The progress bar reads them only when it redraws, ten times a second.
    With the ``progress`` that an interrupted pass has made, this one does the rest of it. An
    ``average`` takes the weights in after each step.

    Raises
    ------
    UserError
        If the loss of a step was not finite; the message names epoch and step.
    """
    model.train()
    progress = progress or Progress()
    started = time.perf_counter() - progress.seconds
    done = len(progress.earlier_losses)
    with tqdm(
        total=len(batches), initial=done, desc=f"epoch {epoch}", disable=None, leave=False
    ) as bar:
        for images, targets in batches:
            optimizer.zero_grad()
            logits = model(images)
            loss = criterion(logits, targets)
            loss.backward()
            optimizer.step()

            if average is not None:
                average.update_parameters(model)
            learning_rate = optimizer.param_groups[0]["lr"]
            if scheduler_per_batch is not None:
                scheduler_per_batch.step()
            progress.seconds = time.perf_counter() - started
            progress.finish_step(loss, logits, targets, learning_rate)
            if bar.update():
                bar.set_postfix_str(
                    f"loss {loss.item():.4f}, accuracy {progress.accuracy():.2f} %, "
                    f"lr {learning_rate:.2g}",
                    refresh=False,
                )
    loss_sums, hits, seen = progress.totals()
    _require_finite(loss_sums, epoch)
    return TrainingResult(
        loss=loss_sums.sum().item() / seen,
        accuracy=100 * hits / seen,
        learning_rate=progress.learning_rate,
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
    """Return the logits of all images in the order of the data: float32 [N, C], on the CPU."""
    model.eval()
    return torch.cat([model(images) for images, _ in batches]).cpu()
