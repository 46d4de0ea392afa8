"""Seeds, the device, and what a run needs to record about the machine it ran on."""

import platform
import random
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from common.errors import UserError
from common.files import readable


def seed_everything(seed: int) -> None:
    """Seed every global source of random numbers: ``random``, numpy and torch (all devices).

    Raises
    ------
    UserError
        If ``seed`` is out of the range that all three accept, 0 to 2**32 - 1.
    """
    if not 0 <= seed < 2**32:
        raise UserError(f"--seed is {seed}, but must be between 0 and {2**32 - 1}")
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def choose_device(name: str) -> torch.device:
    """Return the device called ``name``; "auto" takes the first that is there of cuda, mps, cpu.

    Raises
    ------
    UserError
        If ``name`` is no device that can compute here.
    """
    available = ["cpu"]
    if torch.backends.mps.is_available():
        available.insert(0, "mps")
    if torch.cuda.is_available():
        available[:0] = ["cuda", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    if name == "auto":
        return torch.device(available[0])
    if name not in available:
        raise UserError(f"--device is {name!r}, but this machine has {', '.join(available)}")
    return torch.device(name)


def versions() -> dict[str, str]:
    """Return the versions of what decides the numbers."""
    return {
        "python": platform.python_version(),
        "torch": str(torch.__version__),  # a subclass of str, which a checkpoint must not hold
        "torchvision": version("torchvision"),
        "numpy": np.__version__,
    }


def describe_environment(device: torch.device) -> dict[str, Any]:
    """Return versions, processor, threads, device and command line, as JSON values."""
    return {
        **versions(),
        "command": [readable(word) for word in (Path(sys.argv[0]).name, *sys.argv[1:])],
        "device": str(device),
        "device_name": torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else _processor(),
        "platform": platform.platform(),
        "threads": torch.get_num_threads(),
    }


def _processor() -> str:
    # platform.processor() is empty on most Linux systems, where the name stands in this file.
    try:
        with open("/proc/cpuinfo") as file:
            names = [line.split(":", 1)[1] for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return (names[0] if names else platform.processor() or platform.machine()).strip()
