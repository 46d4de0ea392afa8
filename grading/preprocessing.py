"""How a submission's inputs are made of pixels: declared, inferred on training images, or given.

A network is measured with the normalisation that it was trained with. Where its file does not say
which that is, the usual ones are tried on training images. One that recognises few of these is
tried on transposed ones as well, as torchvision's EMNIST has them. No test label has a say.
"""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from common.data.arrays import LabelledImages, load_split
from common.data.catalog import DatasetSpec, Normalization
from common.data.search import find_files
from common.metrics import accuracy_percent
from common.support.errors import AS_ONNX, SubmissionError, UserError
from evaluations.rows import FileInfo
from grading.sandbox.wire import ADVISED, DECLARED, NONE, STAGES, Trials

CHOICES = "auto, recipe, unit, half, raw or MEAN,STD"
# Pixels in [0, 1], in [-1, 1], and from 0 to 255, as mean and deviation of pixels in [0, 1].
_USUAL = {
    "unit": Normalization(0.0, 1.0),
    "half": Normalization(0.5, 0.5),
    "raw": Normalization(0.0, 1 / 255),
}
SAMPLE_SEED = 0

# Standard errors by which a way's loss must be above the lowest one for the way to be given up:
# fewer where the lowest is the recipe's, which most networks are trained with.
_WORSE, _WORSE_THAN_RECIPE = 3, 2

_MATTERS = 0.001  # share of the images: what can gain less than that is not worth further ones
_FEW = 0.5  # a network that recognises a smaller share may have been trained on transposed images
_HARDLY_ANY = 0.25  # with a smaller share recognised, no way is told from the others
# A network may be timid on images that it was trained on, say with a squared error, but is never
# much too certain, as one for [0, 1] is that gets pixels from 0 to 255.
_LOG_TEMPERATURES = np.linspace(-3, 1, 9)
_FINER = np.linspace(-0.4, 0.4, 9)  # around the best of these
_DOUBT = 0.01  # of each probability: no single image decides
_GUESS_HOLDS = 50  # percent of the sample recognised, at least, by a network rebuilt from shapes


class Preprocessing:
    """Chooses the normalisation of each submission, and whether images are transposed for it.

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
        """Return the numbers of the ways to go on with; a single one is taken.

        ``logits`` [N, classes] are the answers to the first N images of the sample, by number: a
        normalisation's own, the recipe's being 0, and after those the same on transposed images.
        Zeros alone are no answer. ``is_last`` says that there are no further images.
        """
        assert self.sample is not None
        answered = {number: x for number, x in logits.items() if x.any()}
        if not answered:
            return {0}
        num_images = len(next(iter(answered.values())))
        targets = self.sample.targets[:num_images]
        correct = {number: x.argmax(axis=1) == targets for number, x in answered.items()}
        losses = {number: _losses(x, targets) for number, x in answered.items()}
        best = min(losses, key=lambda number: (losses[number].mean(), number))
        margin = _WORSE if best else _WORSE_THAN_RECIPE

        def may_be_better(number: int) -> bool:
            loss = losses[number] - losses[best]
            gain = correct[number].astype(int) - correct[best]
            most = gain.sum() + 2 * math.sqrt((gain != 0).sum() + 1)
            is_worse = loss.mean() > margin * loss.std() / math.sqrt(num_images)
            return not is_worse and most >= _MATTERS * num_images

        left = {number for number in answered if number == best or may_be_better(number)}
        recognised, num_upright = correct[best].mean(), len(self.names)
        if recognised < _HARDLY_ANY:
            left = {0}
        if is_last:
            return {best} & left or {0}
        if recognised < _FEW and num_images <= STAGES[0] and max(logits) < num_upright:
            left |= {number + num_upright for number in range(num_upright)}
        return left

    def is_transposed(self, trials: Trials) -> bool:
        """Tell whether the test images were transposed for a network."""
        return trials.taken >= len(self.names)

    def note(self, trials: Trials) -> str:
        """Return what the notes of a row say of it: nothing of most networks for upright images."""
        found = self._sample_accuracies(trials)
        if not self.is_transposed(trials):
            most = max(found.values(), default=100)
            if len(found) < len(_USUAL) or most >= 100 * _HARDLY_ANY:
                return ""
            return (
                f"recognises at most {most:.0f} % of the training images in each usual "
                "preprocessing: if it was trained on others, such as inverted ones, hand in an "
                ".onnx that prepares pixels in [0, 1] itself"
            )
        upright = max(x for number, x in found.items() if number < len(self.names))
        return (
            "measured on transposed images, as torchvision's EMNIST has them: it recognises "
            f"{found[trials.taken]:.0f} % of the training images so, and {upright:.0f} % upright"
        )

    def describe(self, info: FileInfo, trials: Trials) -> dict[str, Any] | None:
        """Return what a row says of it; null where nothing had to be chosen.

        Raises SubmissionError if the network is a guess that does not hold on the sample.
        """
        accuracies, taken = self._sample_accuracies(trials), trials.taken
        if info.is_guess and accuracies and accuracies[taken] < _GUESS_HOLDS:
            raise SubmissionError(
                "the layers fit, but with ReLU between them the network recognises only "
                f"{accuracies[taken]:.0f} % of the training images: it is another one, or not "
                f"trained: {AS_ONNX}"
            )
        if info.chosen == NONE:
            return None
        is_tried = info.chosen == ADVISED and not self.is_given
        if info.chosen == DECLARED:
            known = {"recipe": self.recipe, **_USUAL}
            named = [n for n, x in known.items() if x == (info.mean, info.std)]
            source, name = "declared", named[0] if named else "declared"
        else:
            name = self.names[taken % len(self.names)]
            source = "given" if self.is_given else "inferred" if taken else "recipe"
        return {
            "name": name,
            "mean": info.mean,
            "std": info.std,
            "source": source,
            "transposed": self.is_transposed(trials),
            "sample_accuracy": accuracies.get(taken),
            "sample_accuracy_recipe": accuracies.get(0) if is_tried else None,
        }

    def _sample_accuracies(self, trials: Trials) -> dict[int, float]:
        """Return how much of the sample was recognised each way, in percent."""
        found = {}
        for number, classes in trials.predicted.items():
            assert self.sample is not None
            correct = int((classes == self.sample.targets[: len(classes)]).sum())
            found[number] = accuracy_percent(correct, len(classes))
        return found


def _losses(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return the loss of each image, float64 [N], at the temperature that makes their mean least.

    A wrong scale of the inputs can make a timid network, such as one trained with label smoothing,
    more certain and so lower its plain loss. Classes alone have no loss; they are right or wrong.
    """
    images = np.arange(len(targets))
    if np.isin(logits, (0, 1)).all():
        return 1.0 - logits[images, targets]
    ahead = logits.astype(np.float64)
    ahead -= ahead[images, targets][:, None]

    def at(log_temperature: float) -> np.ndarray:
        right = 1 / np.exp(ahead / math.exp(log_temperature)).sum(axis=1)
        losses: np.ndarray = -np.log((1 - _DOUBT) * right + _DOUBT / logits.shape[1])
        return losses

    best = 0.0
    with np.errstate(over="ignore"):  # far ahead of the right class: its probability is 0
        for steps in (_LOG_TEMPERATURES, _FINER):
            best = min(best + steps, key=lambda log_temperature: at(log_temperature).mean())
        return at(best)


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


def _choose(num_images: int) -> np.ndarray:
    size = min(STAGES[-1], num_images)
    return np.random.default_rng(SAMPLE_SEED).choice(num_images, size, replace=False)


def choose_preprocessing(
    text: str, spec: DatasetSpec, data_dir: Path, recipe: Normalization
) -> Preprocessing:
    """Return what chooses the normalisations, by ``--preprocessing`` and the data there are.

    The sample is always the same. There is none if the training images are not there to be read.
    """
    names, sample = spec.files["train"], None
    if spec.known is None or find_files(spec, data_dir, names).keys() >= set(names):
        sample = load_split(spec, data_dir, "train", _choose)
    return Preprocessing(recipe, sample, parse_preprocessing(text, recipe))
