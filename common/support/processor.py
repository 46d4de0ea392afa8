"""What a training makes of the processor: who multiplies its matrices, on how many threads."""

import functools
import os
import platform
import statistics
import time
from collections.abc import Generator

import torch
from torch import Tensor

# Two numbers of threads are compared in turns, by steps that follow on some that settle in.
_TURNS, _SETTLING, _TIMED = 3, 2, 6
# Steps after which other numbers are tried again, because the machine may have become idle.
_KEPT = 1000
# So many times slower than when it was chosen, a number of threads is to be chosen anew.
_SLOWER = 1.5


# float32 holds it, and bfloat16 and TF32 round it to 1.
_FINE = 1 + 2**-12


@functools.cache
def has_onednn() -> bool:
    """Tell whether oneDNN multiplies matrices of float32 here: in torch for x86-64 processors."""
    is_x86 = platform.machine() in ("x86_64", "AMD64")
    return is_x86 and torch.backends.mkldnn.is_available()


def multiply(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return x [N, K] @ weight [M, K].T + bias [M] by oneDNN: float32 [N, M]."""
    product: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return product


def rounds_products() -> bool:
    """Tell whether products of float32 on the CPU are rounded to fewer digits on their way.

    ``torch.set_float32_matmul_precision("medium")`` does that on Intel processors with AMX, though
    its documentation names CUDA alone (torch 2.14.1), and so do variables of oneDNN.
    """
    fine, identity = torch.full((64, 512), _FINE), torch.eye(512)
    return not torch.equal(multiply(fine, identity) if has_onednn() else fine @ identity, fine)


def arithmetic() -> str:
    """Return what fixes the bits of a training on the CPU: who multiplies, by which instructions.

    oneDNN takes AVX-512 where the processor has it, and torch itself does; both can be held to less
    by the environment (ONEDNN_MAX_CPU_ISA, ATEN_CPU_CAPABILITY). Who made the processor makes no
    difference that was seen (docs/results.md, "Bits").
    """
    vectors = torch.backends.cpu.get_cpu_capability() + ", products rounded" * rounds_products()
    if not has_onednn():
        return f"{platform.machine()}, torch with {vectors}"
    # The older name of the variable still counts.
    held_to = os.environ.get("ONEDNN_MAX_CPU_ISA", os.environ.get("DNNL_MAX_CPU_ISA", "")).upper()
    instructions = "AVX512" if torch.cpu._is_avx512_supported() else "AVX2"
    if held_to.startswith(("SSE", "AVX")) and not held_to.startswith(("AVX512", "AVX10")):
        instructions = held_to.partition("_")[0]
    return f"oneDNN with {instructions}, torch with {vectors}"


class Threads:
    """The number of threads of a training, chosen anew while it goes on.

    Threads that share the work of a step wait for each other dozens of times in it. If another
    process takes one of the cores, all of them wait for the thread that it has pushed aside: on two
    cores a step then takes five times as long, and on one thread no longer than before. So the
    numbers 1, 2, 4, ... are held against each other for a few steps, as long as the next is faster.

    Call it once after each step. ``number`` fixes the number; without one it is the one that torch
    starts with, or, to ``adapt``, one of those up to it. Only for networks whose results do not
    depend on the number of threads.
    """

    def __init__(self, number: int | None, adapt: bool) -> None:
        self._before = torch.get_num_threads()
        if number is not None:
            torch.set_num_threads(number)
        is_open = adapt and number is None and self._before > 1
        self._choosing = _choose(self._before) if is_open else None

    def __call__(self) -> None:
        """Count a step; from here on another number of threads may compute."""
        if self._choosing is not None:
            next(self._choosing)

    def restore(self) -> None:
        """Let as many threads compute as before, for what else this process does."""
        torch.set_num_threads(self._before)


def _choose(most: int) -> Generator[None, None, None]:
    """Set the number of threads, and go on by a step at each ``yield``."""
    numbers = [2**exponent for exponent in range((most - 1).bit_length())] + [most]
    while True:
        fastest = 1
        for number in numbers[1:]:
            winner, seconds = yield from _faster(fastest, number)
            if winner == fastest:
                break
            fastest = winner
        torch.set_num_threads(fastest)
        for _ in range(_KEPT // _TIMED):
            if statistics.median((yield from _steps(_TIMED))) > _SLOWER * seconds:
                break


def _faster(*numbers: int) -> Generator[None, None, tuple[int, float]]:
    """Return which number of threads is the fastest, and the median seconds of its steps."""
    seconds: dict[int, list[float]] = {number: [] for number in numbers}
    for _ in range(_TURNS):
        for number in numbers:
            torch.set_num_threads(number)
            yield from _steps(_SETTLING)
            seconds[number] += yield from _steps(_TIMED)
    medians = {number: statistics.median(times) for number, times in seconds.items()}
    fastest = min(medians, key=medians.__getitem__)
    return fastest, medians[fastest]


def _steps(count: int) -> Generator[None, None, list[float]]:
    """Let steps go by, and return the seconds of each."""
    seconds = []
    for _ in range(count):
        started = time.perf_counter()
        yield
        seconds.append(time.perf_counter() - started)
    return seconds
