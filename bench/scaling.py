"""Time a training step alone and shared out over ranks, and reckon what more ranks would bring.

Start it with torchrun, on as many processes as are to be compared with one:

    OMP_NUM_THREADS=1 torchrun --standalone --nproc-per-node 2 bench/scaling.py

In each round take turns: the first rank alone, while the others wait; all ranks, each with its
share of the batch; the same without exchanging gradients (DDP's ``no_sync``); and the exchange
alone, of one number and of as many bytes as the gradient has. The fastest of the rounds counts.

The reckoning is for a ring over n ranks, one processor each, with nothing done at the same time:

    fixed + image * batch / n + 2 (n - 1) * latency + 2 (n - 1) / n * bytes / bandwidth

``fixed`` and ``image`` are fitted to the steps of one rank, ``latency`` is that of one number, and
``bandwidth`` what makes the exchange as long as it was within a step of the smallest batch, which
is longer than alone: gradients are copied, and the processors have the exchange itself to do.
"""

import contextlib
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import distributed, nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.epoch_speed import CPU, base, improved
from common import ranks
from common.arguments import ArgumentParser
from common.data import LabelledImages, load_part
from common.environment import describe_environment
from common.errors import ALL_PASSED, UserError, require_positive, run_script
from common.loops import Batches
from common.models import count_parameters

BATCH_SIZES = (64, 256, 512)  # the recipes', and larger ones
FITTED = (8, 16, 32, 64, 256, 512)  # images in the steps that the line is fitted to
ON_PAPER = (1, 2, 4, 8, 16)  # ranks

# Time in one measurement: long enough for what the machine does beside it to even out.
_STEPS = {8: 200, 16: 200, 32: 200, 64: 200, 256: 60, 512: 40}
_WARM_UP = 5
_EXCHANGES = 100

Seconds = dict[tuple[str, int], list[float]]  # of a step or an exchange, by way and batch size


class Reckoning(NamedTuple):
    """The parts of a step: seconds, but for the bandwidth (bytes a second)."""

    fixed: float
    image: float
    latency: float
    bandwidth: float
    size: int  # bytes of the gradient

    def exchange(self, number: int) -> float:
        """Return the seconds in which ``number`` ranks add up their gradients."""
        by_bytes = 2 * (number - 1) / number * self.size / self.bandwidth
        return 2 * (number - 1) * self.latency + by_bytes

    def step(self, number: int, batch_size: int) -> float:
        """Return the seconds of a step on ``number`` ranks."""
        return self.fixed + self.image * batch_size / number + self.exchange(number)

    def pays_from(self, number: int) -> int:
        """Return the images from which on ``number`` ranks are faster than one."""
        return int(self.exchange(number) / (self.image * (1 - 1 / number))) + 1


def seconds_a_step(
    recipe: Callable, images: LabelledImages, batch_size: int, way: str, share: ranks.Share
) -> float:
    """Train for some steps, and return what one takes."""
    model, criterion, optimizer_class, settings = recipe()
    network = model if way == "alone" else ranks.parallel(model)
    optimizer = optimizer_class(model.parameters(), **settings, fused=True)
    few = images[torch.arange((_WARM_UP + _STEPS[batch_size]) * batch_size)]
    batches = Batches(few, batch_size, CPU, torch.Generator().manual_seed(0), share=share)
    network.train()
    started = 0.0
    with network.no_sync() if way == "apart" else contextlib.nullcontext():
        for step, (inputs, targets) in enumerate(batches):
            if step == _WARM_UP:
                started = time.perf_counter()
            optimizer.zero_grad()
            criterion(network(inputs), targets).backward()
            optimizer.step()
    return (time.perf_counter() - started) / _STEPS[batch_size]


def seconds_an_exchange(values: int) -> float:
    """Add up float32 tensors over the ranks, and return what one such sum takes."""
    tensor = torch.zeros(values)
    for _ in range(_WARM_UP):
        ranks.total(tensor)
    started = time.perf_counter()
    for _ in range(_EXCHANGES):
        ranks.total(tensor)
    return (time.perf_counter() - started) / _EXCHANGES


def measure(recipe: Callable, images: LabelledImages, rounds: int) -> Seconds:
    """Let all ways take turns; every rank returns its own times."""
    seconds: Seconds = defaultdict(list)
    gradient = count_parameters(recipe()[0])
    for _ in range(rounds):
        for batch_size in FITTED:
            if ranks.is_first():
                took = seconds_a_step(recipe, images, batch_size, "alone", ranks.ALL)
                seconds["alone", batch_size].append(took)
            distributed.barrier()
        for batch_size in BATCH_SIZES:
            for way in ("together", "apart"):
                took = seconds_a_step(recipe, images, batch_size, way, ranks.share())
                seconds[way, batch_size].append(took)
                distributed.barrier()
        for way, values in (("one number", 1), ("the gradient", gradient)):
            seconds[way, 0].append(seconds_an_exchange(values))
    return seconds


def reckon(seconds: Seconds, size: int) -> Reckoning:
    """Fit the parts of a step to what was measured with the ranks at hand."""
    steps = [min(seconds["alone", batch_size]) for batch_size in FITTED]
    # Relative errors count: a small step's is as telling as a large one's.
    image, fixed = np.polyfit(FITTED, steps, deg=1, w=1 / np.array(steps))
    number = ranks.share().number
    together, apart = (min(seconds[way, BATCH_SIZES[0]]) for way in ("together", "apart"))
    small, alone = min(seconds["one number", 0]), min(seconds["the gradient", 0])
    exchange = max(together - apart, alone)
    bandwidth = 2 * (number - 1) / number * size / (exchange - small)
    return Reckoning(float(fixed), float(image), small / 2 / (number - 1), bandwidth, size)


def lines(name: str, model: nn.Module, seconds: Seconds) -> list[str]:
    """Return what was measured and what follows for one recipe."""
    number, size = ranks.share().number, 4 * count_parameters(model)
    parts = reckon(seconds, size)
    ms = {key: 1000 * min(times) for key, times in seconds.items()}
    text = [f"{name}: gradient of {size / 1e6:.1f} MB, {ms['the gradient', 0]:.2f} ms to add up"]
    for batch in BATCH_SIZES:
        alone, together, apart = (ms[way, batch] for way in ("alone", "together", "apart"))
        text.append(
            f"  batch {batch:3}: 1 rank {alone:.2f} ms a step, {number} ranks {together:.2f} ms: "
            f"{alone / together:.2f} times the speed, efficiency "
            f"{alone / together / number:.0%}; without the exchange {apart:.2f} ms, so it takes "
            f"{max(0.0, 1 - apart / together):.0%}"
        )
    text.append(
        f"  on paper: {1000 * parts.fixed:.2f} ms a step + {1e6 * parts.image:.1f} us an image; "
        f"latency {1e6 * parts.latency:.0f} us, {parts.bandwidth / 1e9:.2f} GB/s"
    )
    text.append("  ranks     " + "".join(f"{n:18}" for n in ON_PAPER))
    for batch in BATCH_SIZES:
        cells = []
        for n in ON_PAPER:
            step = parts.step(n, batch)
            cells.append(f"{1000 * step:.2f} ms x {parts.step(1, batch) / step:.2f}")
        text.append(f"  batch {batch:3} " + "".join(f"{cell:>18}" for cell in cells))
    return [*text, f"  2 ranks pay from {parts.pays_from(2)} images a batch on, on paper", ""]


def main() -> int:
    """Measure, and print what was measured and what follows from it."""
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each way")
    parser.add_argument("--data-dir", type=Path, default="data", help="folder of the data set")
    args = parser.parse_args()
    require_positive(rounds=args.rounds)
    if ranks.share().number == 1:
        raise UserError("start it with torchrun --standalone --nproc-per-node 2")
    images = load_part(args.data_dir, "train")
    environment = describe_environment(CPU)
    print(
        f"{environment['device_name']}, {environment['threads']} threads a rank, torch "
        f"{torch.__version__}, gloo, load before: {os.getloadavg()[0]:.2f}\n"
    )
    for recipe in (base, improved):
        seconds = measure(recipe, images, args.rounds)
        if ranks.is_first():
            print("\n".join(lines(recipe.__name__, recipe()[0], seconds)), flush=True)
    return ALL_PASSED


if __name__ == "__main__":
    run_script(ranks.together(main))
