"""Every reason for an error: in the table of the documentation, and with a next step."""

import re

import pytest

from bench.checks.reasons import reasons, table
from tests.conftest import REPO

# What a person can do. A reason that another one is put into has that one's.
NEXT_STEP = re.compile(
    r"\b(hand (it )?in|save|export|keep|upload|ask who grades|predict (it|again|the)|train|name|"
    r"begin the file|write|grade it again|swap|give it)\b",
    re.IGNORECASE,
)
AROUND_OTHERS = re.compile(r"none of … files can be graded; …: …|.*: …")


@pytest.mark.parametrize("reason", [text for _, text in reasons()])
def test_reason_names_the_next_step(reason):
    assert NEXT_STEP.search(reason) or AROUND_OTHERS.fullmatch(reason)


def test_table_in_the_documentation_is_the_one_of_the_code():
    assert len(reasons()) > 100
    assert (REPO / "docs/reasons.md").read_text(encoding="utf-8") == table(), (
        "run: python -m bench.checks.reasons > docs/reasons.md"
    )
