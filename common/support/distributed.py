"""Several processes at one task, as torchrun starts them.

Rank 0, the main process, prints and writes for all. With a single process every function here does
nothing and costs nothing. torch is imported inside the functions: the process that grades does not
need it when it is alone.
"""

import contextlib
import functools
import os
import secrets
import signal
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from common.support.cli import SIGNALS, Stopped
from common.support.errors import CANNOT_RUN, UserError

if TYPE_CHECKING:
    from torch import Tensor, nn

Value = TypeVar("Value")

# A rank may have to wait until another has graded its last file. torchrun, and the connection that
# breaks, notice at once that a process died.
_COLLECTIVE_TIMEOUT = timedelta(days=1)

# If all ranks fail with the same error, rank 0 has reported it within this time.
_SAME_ERROR_WITHIN = timedelta(seconds=5)
_MAIN_ERROR = "error of rank 0"

_POLL = 0.02  # seconds


def _from_torchrun(variable: str, default: int) -> int:
    return int(os.environ[variable]) if "TORCHELASTIC_RUN_ID" in os.environ else default


def rank() -> int:
    """Return the number of this process, from 0."""
    return _from_torchrun("RANK", 0)


def world_size() -> int:
    """Return the number of processes; 1 unless torchrun started this one with others."""
    return _from_torchrun("WORLD_SIZE", 1)


def local_rank() -> int:
    """Return the number of this process on its machine, from 0."""
    return _from_torchrun("LOCAL_RANK", 0)


def local_world_size() -> int:
    """Return the number of processes on this machine."""
    return _from_torchrun("LOCAL_WORLD_SIZE", 1)


def is_main_process() -> bool:
    """Tell whether this process is the one that prints and writes."""
    return rank() == 0


def is_restarted() -> bool:
    """Tell whether torchrun has restarted processes after a failure; all ranks have to ask.

    torchrun counts on each machine alone, and where no process died it does not count at all.
    """
    if world_size() == 1:
        return False
    import torch

    count = torch.tensor(_from_torchrun("TORCHELASTIC_RESTART_COUNT", 0))
    torch.distributed.all_reduce(count, torch.distributed.ReduceOp.MAX)
    return int(count) > 0


def distributed_main(main: Callable[[], int]) -> Callable[[], int]:
    """Run ``main`` under torchrun; only rank 0 prints.

    A ``UserError`` or an ``OSError`` of another rank names that rank, unless rank 0 has the same
    error. When a rank is lost, rank 0 raises a ``UserError`` that says so.
    """
    return main if world_size() == 1 else functools.partial(_connected, main)


def _connected(main: Callable[[], int]) -> int:
    import torch

    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    try:
        torchruns, this_rank, size = next(torch.distributed.rendezvous("env://"))
        prefix = _agree_on_prefix(torchruns, this_rank, size)
        store = torch.distributed.PrefixStore(prefix, torchruns)
        torch.distributed.init_process_group(
            backend, store=store, rank=this_rank, world_size=size, timeout=_COLLECTIVE_TIMEOUT
        )
        run = _main_process if is_main_process() else _other_process
        status = run(main, store)
        torch.distributed.destroy_process_group()
        return status
    except RuntimeError as error:
        if not isinstance(error, torch.distributed.DistError) and "gloo" not in str(error):
            raise
        if not is_main_process():
            return CANNOT_RUN
        raise UserError(
            "another rank is gone (torchrun says below which): what is saved is whole, and with "
            "--max-restarts torchrun goes on from there by itself"
        ) from error
    except Stopped as stopped:
        if is_main_process():
            raise
        return 128 + stopped.number
    finally:
        # When one process has ended, torchrun signals the others. This one is ending anyway.
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)


def _agree_on_prefix(store: Any, this_rank: int, size: int) -> str:  # noqa: ANN401
    """Agree with the other ranks on a key prefix that no earlier start has used in ``store``.

    torchrun keeps its store over restarts, so a plain key may still hold the address of a killed
    process. Rank 0 proposes a new prefix. Each other rank answers under it with a new word, and
    accepts the prefix once rank 0 has repeated that word.
    """
    word = secrets.token_hex(8)
    if this_rank == 0:
        store.set("prefix", word)
        answers = [f"{word}/{other}" for other in range(1, size)]
        while not store.check(answers):
            time.sleep(_POLL)
        store.set(f"{word}/answers", " ".join(store.get(key).decode() for key in answers))
        return word
    while True:
        prefix = store.get("prefix").decode()
        store.set(f"{prefix}/{this_rank}", word)
        repeated = f"{prefix}/answers"
        if store.check([repeated]) and word in store.get(repeated).decode().split():
            return prefix
        time.sleep(_POLL)


def _main_process(main: Callable[[], int], store: Any) -> int:  # noqa: ANN401
    try:
        return main()
    except (UserError, OSError) as error:
        store.set(_MAIN_ERROR, str(error))
        raise


def _other_process(main: Callable[[], int], store: Any) -> int:  # noqa: ANN401
    import torch

    try:
        with (
            open(os.devnull, "w") as null,
            contextlib.redirect_stdout(null),
            contextlib.redirect_stderr(null),
        ):
            return main()
    except (UserError, OSError) as error:
        with contextlib.suppress(torch.distributed.DistError):
            store.wait([_MAIN_ERROR], _SAME_ERROR_WITHIN)
            if store.get(_MAIN_ERROR).decode() == str(error):
                return CANNOT_RUN
        raise UserError(f"rank {rank()}: {error}") from error


def data_parallel(model: "nn.Module") -> "nn.Module":
    """Return the module to train: each backward pass averages the gradients over all ranks.

    All ranks start with the weights of rank 0. Batch normalisation sees the images of its own rank
    only; the running statistics are those of rank 0, broadcast before each step. (torch's
    ``SyncBatchNorm``, which sees the whole batch, works on GPUs only.)
    """
    if world_size() == 1:
        return model
    from torch.nn.parallel import DistributedDataParallel

    return DistributedDataParallel(model)


def sum_over_ranks(values: "Tensor") -> "Tensor":
    """Return the sum over all ranks of ``values`` (any shape, on the CPU)."""
    if world_size() > 1:
        from torch import distributed

        distributed.all_reduce(values)
    return values


def broadcast_from_main(function: Callable[[], Value]) -> Value:
    """Call ``function`` on rank 0, and return its result on every rank."""
    if world_size() == 1:
        return function()
    from torch import distributed

    values: list[Any] = [function() if is_main_process() else None]
    distributed.broadcast_object_list(values, src=0)
    return values[0]


def gather_on_main(value: Value) -> list[Value]:
    """Wait for all ranks. Return the ``value`` of each on rank 0, and nothing elsewhere."""
    if world_size() == 1:
        return [value]
    from torch import distributed

    values: list[Any] | None = [None] * world_size() if is_main_process() else None
    distributed.gather_object(value, values)
    return values or []
