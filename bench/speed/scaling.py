"""Time a training step on one rank and on several, and predict the speed on more ranks.

Start it with torchrun, on as many processes as are to be compared with one:

    OMP_NUM_THREADS=1 torchrun --standalone --nproc-per-node 2 -m bench.speed.scaling

Each round measures in turn: rank 0 alone, while the others wait; all ranks, each with its part of
the batch; the same without the all-reduce of the gradients (DDP's ``no_sync``); and the all-reduce
by itself, of one number and of as many bytes as the gradient has. The fastest round counts.

The prediction is for a ring all-reduce over n ranks, one processor each, that does not overlap with
the computation. A step then takes

    fixed + per_image * batch / n + 2 (n - 1) * latency + 2 (n - 1) / n * bytes / bandwidth

``fixed`` and ``per_image`` are fitted to the steps of one rank. ``latency`` is that of one number.
``bandwidth`` is chosen so that the all-reduce takes as long as it did within a step of the smallest
batch. That is longer than by itself: gradients are copied, and the processors are busy.
"""

import contextlib
import os
import time
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.distributed
from torch import nn

from bench.speed.epoch import CPU, base, improved
from bench.speed.parts import Recipe
from common.data.arrays import LabelledImages, load_split
from common.data.catalog import MNIST_SPEC
from common.loops import Batches
from common.models import count_parameters
from common.support import distributed
from common.support.cli import ArgumentParser, run_script
from common.support.environment import describe_environment
from common.support.errors import ALL_PASSED, UserError, require_positive

BATCH_SIZES = (64, 256, 512)  # the recipes', and a larger one
FITTED = (8, 16, 32, 64, 256, 512)  # batch sizes of the steps that the line is fitted to
PREDICTED = (1, 2, 4, 8, 16)  # world sizes

# Steps in one measurement, by batch size: enough of them to average out what else runs.
_STEPS = {8: 200, 16: 200, 32: 200, 64: 200, 256: 60, 512: 40}
_WARM_UP = 5
_ALL_REDUCES = 100

# The ways to do a step: without DDP, with it, and with it but without the all-reduce. And what else
# is measured: the all-reduce of one number, and of a whole gradient.
SINGLE, DDP, NO_SYNC = "single", "ddp", "no sync"
ONE_NUMBER, GRADIENT = "one number", "gradient"

# Of a step or an all-reduce, by way and batch size (0 for an all-reduce).
Seconds = dict[tuple[str, int], list[float]]


class StepModel(NamedTuple):
    """The parts of a step: seconds, but for the bandwidth (bytes per second)."""

    fixed: float
    per_image: float
    latency: float
    bandwidth: float
    gradient_bytes: int

    def all_reduce(self, world_size: int) -> float:
        """Return the seconds that the ranks take to add up their gradients."""
        transfer = 2 * (world_size - 1) / world_size * self.gradient_bytes / self.bandwidth
        return 2 * (world_size - 1) * self.latency + transfer

    def step(self, world_size: int, batch_size: int) -> float:
        """Return the seconds of a step."""
        compute = self.fixed + self.per_image * batch_size / world_size
        return compute + self.all_reduce(world_size)

    def break_even(self, world_size: int) -> int:
        """Return the smallest batch size at which that many ranks are faster than one."""
        return int(self.all_reduce(world_size) / (self.per_image * (1 - 1 / world_size))) + 1


def time_step(recipe: Recipe, images: LabelledImages, batch_size: int, way: str) -> float:
    """Train for some steps, and return the seconds of one."""
    model, criterion, optimizer_class, settings = recipe()
    network = model if way == SINGLE else distributed.data_parallel(model)
    optimizer = optimizer_class(model.parameters(), **settings, fused=True)
    subset = images.select(np.arange((_WARM_UP + _STEPS[batch_size]) * batch_size))
    rank, world_size = distributed.rank(), distributed.world_size()
    if way == SINGLE:
        rank, world_size = 0, 1
    shuffle = torch.Generator().manual_seed(0)
    batches = Batches(subset, batch_size, CPU, shuffle, rank=rank, world_size=world_size)
    network.train()
    started = 0.0
    with network.no_sync() if way == NO_SYNC else contextlib.nullcontext():
        for step, (inputs, targets) in enumerate(batches):
            if step == _WARM_UP:
                started = time.perf_counter()
            optimizer.zero_grad()
            criterion(network(inputs), targets).backward()
            optimizer.step()
    return (time.perf_counter() - started) / _STEPS[batch_size]


def time_all_reduce(num_values: int) -> float:
    """Add up float32 tensors over the ranks, and return the seconds of one such sum."""
    values = torch.zeros(num_values)
    for _ in range(_WARM_UP):
        distributed.sum_over_ranks(values)
    started = time.perf_counter()
    for _ in range(_ALL_REDUCES):
        distributed.sum_over_ranks(values)
    return (time.perf_counter() - started) / _ALL_REDUCES


def measure(recipe: Recipe, images: LabelledImages, rounds: int) -> Seconds:
    """Measure all ways in turn; every rank returns its own times."""
    seconds: Seconds = defaultdict(list)
    num_parameters = count_parameters(recipe()[0])
    for _ in range(rounds):
        for batch_size in FITTED:
            if distributed.is_main_process():
                step = time_step(recipe, images, batch_size, SINGLE)
                seconds[SINGLE, batch_size].append(step)
            torch.distributed.barrier()
        for batch_size in BATCH_SIZES:
            for way in (DDP, NO_SYNC):
                seconds[way, batch_size].append(time_step(recipe, images, batch_size, way))
                torch.distributed.barrier()
        for way, num_values in ((ONE_NUMBER, 1), (GRADIENT, num_parameters)):
            seconds[way, 0].append(time_all_reduce(num_values))
    return seconds


def fit_step_model(seconds: Seconds, gradient_bytes: int) -> StepModel:
    """Fit the parts of a step to what was measured."""
    steps = [min(seconds[SINGLE, batch_size]) for batch_size in FITTED]
    # The weights make relative errors count: a small step's is as telling as a large one's.
    per_image, fixed = np.polyfit(FITTED, steps, deg=1, w=1 / np.array(steps))
    n = distributed.world_size()
    ddp, no_sync = (min(seconds[way, BATCH_SIZES[0]]) for way in (DDP, NO_SYNC))
    one_number, gradient = min(seconds[ONE_NUMBER, 0]), min(seconds[GRADIENT, 0])
    all_reduce = max(ddp - no_sync, gradient)
    bandwidth = 2 * (n - 1) / n * gradient_bytes / (all_reduce - one_number)
    latency = one_number / 2 / (n - 1)
    return StepModel(float(fixed), float(per_image), latency, bandwidth, gradient_bytes)


def report(name: str, model: nn.Module, seconds: Seconds) -> list[str]:
    """Return the measurements of one recipe and the predictions from them, as lines."""
    world_size, gradient_bytes = distributed.world_size(), 4 * count_parameters(model)
    fitted = fit_step_model(seconds, gradient_bytes)
    ms = {key: 1000 * min(times) for key, times in seconds.items()}
    lines = [
        f"{name}: gradient of {gradient_bytes / 1e6:.1f} MB, all-reduce {ms[GRADIENT, 0]:.2f} ms"
    ]
    for batch in BATCH_SIZES:
        single, ddp, no_sync = (ms[way, batch] for way in (SINGLE, DDP, NO_SYNC))
        lines.append(
            f"  batch {batch:3}: 1 rank {single:.2f} ms per step, {world_size} ranks {ddp:.2f} ms: "
            f"speed-up {single / ddp:.2f}, efficiency {single / ddp / world_size:.0%}; without "
            f"the all-reduce {no_sync:.2f} ms, so it takes {max(0.0, 1 - no_sync / ddp):.0%}"
        )
    lines.append(
        f"  fitted: {1000 * fitted.fixed:.2f} ms per step + {1e6 * fitted.per_image:.1f} us per "
        f"image; latency {1e6 * fitted.latency:.0f} us, bandwidth {fitted.bandwidth / 1e9:.2f} GB/s"
    )
    lines.append("  predicted " + "".join(f"{f'{n} rank' + 's' * (n > 1):>18}" for n in PREDICTED))
    for batch in BATCH_SIZES:
        cells = []
        for n in PREDICTED:
            step = fitted.step(n, batch)
            cells.append(f"{1000 * step:.2f} ms x {fitted.step(1, batch) / step:.2f}")
        lines.append(f"  batch {batch:3} " + "".join(f"{cell:>18}" for cell in cells))
    break_even = fitted.break_even(2)
    lines.append(f"  2 ranks are predicted to be faster from a batch size of {break_even} on")
    return [*lines, ""]


def main() -> int:
    """Measure, and print the measurements and the predictions."""
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each way")
    parser.add_argument("--data-dir", type=Path, default="data", help="folder of the data set")
    args = parser.parse_args()
    require_positive(rounds=args.rounds)
    if distributed.world_size() == 1:
        raise UserError(
            "start it with torchrun --standalone --nproc-per-node 2 -m bench.speed.scaling"
        )
    images = load_split(MNIST_SPEC, args.data_dir, "train")
    environment = describe_environment(CPU)
    print(
        f"{environment['device_name']}, {environment['threads']} threads per rank, torch "
        f"{torch.__version__}, gloo, load before: {os.getloadavg()[0]:.2f}\n"
    )
    for recipe in (base, improved):
        seconds = measure(recipe, images, args.rounds)
        if distributed.is_main_process():
            print("\n".join(report(recipe.__name__, recipe()[0], seconds)), flush=True)
    return ALL_PASSED


if __name__ == "__main__":
    run_script(distributed.distributed_main(main))
