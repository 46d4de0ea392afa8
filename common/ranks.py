"""Several processes at one task, as torchrun starts them: who is who, and what one tells another.

Each process has a rank, from 0; the first one speaks and writes for all. Without torchrun, and with
one process, every function here does nothing, at no cost. torch is imported where it is needed:
the process that grades strangers' files takes no part of it when it is alone.
"""

import contextlib
import functools
import os
import secrets
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from common.errors import CANNOT_RUN, UserError
from common.signals import Stopped, ignore

if TYPE_CHECKING:
    from torch import Tensor, nn

Value = TypeVar("Value")

# A rank may have to wait until another has graded its last file. That a process died is noticed at
# once, by torchrun and by the connection that it leaves behind.
_PATIENCE = timedelta(days=1)

# What all ranks stumble over, the first one has said within this time.
_SAME_ERROR_WITHIN = timedelta(seconds=5)
_ERROR_OF_THE_FIRST = "error of the first rank"

_POLL = 0.02  # seconds


class Share(NamedTuple):
    """One of equal shares of something: every ``number``-th of it, from the one at ``rank``."""

    rank: int
    number: int


ALL = Share(0, 1)


def share() -> Share:
    """Return the share of this process: all of it, unless torchrun started it with others."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return ALL
    return Share(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))


def on_this_machine() -> Share:
    """Return the share of this process in what its machine has: processors, GPUs."""
    if share() == ALL:
        return ALL
    return Share(int(os.environ["LOCAL_RANK"]), int(os.environ["LOCAL_WORLD_SIZE"]))


def is_first() -> bool:
    """Tell whether this process is the one that prints and writes."""
    return share().rank == 0


def is_restarted() -> bool:
    """Tell whether torchrun has started this process, and others, in place of ones that failed."""
    return share() != ALL and int(os.environ.get("TORCHELASTIC_RESTART_COUNT", 0)) > 0


def together(main: Callable[[], int]) -> Callable[[], int]:
    """Return ``main`` as it runs in company: connected to the other ranks, the first one speaking.

    A ``UserError`` or an ``OSError`` of another rank names that rank, unless the first one has the
    same. When a rank is lost, the first one raises a ``UserError`` that says so.
    """
    return main if share().number == 1 else functools.partial(_connected, main)


def _connected(main: Callable[[], int]) -> int:
    import torch

    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    try:
        torchruns, rank, number = next(torch.distributed.rendezvous("env://"))
        store = torch.distributed.PrefixStore(_new_name(torchruns, rank, number), torchruns)
        torch.distributed.init_process_group(
            backend, store=store, rank=rank, world_size=number, timeout=_PATIENCE
        )
        status = _first(main, store) if is_first() else _silent(main, store)
        torch.distributed.destroy_process_group()
        return status
    except RuntimeError as error:
        if not isinstance(error, torch.distributed.DistError) and "gloo" not in str(error):
            raise
        if not is_first():
            return CANNOT_RUN
        raise UserError(
            "another rank is gone (torchrun says below which): what is saved is whole, and with "
            "--max-restarts torchrun goes on from there by itself"
        ) from error
    except Stopped as stopped:
        if is_first():
            raise
        return 128 + stopped.number
    finally:
        # torchrun ends those that are left when one has ended; this one is about to end by itself.
        ignore()


def _new_name(store: Any, rank: int, number: int) -> str:  # noqa: ANN401
    """Agree with the other ranks on a name that no earlier start of them has used in ``store``.

    torchrun keeps its store when it restarts, and an address that a killed process left there leads
    nowhere. So the first rank makes up a name, each other one answers to it with a word that is new
    as well, and takes the name as soon as the first one has repeated that word.
    """
    word = secrets.token_hex(8)
    if rank == 0:
        store.set("name", word)
        answers = [f"{word}/{other}" for other in range(1, number)]
        while not store.check(answers):
            time.sleep(_POLL)
        store.set(f"{word}/answers", " ".join(store.get(key).decode() for key in answers))
        return word
    while True:
        name = store.get("name").decode()
        store.set(f"{name}/{rank}", word)
        heard = f"{name}/answers"
        if store.check([heard]) and word in store.get(heard).decode().split():
            return name
        time.sleep(_POLL)


def _first(main: Callable[[], int], store: Any) -> int:  # noqa: ANN401
    try:
        return main()
    except (UserError, OSError) as error:
        store.set(_ERROR_OF_THE_FIRST, str(error))
        raise


def _silent(main: Callable[[], int], store: Any) -> int:  # noqa: ANN401
    import torch

    try:
        with (
            open(os.devnull, "w") as nowhere,
            contextlib.redirect_stdout(nowhere),
            contextlib.redirect_stderr(nowhere),
        ):
            return main()
    except (UserError, OSError) as error:
        with contextlib.suppress(torch.distributed.DistError):
            store.wait([_ERROR_OF_THE_FIRST], _SAME_ERROR_WITHIN)
            if store.get(_ERROR_OF_THE_FIRST).decode() == str(error):
                return CANNOT_RUN
        raise UserError(f"rank {share().rank}: {error}") from error


def parallel(model: "nn.Module") -> "nn.Module":
    """Return what trains ``model`` in company: each backward pass averages gradients over ranks.

    All ranks start with the weights of the first. A batch normalisation normalises each share by
    itself; the running statistics are those of the first rank, sent to the others before each step.
    (torch's ``SyncBatchNorm``, which would normalise the whole batch, takes input on GPUs alone.)
    """
    if share().number == 1:
        return model
    from torch.nn.parallel import DistributedDataParallel

    return DistributedDataParallel(model)


def total(values: "Tensor") -> "Tensor":
    """Return the sum over all ranks of ``values`` (any shape, on the CPU)."""
    if share().number > 1:
        from torch import distributed

        distributed.all_reduce(values)
    return values


def from_first(function: Callable[[], Value]) -> Value:
    """Call ``function`` on the first rank, and return on each what it returned there."""
    if share().number == 1:
        return function()
    from torch import distributed

    values = [function() if is_first() else None]
    distributed.broadcast_object_list(values, src=0)
    return values[0]


def gathered(value: Value) -> list[Value]:
    """Wait for all ranks, and return the ``value`` of each on the first one; nothing elsewhere."""
    if share().number == 1:
        return [value]
    from torch import distributed

    values = [None] * share().number if is_first() else None
    distributed.gather_object(value, values)
    return values or []
