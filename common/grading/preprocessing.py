"""How a submission's inputs are made of pixels: declared, inferred on training images, or given.

A network is measured with the normalisation that it was trained with. Where its file does not say
which that is, the usual ones are tried on training images. No test label has a say.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from common.data.arrays import LabelledImages, load_split
from common.data.catalog import DatasetSpec, Normalization
from common.data.idx import find_files
from common.grading.sandbox.wire import DECLARED, NONE, TRY_ALL, FileInfo, Trials
from common.metrics import accuracy_percent, mcnemar_exact
from common.support.errors import SubmissionError, UserError

CHOICES = "auto, recipe, unit, half, raw or MEAN,STD"
# Pixels in [0, 1], in [-1, 1], and from 0 to 255, as mean and deviation of pixels in [0, 1].
_USUAL = {
    "unit": Normalization(0.0, 1.0),
    "half": Normalization(0.5, 0.5),
    "raw": Normalization(0.0, 1 / 255),
}
SAMPLE_SIZE = 4000
SAMPLE_SEED = 0

# Another normalisation than the recipe's is taken below this p-value of McNemar's exact test; none
# is tried if the recipe's has this share right, since no other one can then be much better.
_P_VALUE = 0.001
_ALWAYS_ENOUGH = 0.99

# The share of images that a network recognises, at least, under the normalisation it was trained
# with; no other one is taken below that.
_AT_HOME = 0.5

# A network rebuilt from shapes alone has to recognise this much of the sample, in percent.
_GUESS_HOLDS = 50


_NOT_INFERRED = (
    "No training images in --data-dir: the preprocessing of a submission is not inferred, and the "
    "recipe's is taken where a file declares none"
)


class Preprocessing:
    """Chooses the normalisation of each submission.

    ``sample`` are training images with their labels, or None. ``insisted`` is what the command line
    asks for: name and normalisation, or None to infer it.
    """

    def __init__(
        self,
        recipe: Normalization,
        sample: LabelledImages | None = None,
        insisted: tuple[str, Normalization] | None = None,
    ) -> None:
        self.sample, self.is_given = sample, insisted is not None
        # Rows that were graded by another rule do not hold.
        self.rule = (
            f"{insisted or 'auto'}, {'with' if sample is not None else 'no'} training images"
        )
        self.warning = _NOT_INFERRED if sample is None and insisted is None else ""
        self.recipe = recipe
        known = {"recipe": recipe, **(_USUAL if sample is not None else {})}
        tried = dict([insisted]) if insisted else known
        self.names: Sequence[str] = list(tried)
        self.normalizations: Sequence[Normalization] = list(tried.values())

    def advise(self, predicted: list[np.ndarray]) -> int:
        """Return which normalisation to take, or TRY_ALL to go on.

        ``predicted`` are the classes under the first one, or under all; of the first images of the
        sample, or of the whole of it.
        """
        if self.sample is None:
            return 0
        targets = self.sample.targets[: len(predicted[0])]
        correct = [classes == targets for classes in predicted]
        if len(correct) < len(self.names):
            return 0 if correct[0].mean() >= _ALWAYS_ENOUGH else TRY_ALL
        best = max(range(len(correct)), key=lambda number: correct[number].sum())
        if len(targets) < len(self.sample):
            # A first look spares most networks the rest: an untrained one is at home nowhere.
            is_ahead = correct[best].sum() > correct[0].sum()
            return TRY_ALL if is_ahead and correct[best].mean() > _AT_HOME else 0
        p_value = mcnemar_exact(correct[best], correct[0])["p_value"]
        return best if p_value < _P_VALUE and correct[best].sum() > correct[0].sum() else 0

    def describe(self, info: FileInfo, trials: Trials) -> dict[str, Any] | None:
        """Return what a row says of it; null where nothing had to be chosen.

        Raises SubmissionError if the network is a guess that does not hold on the sample.
        """
        accuracies = [self._accuracy(classes) for classes in trials.predicted]
        taken = trials.taken if trials.taken < len(accuracies) else 0
        if info.is_guess and accuracies and accuracies[taken] < _GUESS_HOLDS:
            raise SubmissionError(
                "the layers fit, but with ReLU between them the network recognises only "
                f"{accuracies[taken]:.0f} % of the training images: it must be another one. "
                "Hand in an .onnx model, or ask who grades to name its class (--models)"
            )
        if info.chosen == NONE:
            return None
        if info.chosen == DECLARED:
            known = {"recipe": self.recipe, **_USUAL}
            named = [n for n, x in known.items() if x == (info.mean, info.std)]
            source, name = "declared", named[0] if named else "declared"
        else:
            name = self.names[taken]
            source = "given" if self.is_given else "inferred" if taken else "recipe"
        return {
            "name": name,
            "mean": info.mean,
            "std": info.std,
            "source": source,
            "sample_accuracy": accuracies[taken] if accuracies else None,
            "sample_accuracy_recipe": accuracies[0] if accuracies else None,
        }

    def _accuracy(self, classes: np.ndarray) -> float:
        assert self.sample is not None
        targets = self.sample.targets[: len(classes)]
        return accuracy_percent(int((classes == targets).sum()), len(classes))


def parse_preprocessing(text: str, recipe: Normalization) -> tuple[str, Normalization] | None:
    """Read ``--preprocessing``; None for "auto". Raises UserError if it is none of the choices."""
    if text == "auto":
        return None
    if text == "recipe":
        return "recipe", recipe
    if text in _USUAL:
        return text, _USUAL[text]
    if found := re.fullmatch(r"(-?\d+(?:\.\d+)?),(\d+(?:\.\d+)?)", text, re.ASCII):
        mean, std = float(found[1]), float(found[2])
        if std > 0 and abs(mean) < 1e6 and std < 1e6:
            return "given", Normalization(mean, std)
    raise UserError(f"--preprocessing is {text!r}, but must be {CHOICES}")


def choose_preprocessing(
    text: str, spec: DatasetSpec, data_dir: Path, recipe: Normalization
) -> Preprocessing:
    """Return what chooses the normalisations, by ``--preprocessing`` and the data there are."""
    return Preprocessing(recipe, draw_sample(spec, data_dir), parse_preprocessing(text, recipe))


def draw_sample(spec: DatasetSpec, data_dir: Path) -> LabelledImages | None:
    """Return the fixed sample of training images; None if they are not there to be read."""
    if not find_files(spec, data_dir).keys() >= set(spec.files["train"]):
        return None
    training_images = load_split(spec, data_dir, "train")
    generator = np.random.default_rng(SAMPLE_SEED)
    size = min(SAMPLE_SIZE, len(training_images))
    return training_images.select(generator.choice(len(training_images), size, replace=False))
