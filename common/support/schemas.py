"""What the JSON documents hold: their fields, types and ranges, as pydantic checks them.

``common.support.validation`` checks a file against these. Fields that nothing reads are left out.
"""

import base64
import math
from typing import Annotated, Any, Literal, NotRequired

from annotated_types import Ge, Gt, Le, Len
from pydantic import AfterValidator, ConfigDict, with_config

# pydantic needs this one before Python 3.12.
from typing_extensions import TypedDict


def _require_base64(text: str) -> str:
    base64.b64decode(text, validate=True)
    return text


def _require_square(pixels: str) -> str:
    size = len(base64.b64decode(pixels, validate=True))
    if size == 0 or math.isqrt(size) ** 2 != size:
        raise ValueError(f"{size} bytes are no square image")
    return pixels


Count = Annotated[int, Ge(0)]
Positive = Annotated[int, Gt(0)]
Percent = Annotated[float, Ge(0), Le(100)]
Interval = Annotated[list[Percent], Len(2, 2)]
Pair = Annotated[list[float], Len(2, 2)]
Encoded = Annotated[str, AfterValidator(_require_base64)]
Pixels = Annotated[str, AfterValidator(_require_square)]
finite = with_config(ConfigDict(allow_inf_nan=False, strict=True))


class Proportion(TypedDict):
    """A share of some images."""

    correct: Count
    total: Positive
    accuracy: Percent
    accuracy_ci95: Interval


ClassAccuracy = TypedDict(
    "ClassAccuracy",
    {
        "class": Count,
        "correct": Count,
        "total": Count,
        "accuracy": Percent | None,
        "accuracy_ci95": Interval | None,
    },
)


class Confusion(TypedDict):
    """An error and how often it was made."""

    true: Count
    predicted: Count
    count: Count


class PicturedAnswer(TypedDict):
    """A test image and the answer to it."""

    index: Count
    true: Count
    predicted: Count
    probability: Annotated[float, Ge(0), Le(1 + 1e-9)]
    pixels: Pixels


class Bin(TypedDict):
    """A bin of the reliability diagram."""

    confidence: float
    accuracy: Percent
    accuracy_ci95: Interval
    total: Positive


class Calibration(TypedDict):
    """How confidence compares with accuracy."""

    expected_calibration_error: float
    loss: float
    reliability: Annotated[list[Bin], Len(1)]


class CoveragePoint(TypedDict):
    """The accuracy on the most certain share of the images."""

    coverage: Percent
    accuracy: Percent
    correct: Count
    total: Positive


class Confidence(TypedDict):
    """Whether a network's confidence can be trusted."""

    bins: int
    temperature: Annotated[float, Gt(0)] | None
    before: Calibration
    after: Calibration | None
    coverage: Annotated[list[CoveragePoint], Len(1)]


@finite
class RowBase(TypedDict):
    """What every row of an evaluation has."""

    name: str
    source: str
    kind: str
    own: bool
    reason: str | None
    sha256: NotRequired[str]
    isolation: NotRequired[str]
    rank: NotRequired[int | None]
    duplicates: NotRequired[Count]
    duplicate_of: NotRequired[list[str]]


class ErrorRow(RowBase):
    """What could not be graded."""

    status: Literal["error"]


class MeasuredRow(RowBase, Proportion):
    """What was graded: a submission or a run."""

    status: Literal["pass", "fail"]
    per_class: list[ClassAccuracy]
    confusion_matrix: list[list[Count]]
    most_confused: list[Confusion]
    named_confusions: list[Confusion]
    epoch: int | None
    claimed_accuracy: float | None
    suspicious: bool
    claim_differs: bool
    notes: str


class GradedRow(MeasuredRow):
    """A submission that was graded. Prediction files have no loss and no network."""

    loss: float | None
    architecture: str | None
    parameters: int | None


class OwnRow(MeasuredRow):
    """A run of one's own that was measured."""

    loss: float
    architecture: str
    parameters: int
    confidence: Confidence
    misclassified: list[PicturedAnswer]
    validation: Proportion | None


class DatasetFields(TypedDict):
    """The images that were measured on."""

    name: str
    size: Positive
    md5: dict[str, str]
    key: str
    title: str
    classes: Annotated[list[str], Len(2, 256)]
    noun: str
    normalization: Pair


class Comparison(TypedDict):
    """Two runs on the same images."""

    a: str
    b: str
    only_a: Count
    only_b: Count
    p_value: float
    indices_only_a: list[int]
    indices_only_b: list[int]
    missed_by_a: list[PicturedAnswer]
    missed_by_b: list[PicturedAnswer]


class Limits(TypedDict):
    """What a submission may use."""

    memory_gib: float
    timeout_seconds: float


@finite
class Evaluation(TypedDict):
    """evaluation.json, but for its rows, which ``row_problem`` checks."""

    command: Annotated[list[str], Len(1)]
    output: str
    threshold: Percent
    dataset: DatasetFields
    best: str | None
    results: list[Any]
    comparisons: list[Comparison]
    versions: dict[str, str]
    complete: NotRequired[bool]
    isolation: NotRequired[str | None]
    limits: NotRequired[Limits]


Sample = TypedDict("Sample", {"class": Count, "pixels": Pixels, "mean_pixels": Pixels})


class ClassCounts(TypedDict):
    """Images of each class."""

    train: list[Count]
    val: list[Count]


class DataSummary(TypedDict):
    """The data set that a run was trained on."""

    key: str
    name: str
    classes: list[str]
    noun: str
    image_shape: list[int]
    train_size: Positive
    val_size: Count
    class_counts: ClassCounts
    pixel_mean: float
    pixel_std: float
    normalization: Pair
    samples: list[Sample]
    distorted: NotRequired[list[list[Pixels]]]


class Epoch(TypedDict):
    """A line of a run's history."""

    epoch: Positive
    learning_rate: float
    train_loss: float
    train_accuracy: Percent
    val_loss: float | None
    val_accuracy: Percent | None
    val_correct: Count | None
    val_total: Positive | None
    seconds: float


class Environment(TypedDict):
    """Where a run was made. Its other fields are shown as they are."""

    command: Annotated[list[str], Len(1)]


@finite
class Metrics(TypedDict):
    """metrics.json."""

    name: str
    architecture: str
    parameters: Count
    recipe: dict[str, Any]
    data: DataSummary
    environment: Environment
    history: Annotated[list[Epoch], Len(1)]
    temperature: Annotated[float, Gt(0)] | None
    seconds: float
    checkpoint_sha256: str
