"""Where the time of a training step goes: the same step with one part more each time."""

from collections.abc import Callable, Iterator
from itertools import chain, repeat

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from common.layers import multiply
from common.loops import Batches, train_one_epoch

# (network, loss, optimizer class, its settings)
Parts = tuple[nn.Module, nn.Module, Callable[..., Optimizer], dict[str, float]]
Recipe = Callable[[], Parts]
Steps = Callable[[], object]

# In the order in which they are added.
PRODUCTS, LAYERS, BATCH_NORM, DROPOUT, LOSS, BATCHES, OPTIMIZER, LOOP = PARTS = (
    "matrix products",
    "autograd, biases and ReLU",
    "batch normalisation",
    "dropout",
    "loss",
    "making the batch",
    "optimizer",
    "the rest of the loop",
)
LEFT_OUT = {nn.BatchNorm1d: BATCH_NORM, nn.Dropout: DROPOUT}


def matrix_products(layers: list[nn.Linear], batch_size: int) -> Callable[[], None]:
    """Return the products of a step alone: forward, weight gradients, input gradients."""
    weights = [layer.weight.detach() for layer in layers]
    inputs = [torch.randn(batch_size, weight.shape[1]) for weight in weights]
    gradients = [torch.randn(batch_size, weight.shape[0]) for weight in weights]
    step = list(zip(inputs, weights, gradients, strict=True))
    products = [(x, w) for x, w, _ in step]
    products += [(g.t(), x.t()) for x, _, g in step]
    # The images themselves need no gradient.
    products += [(g, w.t()) for _, w, g in step[1:]]

    def compute() -> None:
        for left, right in products:
            multiply(left, right)

    return compute


def step_with(recipe: Recipe, batches: Batches, parts: tuple[str, ...]) -> Callable[[], None]:
    """Return a training step that has these parts alone; what is left out changes nothing."""
    model, criterion, optimizer_class, settings = recipe()
    if parts == (PRODUCTS,):
        linear = [module for module in model.modules() if isinstance(module, nn.Linear)]
        return matrix_products(linear, batches.batch_size)
    for name, module in list(model.named_children()):
        if any(isinstance(module, kind) and part not in parts for kind, part in LEFT_OUT.items()):
            setattr(model, name, nn.Identity())
    optimizer = optimizer_class(model.parameters(), **settings, fused=True)
    stream: Iterator[tuple[Tensor, Tensor]] = chain.from_iterable(repeat(batches))
    first = next(stream)
    model.train()

    def step() -> None:
        images, targets = next(stream) if BATCHES in parts else first
        optimizer.zero_grad()
        logits = model(images)
        loss = criterion(logits, targets) if LOSS in parts else logits.sum()
        loss.backward()
        if OPTIMIZER in parts:
            optimizer.step()

    return step


def cumulative_steps(recipe: Recipe, batches: Batches) -> dict[str, Steps]:
    """Return by part: as many steps as there are batches, with this part and those before it."""

    def steps(step: Callable[[], None]) -> Steps:
        return lambda: [step() for _ in range(len(batches))]

    model, criterion, optimizer_class, settings = recipe()
    has_batch_norm = any(isinstance(module, nn.BatchNorm1d) for module in model.modules())
    parts = [part for part in PARTS if part != BATCH_NORM or has_batch_norm]
    ways = {
        part: steps(step_with(recipe, batches, tuple(parts[: number + 1])))
        for number, part in enumerate(parts[:-1])
    }
    optimizer = optimizer_class(model.parameters(), **settings, fused=True)
    ways[LOOP] = lambda: train_one_epoch(model, batches, criterion, optimizer, epoch=1)
    return ways
