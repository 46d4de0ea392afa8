"""The loops over batches: train for one epoch, evaluate, predict."""

import math
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from tqdm.auto import tqdm

from common.data.arrays import LabelledImages
from common.models import ExponentialMovingAverage
from common.support.distributed import is_main_process, sum_over_ranks
from common.support.errors import UserError
from common.transforms import Distortions, normalize

# (logits [N, C], targets [N]) -> mean loss, a scalar.
Criterion = Callable[[Tensor, Tensor], Tensor]

# What an interrupted epoch continues from.
_MEASURED = ("losses", "correct", "seen", "learning_rate", "seconds")


class Batches:
    """Mini-batches of images that are held in memory, on the training device.

    A tutorial's ``DataLoader`` works image by image, which costs several times the arithmetic of a
    small network. Here the images are normalised once, and a batch is one indexing operation.
    Images that are distorted stay uint8 until then: each batch of them is made anew.

    A generator shuffles anew for each pass; without it the order is that of the data. The last
    batch of a pass may be smaller than ``batch_size``, the images of a batch over all ranks. Each
    rank gets every ``world_size``-th image of a batch, from the one at ``rank``. All get equally
    many, so that the mean of their gradients is the gradient of the batch: up to ``world_size - 1``
    images of a pass, others each time, are left out for that.

    Raises UserError if a batch cannot be divided equally over the ranks.
    """

    def __init__(
        self,
        data: LabelledImages,
        batch_size: int,
        device: torch.device,
        generator: torch.Generator | None = None,
        distort: Distortions | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if batch_size % world_size:
            raise UserError(
                f"--batch-size {batch_size} cannot be divided equally over {world_size} "
                "processes: give a multiple of their number"
            )
        if 0 < len(data) < world_size:
            raise UserError(f"{len(data)} images cannot be divided over {world_size} processes")
        self.rank, self.world_size = rank, world_size
        self.targets = torch.tensor(data.targets, device=device)
        self.normalization = data.dataset.normalization
        self.classes = data.dataset.classes
        self.batch_size = batch_size
        self.generator = generator
        self.distort = distort
        pixels = torch.tensor(data.images, device=device)
        self.images = pixels if distort else normalize(pixels, self.normalization)
        # torch takes no number beyond 64 bits, and a larger batch is the same batch.
        self._step = min(batch_size, max(1, self.num_samples))
        self._position = 0  # batches of this pass that were yielded
        self._skip = 0  # batches of the next pass that an earlier process has trained on
        self._order_from: Tensor | None = None  # the generator's state before this pass

    @property
    def num_samples(self) -> int:
        """Images in a pass, over all ranks."""
        return len(self.targets) // self.world_size * self.world_size

    @property
    def smallest(self) -> int:
        """Images of one rank in the smallest batch."""
        return (self.num_samples % self._step or self._step) // self.world_size

    def __len__(self) -> int:
        return -(-self.num_samples // self._step)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield images (float32, [N, 1, side, side], normalised) and targets (int64, [N])."""
        start, self._skip = self._skip, 0
        if self.generator is None:
            order = torch.arange(len(self.targets))
        else:
            self._order_from = self.generator.get_state()
            order = torch.randperm(len(self.targets), generator=self.generator)
        order = order[: self.num_samples].to(self.targets.device)
        indices_of_batches = order.split(self._step)[start:]
        for self._position, batch in enumerate(indices_of_batches, start=start + 1):
            indices = batch[self.rank :: self.world_size]
            # index_select copies whole images; self.images[indices] would cost ten times as much.
            images = self.images.index_select(0, indices)
            if self.distort is not None:
                images = normalize(self.distort(images), self.normalization)
            yield images, self.targets.index_select(0, indices)
        self._position, self._order_from = 0, None

    def state_dict(self) -> dict[str, Any]:
        """Return the position in this pass, and the generator's state that fixes its order."""
        generator = self.generator.get_state() if self.generator else None
        return {
            "position": self._position,
            "generator": generator if self._order_from is None else self._order_from,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Let the next pass be the rest of the one that ``state_dict`` was taken in."""
        if self.generator is not None:
            self.generator.set_state(state_dict["generator"])
        self._skip = self._position = state_dict["position"]
        self._order_from = state_dict["generator"]


class TrainingResult(NamedTuple):
    """One pass over the training images, measured while the weights changed and dropout was on."""

    loss: float
    correct: int
    total: int
    learning_rate: float  # of the last step
    seconds: float


class ValidationResult(NamedTuple):
    """One pass over other images, with fixed weights."""

    loss: float
    correct: int
    total: int


class Progress:
    """What the steps of an epoch have measured so far.

    ``after_step`` is called at the end of each step: the moment to save, or to stop.
    """

    def __init__(self, after_step: Callable[[], None] | None = None) -> None:
        self.after_step = after_step
        self.losses = torch.empty(0)  # of each counted step, summed over its images: float32, CPU
        self.correct = self.seen = 0
        self.learning_rate = self.seconds = 0.0
        # Steps that are not counted yet: loss, logits and targets of each.
        self._waiting: list[tuple[Tensor, Tensor, Tensor]] = []

    def add(self, loss: Tensor, logits: Tensor, targets: Tensor, learning_rate: float) -> None:
        """Add a step, without waiting for the device to finish it."""
        self._waiting.append((loss.detach(), logits.detach(), targets))
        self.learning_rate = learning_rate
        if self.after_step is not None:
            self.after_step()

    def count(self) -> None:
        """Count the steps that were added, all at once: that is cheaper than step by step."""
        if not self._waiting:
            return
        losses, logits, targets = zip(*self._waiting, strict=True)
        self._waiting = []
        sizes = torch.tensor([len(batch) for batch in targets])
        self.losses = torch.cat([self.losses, torch.stack(losses).cpu() * sizes])
        self.correct += int((torch.cat(logits).argmax(dim=1) == torch.cat(targets)).sum())
        self.seen += int(sizes.sum())

    def totals(self) -> tuple[Tensor, int, int]:
        """Return loss sums (float64 [steps]), correct answers and images, over all ranks."""
        self.count()
        counts = torch.tensor([self.correct, self.seen], dtype=torch.float64)
        sums = sum_over_ranks(torch.cat([self.losses.double(), counts]))
        correct, seen = sums[-2:].tolist()
        return sums[:-2], int(correct), int(seen)

    def state_dict(self) -> dict[str, Any]:
        """Return the measurements as tensors and plain values."""
        self.count()
        return {name: getattr(self, name) for name in _MEASURED}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a saved state, which rank 0 counts for all ranks."""
        for name in _MEASURED:
            setattr(self, name, state_dict[name])
        if not is_main_process():
            self.losses, self.correct, self.seen = self.losses * 0, 0, 0


def train_one_epoch(
    model: nn.Module,
    batches: Batches,
    criterion: Criterion,
    optimizer: Optimizer,
    epoch: int,
    scheduler_per_batch: LRScheduler | None = None,
    progress: Progress | None = None,
    average: ExponentialMovingAverage | None = None,
) -> TrainingResult:
    """Update the weights once per batch, for one pass over the training images.

    Losses and logits are read at the end of the pass, since reading one makes the processor wait
    for a GPU. The progress bar reads them when it redraws, ten times a second. If ``progress`` is
    that of an interrupted pass, this one does the rest.

    Raises UserError if the loss of a step was not finite; the message names epoch and step.
    """
    model.train()
    progress = progress or Progress()
    started = time.perf_counter() - progress.seconds
    done = len(progress.losses)
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
            progress.add(loss, logits, targets, learning_rate)
            if bar.update():
                progress.count()
                accuracy = 100 * progress.correct / progress.seen
                text = f"loss {loss.item():.4f}, accuracy {accuracy:.2f} %, lr {learning_rate:.2g}"
                bar.set_postfix_str(text, refresh=False)
    loss_sums, correct, total = progress.totals()
    if not loss_sums.isfinite().all():
        step = int((~loss_sums.isfinite()).nonzero()[0]) + 1
        raise UserError(
            f"the loss is {loss_sums[step - 1].item()} at epoch {epoch}, step {step} of "
            f"{len(loss_sums)}: training diverged, try a lower --lr (the epochs before are saved)"
        )
    mean_loss, seconds = loss_sums.sum().item() / total, time.perf_counter() - started
    return TrainingResult(mean_loss, correct, total, progress.learning_rate, seconds)


@torch.inference_mode()
def evaluate(model: nn.Module, batches: Batches, criterion: Criterion) -> ValidationResult:
    """Measure loss and accuracy with dropout off and batch normalisation by running statistics.

    Raises UserError if the loss is not finite.
    """
    model.eval()
    losses: list[Tensor] = []
    correct = torch.zeros((), dtype=torch.int64, device=batches.targets.device)
    for images, targets in batches:
        logits = model(images)
        losses.append(criterion(logits, targets) * len(targets))
        correct += (logits.argmax(dim=1) == targets).sum()
    loss = torch.stack(losses).cpu().double().sum().item() / batches.num_samples
    if not math.isfinite(loss):
        raise UserError(
            f"the validation loss is {loss}: training diverged, try a lower --lr "
            "(the epochs before are saved)"
        )
    return ValidationResult(loss, int(correct), batches.num_samples)


@torch.inference_mode()
def predict_logits(model: nn.Module, batches: Batches) -> Tensor:
    """Return the logits of all images in the order of the data: float32 [N, C], on the CPU."""
    model.eval()
    return torch.cat([model(images) for images, _ in batches]).cpu()
