"""What a training makes of the processor: who multiplies its matrices, on how many threads."""

import statistics
import time
from collections.abc import Generator

import torch

# A number that float32 holds, and bfloat16 rounds to 1.
_FINE = 1 + 2**-12

# Two numbers of threads are compared in turns, by steps that follow on some that settle in.
_TURNS, _SETTLING, _TIMED = 3, 2, 6
# Steps after which other numbers are tried again, because the machine may have become idle.
_KEPT = 1000
# So many times slower than when it was chosen, a number of threads is to be chosen anew.
_SLOWER = 1.5


def multiply_by_onednn() -> bool:
    """Let oneDNN multiply matrices of float32 on the CPU, and tell whether it does.

    torch takes MKL for them. oneDNN, which is in torch as well, is as fast or, on some processors
    of AMD, twice as fast, and its sums have one order whatever the number of threads
    (docs/results.md, "Speed").

    torch has oneDNN behind a setting that allows rounding to bfloat16. Where the processor would do
    that (Intel's AMX), MKL stays: a recipe is one of float32.
    """
    if not (
        torch.backends.mkldnn.is_available() and torch.backends.cpu.get_cpu_capability() == "AVX512"
    ):
        return False
    torch.backends.mkldnn.matmul.fp32_precision = "bf16"  # type: ignore[attr-defined]
    fine = torch.full((64, 512), _FINE)
    if torch.equal(fine @ torch.eye(512), fine):
        return True
    multiply_by_mkl()
    return False


def multiply_by_mkl() -> None:
    """Let MKL multiply matrices of float32 on the CPU, as torch does by itself."""
    torch.backends.mkldnn.matmul.fp32_precision = "none"  # type: ignore[attr-defined]


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
