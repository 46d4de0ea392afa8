"""A training run's folder: ``metrics.json`` and ``checkpoint.pth``, written after each epoch.

Until the run is finished ``training_state.pth`` lies beside them, with all that ``--resume`` needs.
It is removed at the end: it is three times as large as the checkpoint, and its work is done.
"""

import contextlib
import json
import shlex
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from common import ranks
from common.calibration import fit_temperature
from common.checkpoints import TrainingState, load_saved_state, save_checkpoint
from common.environment import describe_environment, seed_rank, versions
from common.errors import UserError
from common.escaping import printable
from common.files import read_json, readable, require_target, write_json
from common.locks import folder_lock
from common.loops import Batches, Progress, TrainingResult, ValidationResult, predict_logits
from common.models import count_parameters
from common.recipes import differences
from common.signals import DeferredSignals, Stopped

# Where two runs that agree in these do the same arithmetic in the same order.
_CONDITIONS = ("torch", "device", "device_name", "threads", "ranks")
_STATE_KEYS = ("recipe", "data", "conditions", "history", "progress", "seconds")


class Run:
    """Keeps the history of a training run and writes it, so that the scripts stay recipes.

    Use it as a context manager: while it is entered no other run can use the folder, and a signal
    ends the script after the step under way, with the state saved. Of several ranks the first one
    alone reads and writes files. They are never all at the same step when a signal comes, so it
    ends them at once, and what is saved is the state at the end of the last epoch.

    Parameters
    ----------
    folder : Path
        Gets ``metrics.json`` and ``checkpoint.pth``; made if it is not there.
    state : TrainingState
        Its model is one of ``common.models``.
    recipe : dict
        What ``describe_recipe`` returns.
    data : dict
        ``TrainingData.summary``.
    device : torch.device
    resume : bool
        Go on where an earlier run into the folder was interrupted, if there is one.

    Attributes
    ----------
    progress : Progress
        Of the epoch under way.
    """

    def __init__(
        self,
        folder: Path,
        state: TrainingState,
        recipe: dict[str, Any],
        data: dict[str, Any],
        device: torch.device,
        resume: bool = False,
    ) -> None:
        self.folder = Path(folder)
        self.state, self.model = state, state.result
        # As JSON has it, so that it can be compared with what an earlier run wrote.
        self.recipe = json.loads(json.dumps(recipe))
        self.data = data
        self.resume = resume
        self.environment = describe_environment(device)
        self.conditions = {key: self.environment[key] for key in _CONDITIONS}
        self.history: list[dict[str, Any]] = []
        self.temperature: float | None = None
        self.is_finished = False
        self.saved_epochs = 0
        self.signals = DeferredSignals()
        self.progress = Progress(after_step=self._stop_if_asked)
        self.started = time.perf_counter()
        self.state_path = self.folder / "training_state.pth"
        # A folder that cannot take the files is better known before the first epoch than after it.
        for name in ("checkpoint.pth", "metrics.json", self.state_path.name):
            require_target(self.folder / name)

    def __enter__(self) -> "Run":
        with contextlib.ExitStack() as entered:
            if ranks.is_first():
                entered.enter_context(folder_lock(self.folder, "name another --output-dir"))
            if self.resume or ranks.is_restarted():
                self._take_up()
            elif self.state_path.exists():
                _say(f"The unfinished run in {self.folder} is replaced; --resume would continue it")
            if ranks.share().number == 1:
                entered.enter_context(self.signals)
            elif ranks.is_first() and not self.is_finished:
                # So that a restart goes on with this run, whatever an earlier one left here.
                self._save_state()
            self._entered = entered.pop_all()
        return self

    def __exit__(self, kind: type | None, exception: BaseException | None, trace: object) -> None:
        self._entered.close()
        if isinstance(exception, Stopped) and ranks.share().number > 1:
            exception.advice = (
                f"the state after epoch {self.saved_epochs} is saved, and the same torchrun "
                "command with --resume at its end goes on from there"
            )

    def epochs(self) -> Iterator[int]:
        """Yield the number of each epoch that is left, from 1."""
        while not self.is_finished and len(self.history) < self.recipe["epochs"]:
            epoch = len(self.history) + 1
            seed_rank(self.recipe.get("seed", 0), epoch)
            yield epoch

    def finish_epoch(self, training: TrainingResult, validation: ValidationResult | None) -> None:
        """Record an epoch, write all files, and print it as a line.

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
        self.progress = Progress(after_step=self._stop_if_asked)
        if ranks.is_first():
            self._save_state()
            self._write_results()
        print(_epoch_line(row, self.recipe["epochs"]), flush=True)
        self._stop_if_asked()

    def finish(self, val_batches: Batches) -> None:
        """Fit the temperature on the validation images, if there are any, and write the results."""
        if self.is_finished or not ranks.is_first():
            return
        if val_batches.num_samples > 0:
            logits = predict_logits(self.model, val_batches)
            self.temperature = fit_temperature(logits, val_batches.targets.cpu())
        self.is_finished = True
        self._write_results()
        self.state_path.unlink(missing_ok=True)
        print(f"Wrote {self.folder / 'checkpoint.pth'} and {self.folder / 'metrics.json'}")

    def _take_up(self) -> None:
        """Go on where an earlier run stands, if there is one in the folder of the first rank."""
        saved, self.is_finished = ranks.from_first(self._read_earlier)
        if saved is not None:
            self.state.restore(self.state_path, saved)
            self.progress.load_state_dict(saved["progress"])
            self.history = saved["history"]
            self.started -= saved["seconds"]
            steps = len(self.progress.earlier_losses)
            _say(f"Resumed after epoch {len(self.history)}, step {steps} of the next")
            others = differences(saved["conditions"], self.conditions)
            if ranks.share().number > 2:
                # DDP lays gradients out anew after its first step, and a sum's order follows that.
                others.append("more than two ranks add up their first gradients in another order")
            if others:
                _say(f"Equality to the bit is not promised: {', '.join(others)}")
        elif self.is_finished:
            print(f"The run in {self.folder} is finished: nothing to resume")

    def _read_earlier(self) -> tuple[dict[str, Any] | None, bool]:
        """Return the state that an earlier run saved, if any, and whether one is finished."""
        metrics = self.folder / "metrics.json"
        if self.state_path.exists():
            saved = load_saved_state(self.state_path, required=_STATE_KEYS)
            self._require_same(saved)
            return saved, False
        if metrics.exists() and (earlier := read_json(metrics)).get("complete"):
            self._require_same(earlier)
            return None, True
        return None, False

    def _require_same(self, earlier: dict[str, Any]) -> None:
        found = differences(earlier.get("recipe"), self.recipe, "recipe")
        found += differences(earlier.get("data"), self.data, "data")
        if found:
            more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
            raise UserError(
                f"the run in {self.folder} is another one: {found[0]}{more}; give what it began "
                "with, leave out --resume to start anew, or name another --output-dir"
            )

    def _stop_if_asked(self) -> None:
        if self.signals.received is not None:
            self._save_state()
            stopped = Stopped(self.signals.received)
            stopped.advice = f"the state is saved, and this continues: {_continuing_command()}"
            raise stopped

    def _save_state(self) -> None:
        more = {
            "recipe": self.recipe,
            "data": self.data,
            "conditions": self.conditions,
            "history": self.history,
            "progress": self.progress.state_dict(),
            "seconds": time.perf_counter() - self.started,
        }
        self.state.save(self.state_path, more)
        self.saved_epochs = len(self.history)

    def _write_results(self) -> None:
        """Write the checkpoint, and the metrics that name it by its checksum."""
        checkpoint = {
            "model_state_dict": {k: v.cpu() for k, v in self.model.state_dict().items()},
            "model_architecture": type(self.model).__name__,
            "model_args": self.model.model_args,
            "accuracy": self.history[-1]["val_accuracy"],
            "epoch": self.history[-1]["epoch"],
            "recipe": self.recipe,
            "versions": versions(),
        }
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
            "complete": self.is_finished,
            "checkpoint_sha256": save_checkpoint(self.folder / "checkpoint.pth", checkpoint),
        }
        write_json(self.folder / "metrics.json", metrics)


def _say(line: str) -> None:
    print(printable(line), file=sys.stderr)


def _continuing_command() -> str:
    words = [word for word in sys.argv if word != "--resume"]
    return shlex.join(["python", *words, "--resume"])


def _epoch_line(row: dict[str, Any], epochs: int) -> str:
    parts = [
        f"epoch {row['epoch']:{len(str(epochs))}}/{epochs}",
        f"train loss {row['train_loss']:.4f}  accuracy {row['train_accuracy']:6.2f} %",
    ]
    if row["val_loss"] is not None:
        parts.append(f"val loss {row['val_loss']:.4f}  accuracy {row['val_accuracy']:6.2f} %")
    parts += [f"lr {row['learning_rate']:.2e}", f"{row['seconds']:.1f} s"]
    return "  |  ".join(parts)
