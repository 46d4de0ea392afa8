"""A training run's folder: ``metrics.json`` and ``checkpoint.pth``, written after each epoch.

Until the run is finished ``training_state.pth`` is there as well, with all that ``--resume`` needs.
It is removed at the end, since it is three times as large as the checkpoint.
"""

import contextlib
import json
import shlex
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import nn

from common.checkpoints import (
    TrainingState,
    describe_model,
    describe_recipe,
    load_saved_state,
    require_rebuildable,
    save_checkpoint,
)
from common.layers import is_independent_of_threads
from common.loops import Batches, Progress, TrainingResult, ValidationResult, predict_logits
from common.metrics import accuracy_percent, fit_temperature
from common.models import ARCHITECTURES, count_parameters
from common.support import distributed
from common.support.cli import DeferredSignals, Stopped, command_line
from common.support.environment import describe_environment, seed_rank, versions
from common.support.errors import UserError
from common.support.files import folder_lock, read_json, require_target, write_json
from common.support.processor import Threads
from common.support.text import json_text, shorten, terminal_safe

# Two runs that agree in these do the same arithmetic in the same order.
_CONDITIONS = ("torch", "device", "threads", "world_size")
_STATE_KEYS = ("recipe", "data", "conditions", "history", "progress", "seconds")


class Run:
    """Keeps the history of a training run and writes its files, so that the scripts stay recipes.

    Use it as a context manager: no other run can then use the folder, and a signal ends the script
    after the current step, with the state saved. Under torchrun rank 0 alone reads and writes
    files. Ranks are never all at the same step when a signal comes, so it ends them at once, and
    the saved state is that of the end of the last epoch.

    ``state`` is that before the first step, ``data`` what ``common.data.splits`` says of the data
    set. ``resume`` continues an interrupted run in the folder, if there is one. By default as many
    threads compute on the CPU as are fastest, if that changes no result. ``progress`` is that of
    the current epoch.
    """

    def __init__(
        self,
        folder: Path,
        state: TrainingState,
        criterion: nn.Module,
        data: dict[str, Any],
        epochs: int,
        seed: int,
        resume: bool = False,
        threads: int | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.state, self.model, self.batches = state, state.result, state.batches
        self.data, self.num_epochs, self.seed, self.resume = data, epochs, seed, resume
        require_rebuildable(self.model, self.batches.targets.device)
        recipe = describe_recipe(state, criterion, epochs, seed, data["val_size"])
        # As JSON has it, so that it can be compared with what an earlier run wrote.
        self.recipe = json.loads(json.dumps(recipe))
        device = self.batches.targets.device
        on_cpu = device.type == "cpu"
        is_same = on_cpu and is_independent_of_threads(self.model, self.batches.batch_size)
        self.threads = Threads(threads, adapt=is_same and distributed.world_size() == 1)
        self.environment = describe_environment(device)
        kind = "arithmetic" if on_cpu else "device_name"
        self.conditions = {key: self.environment[key] for key in (*_CONDITIONS, kind)}
        if is_same:
            del self.conditions["threads"]
        self.history: list[dict[str, Any]] = []
        self.temperature: float | None = None
        self.is_finished = False
        self.saved_epochs, self.is_saved = 0, False  # in what --resume would find
        self.signals = DeferredSignals()
        self.progress = Progress(after_step=self._after_step)
        self.started = time.perf_counter()
        self.state_path = self.folder / "training_state.pth"
        # Better to know before the first epoch than after it that the folder cannot take the files.
        for name in ("checkpoint.pth", "metrics.json", self.state_path.name):
            require_target(self.folder / name)

    def __enter__(self) -> "Run":
        with contextlib.ExitStack() as entered:
            entered.callback(self.threads.restore)
            if distributed.is_main_process():
                entered.enter_context(folder_lock(self.folder, "name another --output-dir"))
            if ARCHITECTURES.get(name := type(self.model).__name__) is not type(self.model):
                _say(f"The class {name} has no @register above it: evaluate.py will not find it")
            if self.resume or distributed.is_restarted():
                self._restore()
            elif self.state_path.exists():
                _say(f"The unfinished run in {self.folder} is replaced; --resume would continue it")
            elif (self.folder / "checkpoint.pth").exists() and distributed.is_main_process():
                _say(f"The first epoch replaces the run in {self.folder}; --output-dir keeps it")
            if distributed.world_size() == 1:
                entered.enter_context(self.signals)
            elif distributed.is_main_process() and not self.is_finished:
                # So that a restart continues this run, whatever an earlier one left here.
                self._save_state()
            self._entered = entered.pop_all()
        return self

    def __exit__(self, kind: type | None, exception: BaseException | None, trace: object) -> None:
        self._entered.close()
        if isinstance(exception, Stopped) and distributed.world_size() > 1:
            exception.advice = (
                f"the state after epoch {self.saved_epochs} is saved, and {self._how_to_go_on()}"
            )
        if isinstance(exception, OSError) and self.is_saved:
            exception.add_note(self._how_to_go_on())

    def epochs(self) -> Iterator[int]:
        """Yield the number of each epoch that is left, from 1."""
        while not self.is_finished and len(self.history) < self.num_epochs:
            epoch = len(self.history) + 1
            seed_rank(self.seed, epoch)
            yield epoch

    def finish_epoch(self, training: TrainingResult, validation: ValidationResult | None) -> None:
        """Record an epoch, write all files, and print it as a line.

        Raises UserError if a weight is not finite, and leaves the files of the epoch before.
        """
        epoch = len(self.history) + 1
        if not all(tensor.isfinite().all() for tensor in self.model.state_dict().values()):
            raise UserError(
                f"weights are not finite after epoch {epoch}: training diverged, try a lower --lr "
                "(the epochs before are saved)"
            )
        row = {
            "epoch": epoch,
            "learning_rate": training.learning_rate,
            "train_loss": training.loss,
            "train_accuracy": accuracy_percent(training.correct, training.total),
            **dict.fromkeys(("val_loss", "val_accuracy", "val_correct", "val_total")),
            "seconds": training.seconds,
        }
        if validation:
            row |= {
                "val_loss": validation.loss,
                "val_accuracy": accuracy_percent(validation.correct, validation.total),
                "val_correct": validation.correct,
                "val_total": validation.total,
            }
        self.history.append(row)
        self.progress = Progress(after_step=self._after_step)
        if distributed.is_main_process():
            self._save_state()
            self._write_results()
        print(_epoch_line(row, self.num_epochs), flush=True)
        self._stop_if_asked()

    def finish(self, val_batches: Batches) -> None:
        """Fit the temperature on the validation images, if there are any, and write the results."""
        if self.is_finished or not distributed.is_main_process():
            return
        if val_batches.num_samples > 0:
            logits = predict_logits(self.model, val_batches)
            self.temperature = fit_temperature(logits.numpy(), val_batches.targets.cpu().numpy())
        self.is_finished = True
        self._write_results()
        self.state_path.unlink(missing_ok=True)
        print(f"Wrote {self.folder / 'checkpoint.pth'} and {self.folder / 'metrics.json'}")

    def _restore(self) -> None:
        """Continue from what an earlier run has saved, if rank 0 finds one in the folder."""
        saved, self.is_finished = distributed.broadcast_from_main(self._read_earlier)
        if saved is not None:
            self.is_saved = True
            self.state.restore(self.state_path, saved)
            self.progress.load_state_dict(saved["progress"])
            self.history = saved["history"]
            self.started -= saved["seconds"]
            steps = len(self.progress.losses)
            _say(f"Resumed after epoch {len(self.history)}, step {steps} of the next")
            changed = _differences(saved["conditions"], self.conditions)
            if distributed.world_size() > 2:
                # DDP regroups the gradients after its first step, which changes a sum's order.
                changed.append("more than two ranks add up their first gradients in another order")
            if changed:
                _say(f"The result may differ in its last bits: {', '.join(changed)}")
        elif self.is_finished:
            print(f"The run in {self.folder} is finished: nothing to resume")

    def _read_earlier(self) -> tuple[dict[str, Any] | None, bool]:
        """Return the state that an earlier run saved, if any, and whether one is finished."""
        if self.state_path.exists():
            saved = load_saved_state(self.state_path, required=_STATE_KEYS)
            self._require_same(saved)
            return saved, False
        metrics = self.folder / "metrics.json"
        if metrics.exists() and (earlier := read_json(metrics)).get("complete"):
            self._require_same(earlier)
            return None, True
        return None, False

    def _require_same(self, earlier: dict[str, Any]) -> None:
        found = _differences(earlier.get("recipe"), self.recipe, "recipe")
        found += _differences(earlier.get("data"), self.data, "data")
        if found:
            more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
            raise UserError(
                f"the run in {self.folder} is another one: {found[0]}{more}; give what it began "
                "with, leave out --resume to start anew, or name another --output-dir"
            )

    def _after_step(self) -> None:
        self.threads()
        self._stop_if_asked()

    def _stop_if_asked(self) -> None:
        if self.signals.received is not None:
            self._save_state()
            stopped = Stopped(self.signals.received)
            stopped.advice = f"the state is saved, and {self._how_to_go_on()}"
            raise stopped

    def _how_to_go_on(self) -> str:
        if distributed.world_size() > 1:
            return "the same torchrun command with --resume at its end goes on from there"
        words = [word for word in command_line() if word != "--resume"]
        return f"this continues: {shlex.join(['python', *words, '--resume'])}"

    def _save_state(self) -> None:
        progress = self.progress.state_dict()
        more = {**self._so_far(), "conditions": self.conditions, "progress": progress}
        self.state.save(self.state_path, more)
        self.saved_epochs, self.is_saved = len(self.history), True

    def _so_far(self) -> dict[str, Any]:
        seconds = time.perf_counter() - self.started
        recorded = {"recipe": self.recipe, "data": self.data, "history": self.history}
        return {**recorded, "seconds": seconds}

    def _write_results(self) -> None:
        """Write the checkpoint, and the metrics that name it by its checksum."""
        checkpoint = {
            **describe_model(self.model, self.batches.normalization, self.batches.classes),
            "accuracy": self.history[-1]["val_accuracy"],
            "accuracy_total": self.history[-1]["val_total"],
            "epoch": self.history[-1]["epoch"],
            "recipe": self.recipe,
            "versions": versions(),
        }
        metrics = {
            **self._so_far(),
            "name": json_text(self.folder.name),
            "architecture": type(self.model).__name__,
            "parameters": count_parameters(self.model),
            "environment": self.environment,
            "temperature": self.temperature,
            "complete": self.is_finished,
            "checkpoint_sha256": save_checkpoint(self.folder / "checkpoint.pth", checkpoint),
        }
        write_json(self.folder / "metrics.json", metrics)


def _differences(then: object, now: object, name: str = "") -> list[str]:
    """Return where two JSON documents differ, with the names of nested keys joined by dots."""
    if isinstance(then, dict) and isinstance(now, dict):
        found = []
        for key in sorted(then.keys() | now.keys()):
            found += _differences(then.get(key), now.get(key), f"{name}.{key}" if name else key)
        return found
    if then == now:
        return []
    return [f"{name} is {shorten(repr(now), 40)}, and was {shorten(repr(then), 40)}"]


def _say(line: str) -> None:
    print(terminal_safe(line), file=sys.stderr)


def _epoch_line(row: dict[str, Any], epochs: int) -> str:
    parts = [
        f"epoch {row['epoch']:{len(str(epochs))}}/{epochs}",
        f"train loss {row['train_loss']:.4f}  accuracy {row['train_accuracy']:6.2f} %",
    ]
    if row["val_loss"] is not None:
        parts.append(f"val loss {row['val_loss']:.4f}  accuracy {row['val_accuracy']:6.2f} %")
    parts += [f"lr {row['learning_rate']:.2e}", f"{row['seconds']:.1f} s"]
    return "  |  ".join(parts)
