"""What the JSON documents hold: their fields with types and ranges, as pydantic checks them.

``evaluations.validation`` checks a file against these. Fields that nothing reads are left out.
"""

import base64
import math
from types import GenericAlias
from typing import Annotated, Any, Literal, NotRequired

from annotated_types import Ge, Gt, Le, Len
from pydantic import AfterValidator, ConfigDict, with_config

# pydantic needs this one before Python 3.12.
from typing_extensions import TypedDict

# mypy does not see that it can be called.
make_typed_dict: Any = TypedDict


def shape(*bases: Any, **fields: Any) -> Any:  # noqa: ANN401 (types as values)
    """Return the type of a dictionary with these fields, and with those of other such types."""
    inherited = {name: kind for base in bases for name, kind in base.__annotations__.items()}
    checked = ConfigDict(strict=True, allow_inf_nan=False)
    return with_config(checked)(make_typed_dict("Fields", inherited | fields))


def listed(kind: Any, at_least: int = 0) -> Any:  # noqa: ANN401
    """Return the type of a list whose entries are of a kind."""
    return Annotated[GenericAlias(list, (kind,)), Len(at_least)]


def _require_square(pixels: str) -> str:
    size = len(base64.b64decode(pixels, validate=True))
    if size == 0 or math.isqrt(size) ** 2 != size:
        raise ValueError(f"{size} bytes are no square image")
    return pixels


Count = Annotated[int, Ge(0)]
Positive = Annotated[int, Gt(0)]
Percent = Annotated[float, Ge(0), Le(100)]
Probability = Annotated[float, Ge(0), Le(1)]
Interval = Annotated[list[Percent], Len(2, 2)]
Pair = Annotated[list[float], Len(2, 2)]
Pixels = Annotated[str, AfterValidator(_require_square)]
Temperature = Annotated[float, Gt(0)] | None

Proportion = shape(correct=Count, total=Positive, accuracy=Percent, accuracy_ci95=Interval)

# The rows of evaluation.json.
ClassAccuracy = shape(
    **{"class": Count},
    correct=Count,
    total=Count,
    accuracy=Percent | None,
    accuracy_ci95=Interval | None,
)
Confusion = shape(true=Count, predicted=Count, count=Positive)
Picture = shape(
    index=Count, true=Count, predicted=Count, probability=Probability | None, pixels=Pixels
)
Bin = shape(confidence=float, accuracy=Percent, accuracy_ci95=Interval, total=Positive)
Calibration = shape(expected_calibration_error=float, loss=float, reliability=listed(Bin, 1))
CoveragePoint = shape(coverage=Percent, accuracy=Percent, correct=Count, total=Positive)
Confidence = shape(
    bins=int,
    temperature=Temperature,
    before=Calibration,
    after=Calibration | None,
    coverage=listed(CoveragePoint, 1),
)
Preprocessing = shape(
    name=str,
    mean=float,
    std=float,
    source=Literal["declared", "inferred", "recipe", "given"],
    transposed=NotRequired[bool],
    sample_accuracy=Percent | None,
    sample_accuracy_recipe=Percent | None,
)
AnyRow = shape(
    name=str,
    source=str,
    kind=str,
    own=bool,
    reason=str | None,
    sha256=NotRequired[str],
    isolation=NotRequired[str],
    rank=NotRequired[int | None],
    duplicates=NotRequired[Count],
    duplicate_of=NotRequired[list[str]],
    student=NotRequired[str | list[str]],
    upload=NotRequired[str],
    owner=NotRequired[str],
    submitted_at=NotRequired[str],
    late_on_canvas=NotRequired[bool],
    late=NotRequired[bool | None],
    files_sha256=NotRequired[str],
    try_again=NotRequired[bool],
    preprocessing=NotRequired[Preprocessing | None],
)
ErrorRow = shape(AnyRow, status=Literal["error"], reason=str)
GradedRow = shape(
    AnyRow,
    Proportion,
    status=Literal["pass", "fail"],
    loss=float | None,
    per_class=listed(ClassAccuracy),
    confusion_matrix=list[list[Count]],
    most_confused=listed(Confusion),
    named_confusions=listed(shape(Confusion, count=Count)),
    architecture=str | None,
    parameters=int | None,
    epoch=int | None,
    claimed_accuracy=float | None,
    suspicious=bool,
    claim_differs=bool,
    notes=str,
    misclassified=listed(Picture),
)
Unit = shape(**{"class": Count}, weights=Pixels)
Layer = shape(units=Positive, dead=Count, active=Percent)
Point = shape(x=float, y=float, true=Count, predicted=Count)
Inspection = shape(
    units=listed(Unit),
    layers=listed(Layer, 1),
    decisive=listed(Pixels),
    plane=listed(Point),
)
OwnPicture = shape(Picture, probability=Probability)
OwnRow = shape(
    GradedRow,
    loss=float,
    architecture=str,
    parameters=int,
    confidence=Confidence,
    validation=Proportion | None,
    inspection=NotRequired[Inspection | None],
    misclassified=listed(OwnPicture),
    confused=listed(OwnPicture),
)

DatasetFields = shape(
    name=str,
    size=Positive,
    md5=dict[str, str],
    title=str,
    classes=Annotated[list[str], Len(2, 256)],
    noun=str,
    public=bool,
)
Comparison = shape(
    a=str,
    b=str,
    only_a=Count,
    only_b=Count,
    p_value=float,
    indices_only_a=list[int],
    indices_only_b=list[int],
    missed_by_a=listed(Picture),
    missed_by_b=listed(Picture),
)
Corruption = shape(
    name=str,
    group=str,
    pixels=Pixels,
    runs=listed(shape(Proportion, run=str)),
)
# Without its rows, which ``validation.row_problem`` checks.
Evaluation = shape(
    command=listed(str, 1),
    output=str,
    threshold=Percent,
    dataset=DatasetFields,
    best=str | None,
    results=list[Any],
    comparisons=listed(Comparison),
    robustness=NotRequired[shape(size=Count, corruptions=listed(Corruption, 1))],
    complete=NotRequired[bool],
    isolation=NotRequired[str | None],
    limits=NotRequired[
        shape(memory_gib=float, timeout_seconds=float, filters_system_calls=NotRequired[bool])
    ],
)

# metrics.json.
DataSummary = shape(
    key=str,
    name=str,
    classes=list[str],
    image_shape=list[int],
    train_size=Positive,
    val_size=Count,
    class_counts=shape(train=list[Count], val=list[Count]),
    pixel_mean=float,
    pixel_std=float,
    normalization=Pair,
    samples=listed(shape(**{"class": Count}, pixels=Pixels, mean_pixels=Pixels)),
    distorted=NotRequired[list[list[Pixels]]],
)
Epoch = shape(
    epoch=Positive,
    learning_rate=float,
    train_loss=float,
    train_accuracy=Percent,
    val_loss=float | None,
    val_accuracy=Percent | None,
    val_correct=Count | None,
    val_total=Positive | None,
)
Metrics = shape(
    recipe=dict[str, Any],
    data=DataSummary,
    environment=shape(command=listed(str, 1)),
    history=listed(Epoch, 1),
    temperature=Temperature,
    seconds=float,
    checkpoint_sha256=str,
)
