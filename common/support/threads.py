"""How many threads compute: as many as are fastest at the moment."""

import statistics
import time
from collections.abc import Generator

import torch

# Steps that a number of threads is tried for, after some that may still prepare their kernels.
_TRIED, _SETTLING = 15, 3
# Steps after which other numbers are tried again, because the machine may have become idle.
_KEPT = 1000
# So many times slower than when it was chosen, a number of threads is to be chosen anew.
_SLOWER = 1.5


class Threads:
    """The number of threads of a training, chosen anew while it goes on.

    Threads that share the work of a step wait for each other dozens of times in it. If another
    process takes one of the cores, all of them wait for the thread that it has pushed aside: on two
    cores a step then takes five times as long, and on one thread no longer than before. So the
    numbers 1, 2, 4, ... are tried for a few steps each, as long as the next is faster.

    Call it once after each step.

    Parameters
    ----------
    number : int or None
        Fixes the number. With None it is the one that torch starts with.
    adapt : bool
        With None, choose among the numbers up to that one. Only for networks whose results do not
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
    while True:
        fastest, seconds = most, float("inf")
        for number in (*_powers_of_two(most), most):
            torch.set_num_threads(number)
            yield from _steps(_SETTLING)
            tried = yield from _steps(_TRIED)
            if tried >= seconds:
                break
            fastest, seconds = number, tried
        torch.set_num_threads(fastest)
        for _ in range(_KEPT // _TRIED):
            if (yield from _steps(_TRIED)) > _SLOWER * seconds:
                break


def _powers_of_two(end: int) -> list[int]:
    return [2**exponent for exponent in range((end - 1).bit_length())]


def _steps(count: int) -> Generator[None, None, float]:
    """Let steps go by, and return the median of their seconds."""
    seconds = []
    for _ in range(count):
        started = time.perf_counter()
        yield
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)
