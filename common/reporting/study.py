"""The study of the tutorial's claims as a page; the study itself is ``bench/study/claims.py``."""

from collections import Counter
from typing import Annotated, Any, Literal

from annotated_types import Len
from markupsafe import Markup
from typing_extensions import TypedDict

from common.reporting import dot_plots
from common.reporting.pages import Section, command_text, jinja_environment
from common.support.schemas import Pair, Positive, finite

_SECTIONS = (
    Section("claims", "What was found", needs="claims"),
    Section("claims_forest", "The differences", needs="claims"),
    Section("claims_method", "How it was measured", needs="runs"),
)

Row = dict[str, Any]


class Claim(TypedDict):
    """A claim of the study and the verdict on it."""

    claim: str
    contrast: str
    measure: str
    seeds: Annotated[list[int], Len(2)]
    follows: Annotated[list[float], Len(2)]
    other: Annotated[list[float], Len(2)]
    mean_difference: float
    interval: Pair
    verdict: Literal["supported", "contradicted", "not distinguishable"]


class StudyImages(TypedDict):
    """How many images the study trained and measured on."""

    train: Positive
    validation: Positive


class StudyEnvironment(TypedDict):
    """Where the study was made."""

    torch: str
    device_name: str


@finite
class Study(TypedDict):
    """bench/results/claims.json."""

    command: Annotated[list[str], Len(1)]
    environment: StudyEnvironment
    images: StudyImages
    claims: list[Claim]
    runs: Annotated[list[Any], Len(1)]


def render_study(document: Row, checksum: str) -> str:
    """Return the page of the study.

    Parameters
    ----------
    document : dict
        ``bench/results/claims.json``.
    checksum : str
        SHA-256 sum of that file.
    """
    script, *flags = document["command"]
    claims = [{**claim, "number": i} for i, claim in enumerate(document["claims"], start=1)]
    by_measure: dict[str, list[Row]] = {}
    for claim in claims:
        by_measure.setdefault(claim["measure"], []).append(claim)
    page: Row = {
        "claims": claims,
        "counts": Counter(claim["verdict"] for claim in claims),
        "marks": {"supported": "✓", "contradicted": "✗", "not distinguishable": "○"},
        "forests": {
            measure: Markup(dot_plots.forest(some, measure)) for measure, some in by_measure.items()
        },
        "runs": document["runs"],
        "images": document["images"],
        "environment": document["environment"],
        "command": command_text(["-m", f"bench.study.{script.removesuffix('.py')}", *flags]),
        "sources": {"the study": checksum},
    }
    page["sections"] = [section for section in _SECTIONS if page[section.needs]]
    return jinja_environment().get_template("claims.html").render(page)
