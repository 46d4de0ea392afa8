"""The recipes in plain JAX: an epoch is one compiled ``lax.scan`` over its batches.

The same as ``common.models`` and the two scripts: Xavier weights, Linear, batch normalisation (in
the improved network), ReLU, dropout, Adam with L2 or AdamW. Imported only where JAX is installed.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from torch import nn, optim

from bench.speed.epoch import BATCH_SIZE
from bench.speed.parts import Parts
from common.data.arrays import LabelledImages

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8  # torch's defaults
MOMENTUM, BATCH_NORM_EPSILON = 0.1, 1e-5  # of torch's batch normalisation

# A dictionary or list of arrays, as jax.tree_util takes it.
Tree = Any


def initialize(model: nn.Module, key: Array) -> Tree:
    """Return the weights of each layer, and with batch normalisation its scale and shift."""
    layers = []
    for linear in (module for module in model.modules() if isinstance(module, nn.Linear)):
        key, subkey = jax.random.split(key)
        shape = (linear.in_features, linear.out_features)
        weight = jax.nn.initializers.glorot_uniform()(subkey, shape)
        layers.append({"weight": weight, "bias": jnp.zeros(linear.out_features)})
    if model.batch_norm:
        for layer in layers[:-1]:
            layer |= {"scale": jnp.ones_like(layer["bias"]), "shift": layer["bias"] * 0}
    return layers


def forward(
    layers: Tree, running: Tree, images: Array, key: Array, dropout_rate: float
) -> tuple[Array, Tree]:
    """Return the logits [N, classes], and the running statistics of batch normalisation."""
    x, updated = images, []
    for number, layer in enumerate(layers[:-1]):
        x = x @ layer["weight"] + layer["bias"]
        if "scale" in layer:
            mean, variance = x.mean(axis=0), x.var(axis=0)
            unbiased = variance * len(x) / (len(x) - 1)
            batch = jnp.stack([mean, unbiased])
            updated.append((1 - MOMENTUM) * running[number] + MOMENTUM * batch)
            x = (x - mean) * lax.rsqrt(variance + BATCH_NORM_EPSILON)
            x = x * layer["scale"] + layer["shift"]
        keep = jax.random.bernoulli(jax.random.fold_in(key, number), 1 - dropout_rate, x.shape)
        x = jnp.where(keep, jax.nn.relu(x) / (1 - dropout_rate), 0)
    return x @ layers[-1]["weight"] + layers[-1]["bias"], updated


def cross_entropy(logits: Array, targets: Array, label_smoothing: float) -> Array:
    """Return the mean loss of logits [N, classes] and targets [N]."""
    log_probabilities = jax.nn.log_softmax(logits)
    true = jnp.take_along_axis(log_probabilities, targets[:, None], axis=1).mean()
    return -(1 - label_smoothing) * true - label_smoothing * log_probabilities.mean()


def adam(
    layers: Tree, moments: Tree, gradients: Tree, step: Array, settings: dict[str, float], l2: bool
) -> tuple[Tree, Tree]:
    """Return the weights and the two moments after a step of Adam with L2, or of AdamW."""
    rate, decay = settings["lr"], settings["weight_decay"]
    if l2:
        gradients = jax.tree.map(lambda g, w: g + decay * w, gradients, layers)
    else:
        layers = jax.tree.map(lambda w: w * (1 - rate * decay), layers)
    first = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, moments[0], gradients)
    second = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, moments[1], gradients)
    size, correction = rate / (1 - BETA1**step), 1 - BETA2**step
    layers = jax.tree.map(
        lambda w, m, v: w - size * m / (jnp.sqrt(v / correction) + EPSILON), layers, first, second
    )
    return layers, (first, second)


def epoch_of(parts: Parts, data: LabelledImages) -> Callable[[], float]:
    """Return a function that trains for one more epoch, and returns its mean loss."""
    model, criterion, optimizer_class, settings = parts
    dropout_rate = model.model_args["dropout_rate"]
    label_smoothing = criterion.label_smoothing
    images = data.images.reshape(len(data), -1).astype(np.float32) / 255
    images = jnp.asarray(
        (images - data.dataset.normalization.mean) / data.dataset.normalization.std
    )
    targets = jnp.asarray(data.targets)
    # lax.scan takes batches of one size: up to 63 images at the end of an order are left out.
    steps = len(data) // BATCH_SIZE

    def loss(layers: Tree, running: Tree, indices: Array, key: Array) -> tuple[Array, Any]:
        logits, updated = forward(layers, running, images[indices], key, dropout_rate)
        answers = (logits.argmax(axis=1) == targets[indices]).sum()
        return cross_entropy(logits, targets[indices], label_smoothing), (updated, answers)

    def one_step(state: Tree, batch: tuple[Array, Array]) -> tuple[Tree, tuple[Array, Array]]:
        layers, moments, running, count = state
        indices, key = batch
        compute = jax.value_and_grad(loss, has_aux=True)
        (value, (running, correct)), gradients = compute(layers, running, indices, key)
        l2 = optimizer_class is optim.Adam
        layers, moments = adam(layers, moments, gradients, count, settings, l2)
        return (layers, moments, running, count + 1), (value, correct)

    @partial(jax.jit, donate_argnums=0)
    def epoch(state: Tree, key: Array) -> tuple[Tree, Any]:
        order_key, dropout_key = jax.random.split(key)
        order = jax.random.permutation(order_key, len(targets))[: steps * BATCH_SIZE]
        keys = jax.random.split(dropout_key, steps)
        return lax.scan(one_step, state, (order.reshape(steps, BATCH_SIZE), keys))

    key = jax.random.key(0)
    layers = initialize(model, key)
    moments = (jax.tree.map(jnp.zeros_like, layers), jax.tree.map(jnp.zeros_like, layers))
    running = [
        jnp.stack([jnp.zeros_like(layer["bias"]), jnp.ones_like(layer["bias"])])
        for layer in layers
        if "scale" in layer
    ]
    state = (layers, moments, running, jnp.ones(()))

    def train() -> float:
        nonlocal state, key
        key, subkey = jax.random.split(key)
        state, (losses, _) = epoch(state, subkey)
        return float(losses.mean())

    return train
