"""A recipe as JSON values, and in what two of them differ."""

from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from common.augment import Distortions
from common.averaging import WeightAverage
from common.escaping import shorten


def describe_recipe(
    model: nn.Module,
    criterion: nn.Module,
    optimizer: Optimizer,
    scheduler: LRScheduler,
    distortions: Distortions | None = None,
    average: WeightAverage | None = None,
    **settings: int,
) -> dict[str, Any]:
    """Return the recipe's numbers, read off the objects that do the work, as JSON values.

    Parameters
    ----------
    model, criterion, optimizer, scheduler
        As they are before the first step.
    distortions, average : optional
        Where the recipe has them.
    **settings : int
        What none of them knows: epochs, batch_size, seed, val_size.

    What is no number, such as a schedule's list of milestones, is left out.
    """
    group = optimizer.param_groups[0]
    optional: dict[str, Any] = {}
    if distortions is not None:
        optional["distortions"] = distortions.describe()
    if average is not None:
        optional["average"] = {"name": type(average).__name__, "decay": average.decay}
    return {
        **settings,
        **optional,
        "model": {"name": type(model).__name__, **model.model_args},
        "loss": {"name": type(criterion).__name__, **_numbers(vars(criterion))},
        "optimizer": {"name": type(optimizer).__name__, **_numbers(optimizer.defaults)},
        "schedule": {
            "name": type(scheduler).__name__,
            **_numbers(vars(scheduler)),
            # A schedule such as OneCycleLR keeps its rates in the optimizer's parameter group.
            **_numbers({k: v for k, v in group.items() if k not in optimizer.defaults}),
        },
    }


# Public numbers that torch's objects carry without being settings of a recipe.
_BOOKKEEPING = {"ignore_index", "last_epoch", "training"}


def _numbers(attributes: dict[str, Any]) -> dict[str, Any]:
    """Keep what is a setting: public numbers, tuples of them, and switches that are on."""
    return {
        name: value
        for name, value in attributes.items()
        if not name.startswith("_")
        and name not in _BOOKKEEPING
        and isinstance(value, int | float | tuple)
        and value is not False
    }


def differences(then: object, now: object, name: str = "") -> list[str]:
    """Return what of two JSON documents is not the same, the names of its keys joined by dots."""
    if isinstance(then, dict) and isinstance(now, dict):
        found = []
        for key in sorted(then.keys() | now.keys()):
            found += differences(then.get(key), now.get(key), f"{name}.{key}" if name else key)
        return found
    if then == now:
        return []
    return [f"{name} is {shorten(repr(now), 40)}, and was {shorten(repr(then), 40)}"]
