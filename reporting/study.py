"""The study of the tutorial's claims as a page; the study itself is ``bench/study/claims.py``."""

from collections import Counter
from pathlib import Path
from typing import Any, Literal

from common.support.files import read_json
from evaluations.schemas import Pair, Positive, listed, shape
from evaluations.validation import check
from reporting.figures import dot_plots
from reporting.rendering import Row, Section, command_text, render

_SECTIONS = (
    Section("claims", "What was found", needs="claims"),
    Section("claims_forest", "The differences", needs="claims"),
    Section("claims_method", "How it was measured", needs="runs"),
)

# bench/results/claims.json.
Claim = shape(
    claim=str,
    contrast=str,
    note=str,
    measure=str,
    more_is_better=bool,
    seeds=listed(int, 1),
    follows=listed(float, 1),
    other=listed(float, 1),
    mean_difference=float,
    interval=Pair,
    interval_corrected=Pair,
    confidence_corrected=float,
    margin=float | None,
    verdict=Literal["supported", "contradicted", "equivalent", "undecided"],
)
Study = shape(
    command=listed(str, 1),
    environment=shape(torch=str, device_name=str),
    images=shape(train=Positive, validation=Positive),
    claims=listed(Claim, 1),
    runs=listed(Any, 1),
)


def read_study(path: Path) -> Row:
    """Read the study.

    Raises UserError if the file is not what ``bench.study.claims`` writes.
    """
    document = read_json(path)
    check(document, Study, path, "run bench.study.claims again")
    return document


def render_study(document: Row, checksum: str) -> str:
    """Return the page of the study.

    ``document`` is ``bench/results/claims.json``, and ``checksum`` its SHA-256 sum.
    """
    script, *flags = document["command"]
    claims = [{**claim, "number": i} for i, claim in enumerate(document["claims"], start=1)]
    page: Row = {
        "claims": claims,
        "counts": Counter(claim["verdict"] for claim in claims),
        "marks": {"supported": "✓", "contradicted": "✗", "equivalent": "=", "undecided": "○"},
        "forests": {
            measure: dot_plots.forest([c for c in claims if c["measure"] == measure], measure)
            for measure in dict.fromkeys(claim["measure"] for claim in claims)
        },
        "runs": document["runs"],
        "images": document["images"],
        "environment": document["environment"],
        "command": command_text(["-m", f"bench.study.{script.removesuffix('.py')}", *flags]),
        "sources": {"the study": checksum},
    }
    return render("claims.html", page, _SECTIONS)
