"""Layers of torch, whose results on the CPU do not depend on the number of threads, or cost less.

Their names, parameters and options are torch's own. Everywhere else, and where a network is
exported, they are torch's own layers.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from common.support.processor import has_onednn, multiply, rounds_products

# Within these sizes one number of threads and another were seen to have the same bits. oneDNN may
# divide longer sums among threads.
_MOST_FEATURES, _MOST_IMAGES = 1024, 4096


class Linear(nn.Linear):
    """``nn.Linear``, multiplied by oneDNN on every x86-64 processor.

    For float32 torch takes MKL. The sums of oneDNN, which is in torch as well, have one order
    whatever the number of threads and the maker of the processor; which of the two is the faster
    depends on the processor (docs/results.md, "Speed").
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return x [N, in_features] times the weights, plus the bias: [N, out_features]."""
        is_float32 = x.dtype == self.weight.dtype == torch.float32
        is_plain = x.device.type == "cpu" and is_float32 and x.ndim == 2
        rounds_products = torch.is_autocast_enabled("cpu")
        is_exported = torch.compiler.is_compiling() or torch.jit.is_tracing()
        if not is_plain or rounds_products or is_exported or not has_onednn():
            return super().forward(x)
        product: Tensor = _Product.apply(x, self.weight, self.bias)
        return product


class _Product(torch.autograd.Function):
    """x [N, in] @ weight [out, in].T + bias [out], and its gradients, by oneDNN."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:  # noqa: ANN401
        ctx.save_for_backward(x, weight)
        return multiply(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        x, weight = ctx.saved_tensors
        gradient = gradient.contiguous()
        of_x, of_weight, of_bias = ctx.needs_input_grad
        return (
            multiply(gradient, weight.t()) if of_x else None,
            multiply(gradient.t(), x.t()) if of_weight else None,
            gradient.sum(dim=0) if of_bias else None,
        )


class Dropout(nn.Dropout):
    """``nn.Dropout`` with a cheaper mask on the CPU.

    Sets each value to zero with probability ``p`` in training, and divides the others by 1 - p so
    that their sum keeps its expectation (Srivastava et al. 2014, JMLR 15). ``nn.Dropout`` draws
    its mask with ``bernoulli_``, a random number for each value. Here a random number of 64 bits
    decides four values, each by 16 bits: ``p`` is met to 1 / 65,536, in a fifth of the time
    (docs/results.md, "Speed", has the command that shows it).
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` (float, any shape) with dropped values in training, else ``x`` itself."""
        if not self.training or x.device.type != "cpu" or self.p in (0, 1):
            return super().forward(x)
        bits = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
        # Equally likely from -32,768 to 32,767.
        numbers = bits.view(torch.int16)[: x.numel()].view_as(x)
        keep = numbers.to(torch.float32).ge_(2**16 * self.p - 2**15)
        return x * keep.div_(1 - self.p).to(x.dtype)


class BatchNorm1d(nn.BatchNorm1d):
    """``nn.BatchNorm1d``, whose result does not depend on the number of threads.

    On the CPU torch adds up the statistics of a batch by thread. One thread is enough for them.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return x [N, num_features], normalised over the batch in training."""
        threads = torch.get_num_threads()
        if not self.training or x.device.type != "cpu" or threads == 1:
            return super().forward(x)
        torch.set_num_threads(1)
        normalized = super().forward(x)
        torch.set_num_threads(threads)
        if normalized.grad_fn is not None:
            normalized.grad_fn.register_prehook(lambda _: torch.set_num_threads(1))
            normalized.grad_fn.register_hook(lambda *_: torch.set_num_threads(threads))
        return normalized


def is_independent_of_threads(model: nn.Module, batch_size: int) -> bool:
    """Tell whether what the network learns is the same to the bit, on any number of threads.

    That is known of the layers of this file, up to a size, of batches up to a size, and of products
    that are those of float32.
    """
    with_weights = [one for one in model.modules() if list(one.parameters(recurse=False))]
    sizes = [max(one.weight.shape) for one in with_weights if isinstance(one, Linear)]
    return (
        has_onednn()
        and not rounds_products()
        and batch_size <= _MOST_IMAGES
        and max(sizes, default=0) <= _MOST_FEATURES
        and all(isinstance(one, Linear | BatchNorm1d) for one in with_weights)
    )
