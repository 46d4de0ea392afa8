"""A training run's folder: ``metrics.json`` and ``checkpoint.pth``, written after each epoch."""

import time
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from common.calibration import fit_temperature
from common.checkpoints import save_checkpoint
from common.environment import describe_environment, versions
from common.errors import UserError
from common.files import readable, require_target, write_json
from common.loops import Batches, TrainingResult, ValidationResult, predict_logits
from common.models import count_parameters


class Run:
    """Keeps the history of a training run and writes it, so that the scripts stay recipes.

    Parameters
    ----------
    folder : Path
        Gets ``metrics.json`` and ``checkpoint.pth``; made if it is not there.
    model : nn.Module
        One of ``common.models``.
    recipe : dict
        What ``describe_recipe`` returns.
    data : dict
        ``TrainingData.summary``.
    device : torch.device
    """

    def __init__(
        self,
        folder: Path,
        model: nn.Module,
        recipe: dict[str, Any],
        data: dict[str, Any],
        device: torch.device,
    ) -> None:
        self.folder = Path(folder)
        self.model = model
        self.recipe = recipe
        self.data = data
        self.environment = describe_environment(device)
        self.history: list[dict[str, Any]] = []
        self.temperature: float | None = None
        self.started = time.perf_counter()
        # A folder that cannot take the files is better known before the first epoch than after it.
        for name in ("checkpoint.pth", "metrics.json"):
            require_target(self.folder / name)

    def finish_epoch(self, training: TrainingResult, validation: ValidationResult | None) -> None:
        """Record an epoch, print it as a line, and write both files.

        Raises
        ------
        UserError
            If a weight is not finite; the files are then still those of the epoch before.
        """
        if not all(tensor.isfinite().all() for tensor in self.model.state_dict().values()):
            raise UserError(
                f"weights are not finite after epoch {len(self.history) + 1}: training diverged, "
                "try a lower --lr (the epochs before are saved)"
            )
        row = {
            "epoch": len(self.history) + 1,
            "learning_rate": training.learning_rate,
            "train_loss": training.loss,
            "train_accuracy": training.accuracy,
            "val_loss": validation.loss if validation else None,
            "val_accuracy": validation.accuracy if validation else None,
            "seconds": training.seconds,
        }
        self.history.append(row)
        print(_epoch_line(row, self.recipe["epochs"]), flush=True)
        self._write_checkpoint()
        self._write_metrics()

    def finish(self, val_batches: Batches) -> None:
        """Fit the temperature on the validation images, if there are any, and write the metrics."""
        if val_batches.num_samples > 0:
            logits = predict_logits(self.model, val_batches)
            self.temperature = fit_temperature(logits, val_batches.targets.cpu())
        self._write_metrics()
        print(f"Wrote {self.folder / 'checkpoint.pth'} and {self.folder / 'metrics.json'}")

    def _write_checkpoint(self) -> None:
        checkpoint = {
            "model_state_dict": {k: v.cpu() for k, v in self.model.state_dict().items()},
            "model_architecture": type(self.model).__name__,
            "model_args": self.model.model_args,
            "accuracy": self.history[-1]["val_accuracy"],
            "epoch": self.history[-1]["epoch"],
            "recipe": self.recipe,
            "versions": versions(),
        }
        save_checkpoint(self.folder / "checkpoint.pth", checkpoint)

    def _write_metrics(self) -> None:
        metrics = {
            "name": readable(self.folder.name),
            "architecture": type(self.model).__name__,
            "parameters": count_parameters(self.model),
            "recipe": self.recipe,
            "data": self.data,
            "environment": self.environment,
            "history": self.history,
            "temperature": self.temperature,
            "seconds": time.perf_counter() - self.started,
        }
        write_json(self.folder / "metrics.json", metrics)


def describe_recipe(
    model: nn.Module,
    criterion: nn.Module,
    optimizer: Optimizer,
    scheduler: LRScheduler,
    **settings: int,
) -> dict[str, Any]:
    """Return the recipe's numbers, read off the objects that do the work, as JSON values.

    Parameters
    ----------
    model, criterion, optimizer, scheduler
        As they are before the first step.
    **settings : int
        What none of them knows: epochs, batch_size, seed, val_size.

    What is no number, such as a schedule's list of milestones, is left out.
    """
    group = optimizer.param_groups[0]
    return {
        **settings,
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


def _epoch_line(row: dict[str, Any], epochs: int) -> str:
    parts = [
        f"epoch {row['epoch']:{len(str(epochs))}}/{epochs}",
        f"train loss {row['train_loss']:.4f}  accuracy {row['train_accuracy']:6.2f} %",
    ]
    if row["val_loss"] is not None:
        parts.append(f"val loss {row['val_loss']:.4f}  accuracy {row['val_accuracy']:6.2f} %")
    parts += [f"lr {row['learning_rate']:.2e}", f"{row['seconds']:.1f} s"]
    return "  |  ".join(parts)
