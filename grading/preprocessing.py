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
from common.data.search import find_files
from common.measuring import FileInfo
from common.metrics import accuracy_percent, cross_entropy, mcnemar_exact
from common.support.errors import SubmissionError, UserError
from grading.sandbox.wire import DECLARED, NONE, STAGES, Trials

CHOICES = "auto, recipe, unit, half, raw or MEAN,STD"
# Pixels in [0, 1], in [-1, 1], and from 0 to 255, as mean and deviation of pixels in [0, 1].
_USUAL = {
    "unit": Normalization(0.0, 1.0),
    "half": Normalization(0.5, 0.5),
    "raw": Normalization(0.0, 1 / 255),
}
SAMPLE_SEED = 0

# p-values of McNemar's exact test against the best one: below the first the recipe's normalisation
# gives way to it, below the second any other one is given up.
_CLEARLY_WORSE, _PROBABLY_WORSE = 0.001, 0.05

_LEAST_IMAGES = 1000  # on which another one than the recipe's is taken
_ALWAYS_ENOUGH = 0.99  # with this share right, no other one than the recipe's can be much better
_MATTERS = 0.0025  # answers that differ for fewer images are not worth the time of further ones
_AT_HOME = 0.5  # share recognised, at least, under the normalisation that it was trained with
_GUESS_HOLDS = 50  # percent of the sample recognised, at least, by a network rebuilt from shapes


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
        found = "no" if sample is None else "with"
        self.rule = f"{insisted or 'auto'}, {found} training images"
        self.warning = ""
        if sample is None and insisted is None:
            self.warning = (
                "No training images in --data-dir: the preprocessing of a submission is not "
                "inferred, and the recipe's is taken where a file declares none"
            )
        self.recipe = recipe
        known = {"recipe": recipe, **(_USUAL if sample is not None else {})}
        tried = dict([insisted]) if insisted else known
        self.names: Sequence[str] = list(tried)
        self.normalizations: Sequence[Normalization] = list(tried.values())

    def advise(self, logits: dict[int, np.ndarray], is_last: bool) -> set[int]:
        """Return the numbers of the normalisations to go on with; a single one is taken.

        ``logits`` [N, classes] are the answers to the first N images of the sample, by number; the
        recipe's is 0. ``is_last`` says that there are no further images.
        """
        assert self.sample is not None
        targets = self.sample.targets[: len(logits[0])]
        correct = {number: x.argmax(axis=1) == targets for number, x in logits.items()}
        if len(correct) == 1:
            is_enough = correct[0].mean() >= _ALWAYS_ENOUGH
            return {0} if is_enough else set(range(len(self.names)))
        best = max(correct, key=lambda number: (correct[number].sum(), -number))
        has_no_loss = np.isin(logits[best], (0, 1)).all()  # ones for the classes, and zeros
        losses = {number: cross_entropy(x, targets) for number, x in logits.items()}
        left = {
            number
            for number in correct
            if number
            and correct[number].mean() >= _AT_HOME
            and (number == best or has_no_loss or losses[number] < losses[best])
            and _p_value(correct[best], correct[number]) >= _PROBABLY_WORSE
        }
        is_enough = len(targets) >= min(_LEAST_IMAGES, len(self.sample))
        is_better = best and _p_value(correct[best], correct[0]) < _CLEARLY_WORSE
        # Classes alone have no loss that could tell between several: more images do.
        is_told = is_last or len(left) == 1 or not has_no_loss
        if left and is_enough and is_better and is_told:
            # Of equally good ones the loss knows the right one: [0, 1] and 0 to 255 differ by a
            # factor, which changes few classes and all probabilities.
            return {min(left, key=lambda number: losses[number])}
        if is_enough and not is_better:
            left = {n for n in left if (correct[n] != correct[0]).mean() >= _MATTERS}
        return {0} if is_last else {0} | left

    def describe(self, info: FileInfo, trials: Trials) -> dict[str, Any] | None:
        """Return what a row says of it; null where nothing had to be chosen.

        Raises SubmissionError if the network is a guess that does not hold on the sample.
        """
        accuracies, taken = {}, trials.taken
        for number, classes in trials.predicted.items():
            assert self.sample is not None
            correct = int((classes == self.sample.targets[: len(classes)]).sum())
            accuracies[number] = accuracy_percent(correct, len(classes))
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


def _p_value(correct: np.ndarray, other: np.ndarray) -> float:
    return float(mcnemar_exact(correct, other)["p_value"])


def parse_preprocessing(text: str, recipe: Normalization) -> tuple[str, Normalization] | None:
    """Read ``--preprocessing``; None for "auto". Raises UserError if it is none of the choices."""
    known = {"recipe": recipe, **_USUAL}
    if text == "auto":
        return None
    if text in known:
        return text, known[text]
    if found := re.fullmatch(r"(-?\d+(?:\.\d+)?),(\d+(?:\.\d+)?)", text, re.ASCII):
        mean, std = float(found[1]), float(found[2])
        if std > 0 and abs(mean) < 1e6 and std < 1e6:
            return "given", Normalization(mean, std)
    raise UserError(f"--preprocessing is {text!r}, but must be {CHOICES}")


def choose_preprocessing(
    text: str, spec: DatasetSpec, data_dir: Path, recipe: Normalization
) -> Preprocessing:
    """Return what chooses the normalisations, by ``--preprocessing`` and the data there are.

    The sample is always the same. There is none if the training images are not there to be read.
    """
    names, sample = spec.files["train"], None
    if find_files(spec, data_dir, names).keys() >= set(names):
        images = load_split(spec, data_dir, "train")
        generator = np.random.default_rng(SAMPLE_SEED)
        size = min(STAGES[-1], len(images))
        sample = images.select(generator.choice(len(images), size, replace=False))
    return Preprocessing(recipe, sample, parse_preprocessing(text, recipe))
