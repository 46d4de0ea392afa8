"""Time one training epoch on all 60,000 images: the tutorial's loop, this project's, a lower bound.

- tutorial: torchvision's dataset with PIL transforms, a DataLoader with two workers, torch's own
  dropout, an optimizer that is not fused, and ``loss.item()`` at every step;
- project: ``common.loops`` with the same network, loss, optimizer settings and batch size;
- floor: the lower bound, only the matrix products of the epoch (forward, weight and input
  gradients);
- saving: the write after each epoch that lets a training resume, as a share of the epoch.

A second table has the parts of a step, measured by adding one part at a time
(``bench.speed.parts``).

All of them take turns in each round, so that a slow moment of a shared machine affects all of them;
the ratios are those of the fastest rounds. Prints tables, and writes JSON with --output.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn, optim
from torch.utils.data import DataLoader
from torchvision import datasets
from tqdm import tqdm

from bench.speed.parts import PARTS, Parts, Recipe, cumulative_steps, matrix_products
from common.checkpoints import TrainingState
from common.data.arrays import LabelledImages, load_split
from common.data.catalog import MNIST, MNIST_SPEC
from common.loops import Batches, train_one_epoch
from common.models import ImprovedMNISTClassifier, MNISTClassifier
from common.support.cli import ArgumentParser, run_script
from common.support.environment import describe_environment
from common.support.errors import ALL_PASSED, require_positive
from common.support.files import write_json
from common.transforms import train_transform

BATCH_SIZE = 64
PART_STEPS = 200
CPU = torch.device("cpu")

Ways = dict[str, Callable[[], object]]
# Of each round, by recipe and by way or part.
Seconds = dict[str, dict[str, list[float]]]


def base() -> Parts:
    """Return network, loss, optimizer class and its settings, as train_base.py has them."""
    return MNISTClassifier(), nn.CrossEntropyLoss(), optim.Adam, {"lr": 1e-3, "weight_decay": 1e-4}


def improved() -> Parts:
    """Return network, loss, optimizer class and its settings, as train_improved.py has them."""
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
    return ImprovedMNISTClassifier(), criterion, optim.AdamW, {"lr": 1e-3, "weight_decay": 1e-3}


RECIPES: dict[str, Recipe] = {"base": base, "improved": improved}


def tutorial_epoch(recipe: Recipe, data_dir: Path) -> None:
    """Train for one epoch as tutorials do."""
    model, criterion, optimizer_class, settings = recipe()
    model = with_own_layers_of_torch(model)
    optimizer = optimizer_class(model.parameters(), **settings)
    dataset = datasets.MNIST(str(data_dir), train=True, transform=train_transform)
    loader = DataLoader(dataset, batch_size=BATCH_SIZE, shuffle=True, num_workers=2)
    model.train()
    running_loss, correct, total = 0.0, 0, 0
    for images, targets in tqdm(loader, disable=None, leave=False):
        optimizer.zero_grad()
        logits = model(images)
        loss = criterion(logits, targets)
        loss.backward()
        optimizer.step()
        running_loss += loss.item()
        correct += (logits.argmax(dim=1) == targets).sum().item()
        total += len(targets)


def with_own_layers_of_torch(model: nn.Module) -> nn.Module:
    """Return the network with torch's own linear layers, dropout and batch normalisation."""
    for name, module in list(model.named_children()):
        if isinstance(module, nn.Linear):
            linear = nn.Linear(module.in_features, module.out_features)
            linear.load_state_dict(module.state_dict())
            setattr(model, name, linear)
        if isinstance(module, nn.Dropout):
            setattr(model, name, nn.Dropout(module.p))
        if isinstance(module, nn.BatchNorm1d):
            setattr(model, name, nn.BatchNorm1d(module.num_features))
    return model


def project_epoch(recipe: Recipe, batches: Batches) -> None:
    """Train for one epoch with this project's loop."""
    model, criterion, optimizer_class, settings = recipe()
    optimizer = optimizer_class(model.parameters(), **settings, fused=True)
    train_one_epoch(model, batches, criterion, optimizer, epoch=1)


def floor_epoch(recipe: Recipe, num_samples: int) -> None:
    """Compute only the epoch's matrix products."""
    layers = [m for m in recipe()[0].modules() if isinstance(m, nn.Linear)]
    compute = matrix_products(layers, BATCH_SIZE)
    for _ in range(-(-num_samples // BATCH_SIZE)):
        compute()


def saving(recipe: Recipe, place: Path) -> Callable[[], None]:
    """Return a function that saves the state of a training after its first step."""
    model, criterion, optimizer_class, settings = recipe()
    optimizer = optimizer_class(model.parameters(), **settings, fused=True)
    images = LabelledImages("blank", np.zeros((2, 28, 28), np.uint8), np.arange(2), {}, MNIST)
    batches = Batches(images, 2, CPU, generator=torch.Generator())
    # The first step creates the optimizer's moments, which are saved too.
    train_one_epoch(model, batches, criterion, optimizer, epoch=1)
    schedule = optim.lr_scheduler.StepLR(optimizer, step_size=10)
    state = TrainingState(model, optimizer, schedule, batches)
    return lambda: state.save(place / "training_state.pth", more={})


def ways_of(recipe: Recipe, data: LabelledImages, data_dir: Path, place: Path) -> Ways:
    """Return the ways to do an epoch, and what a saved state costs."""
    batches = Batches(data, BATCH_SIZE, CPU, generator=torch.Generator().manual_seed(0))
    return {
        "tutorial": lambda: tutorial_epoch(recipe, data_dir),
        "project": lambda: project_epoch(recipe, batches),
        "floor": lambda: floor_epoch(recipe, len(data)),
        "saving": saving(recipe, place),
    }


def parts_of(recipe: Recipe, data: LabelledImages) -> Ways:
    """Return 200 steps with one part after the other."""
    few = data.select(np.arange(PART_STEPS * BATCH_SIZE))
    batches = Batches(few, BATCH_SIZE, CPU, generator=torch.Generator().manual_seed(0))
    return cumulative_steps(recipe, batches)


def measure(ways: Ways, rounds: int, name: str) -> dict[str, list[float]]:
    """Return the seconds of each round, by way; the ways take turns."""
    times: dict[str, list[float]] = {way: [] for way in ways}
    for _ in tqdm(range(rounds), desc=name, disable=None, leave=False):
        for way, epoch in ways.items():
            started = time.perf_counter()
            epoch()
            times[way].append(time.perf_counter() - started)
    return times


def table(seconds: Seconds) -> str:
    """Return the fastest and the median time of each way, and the ratios of the fastest."""
    lines = ["recipe    way        fastest, s  median, s"]
    for recipe, ways in seconds.items():
        for way, times in ways.items():
            lines.append(f"{recipe:9} {way:9} {min(times):11.3f} {statistics.median(times):10.3f}")
    lines.append("")
    for recipe, ways in seconds.items():
        fastest = {way: min(times) for way, times in ways.items()}
        lines.append(
            f"{recipe}: {fastest['tutorial'] / fastest['project']:.2f} times the speed of the "
            f"tutorial's loop, {fastest['project'] / fastest['floor']:.2f} times the floor; "
            f"saving takes {fastest['saving'] / fastest['project']:.1%} of an epoch"
        )
    return "\n".join(lines)


def table_of_parts(seconds: Seconds) -> str:
    """Return what each part adds to a step, in microseconds, by the fastest rounds."""
    steps = {
        recipe: {part: 1e6 * min(times) / PART_STEPS for part, times in parts.items()}
        for recipe, parts in seconds.items()
    }
    lines = [f"{'microseconds a step':27}" + "".join(f"{recipe:>9}" for recipe in steps)]
    before = dict.fromkeys(steps, 0.0)
    for part in PARTS:
        line = f"{part:27}"
        for recipe, parts in steps.items():
            line += f"{parts[part] - before[recipe]:9.0f}" if part in parts else f"{'':9}"
            before[recipe] = parts.get(part, before[recipe])
        lines.append(line.rstrip())
    return "\n".join([*lines, f"{'all':27}" + "".join(f"{all_:9.0f}" for all_ in before.values())])


def main() -> int:
    """Measure, print, and write what was measured."""
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="epochs of each way")
    parser.add_argument("--data-dir", type=Path, default="data", help="folder of the data set")
    parser.add_argument("--output", metavar="FILE", type=Path, help="also write JSON to this file")
    args = parser.parse_args()
    require_positive(rounds=args.rounds)
    data = load_split(MNIST_SPEC, args.data_dir, "train")
    seconds: Seconds = {}
    parts: Seconds = {}
    with tempfile.TemporaryDirectory() as place:
        for name, recipe in RECIPES.items():
            ways = ways_of(recipe, data, args.data_dir, Path(place))
            seconds[name] = measure(ways, args.rounds, name)
            few = parts_of(recipe, data)
            parts[name] = measure(few, 3 * args.rounds, f"{name}, parts of a step")
    environment = describe_environment(CPU)
    print(
        f"{environment['device_name']}, {environment['threads']} threads, torch {torch.__version__}"
    )
    print(f"{args.rounds} rounds, 60,000 images, batches of {BATCH_SIZE}\n")
    print(table(seconds))
    print()
    print(table_of_parts(parts))
    if args.output:
        content = {"environment": environment, "seconds": seconds, "parts": parts}
        write_json(args.output, content)
    return ALL_PASSED


if __name__ == "__main__":
    run_script(main)
