"""Every reason for an error names a next step."""

import re

import pytest

from tests.grading.reasons import reasons

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


def test_most_reasons_are_found():
    assert len(reasons()) > 100
