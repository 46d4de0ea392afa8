"""Seeds, the device, and what a run records about the machine."""

import contextlib
import platform
import random
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from common.support import distributed
from common.support.cli import command_line
from common.support.errors import UserError
from common.support.processor import arithmetic


def seed_everything(seed: int) -> None:
    """Seed every global source of random numbers: ``random``, numpy and torch (all devices).

    Raises UserError if ``seed`` is out of the range that all three accept, 0 to 2**32 - 1.
    """
    if not 0 <= seed < 2**32:
        raise UserError(f"--seed is {seed}, but must be between 0 and {2**32 - 1}")
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def seed_rank(seed: int, epoch: int) -> None:
    """Seed every rank but 0 for an epoch, each differently.

    Rank 0 keeps the single-process random stream, so saving it is enough to resume.
    """
    if not distributed.is_main_process():
        sequence = np.random.SeedSequence([seed, epoch, distributed.rank()])
        seed_everything(int(sequence.generate_state(1)[0]))


def random_states(device: torch.device) -> dict[str, Any]:
    """Return the states that ``seed_everything`` sets, as tensors and plain values.

    Of devices only that of the run: to ask another GPU would open a context on it.
    """
    _, numpy_keys, *numpy_rest = np.random.get_state()
    states = {
        "python": random.getstate(),
        "numpy": [np.asarray(numpy_keys).tolist(), *numpy_rest],
        "torch": torch.get_rng_state(),
    }
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    if device.type == "mps":
        states["mps"] = torch.mps.get_rng_state()
    return states


def restore_random_states(states: dict[str, Any], device: torch.device) -> None:
    """Restore what ``random_states`` returned; the device's, if it is of the same kind."""
    random.setstate(states["python"])
    np.random.set_state(("MT19937", *states["numpy"]))
    torch.set_rng_state(states["torch"])
    if "cuda" in states and device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)
    if "mps" in states and device.type == "mps":
        torch.mps.set_rng_state(states["mps"])


def choose_device(name: str) -> torch.device:
    """Return the device called ``name``; "auto" takes the first available of cuda, mps, cpu.

    Under torchrun each rank gets a GPU of its own; mps cannot be shared, and is not used.

    Raises UserError if ``name`` is not a device of this machine.
    """
    available = ["cpu"]
    if torch.backends.mps.is_available():
        available.insert(0, "mps")
    if torch.cuda.is_available():
        available[:0] = ["cuda", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    if distributed.world_size() > 1:
        if name in ("auto", "cuda") and "cuda" in available:
            name = f"cuda:{distributed.local_rank()}"
        available = ["cpu", *(found for found in available if found.startswith("cuda:"))]
    if name == "auto":
        return torch.device(available[0])
    if name not in available:
        raise UserError(f"--device is {name!r}, but this machine has {', '.join(available)}")
    return torch.device(name)


def versions() -> dict[str, str]:
    """Return the versions of the software that results depend on."""
    return {
        "python": platform.python_version(),
        "torch": str(torch.__version__),  # a subclass of str, which a checkpoint must not hold
        "torchvision": version("torchvision"),
        "numpy": np.__version__,
    }


def _cpuinfo() -> dict[str, str]:
    """Return what Linux says of the first processor; nothing elsewhere."""
    found: dict[str, str] = {}
    with contextlib.suppress(OSError), open("/proc/cpuinfo") as file:
        for line in file:
            key, _, value = line.partition(":")
            found.setdefault(key.strip(), value.strip())
    return found


def describe_environment(device: torch.device) -> dict[str, Any]:
    """Return versions, processor, threads, device, commit and command line, as JSON values.

    The commit, and whether all files are as committed, are null if unknown.
    """
    # platform.processor() is empty on most Linux systems.
    changes = _git("status", "--porcelain")
    processor = _cpuinfo().get("model name") or platform.processor() or platform.machine()
    return {
        **versions(),
        "git_commit": _git("rev-parse", "HEAD"),
        "git_clean": None if changes is None else not changes,
        "command": command_line(),
        "device": str(device),
        "device_name": torch.cuda.get_device_name(device) if device.type == "cuda" else processor,
        "arithmetic": arithmetic(),
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
        "cudnn_deterministic": torch.backends.cudnn.deterministic,
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        "platform": platform.platform(),
        "threads": torch.get_num_threads(),
        "world_size": distributed.world_size(),
    }


def _git(*command: str) -> str | None:
    try:
        completed = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=20,
        )
    except (OSError, subprocess.SubprocessError):  # no git here, or none that answers
        return None
    return completed.stdout.strip() if completed.returncode == 0 else None
