"""The errors that a user can cause, and the exit statuses of the scripts."""

import math

ALL_PASSED = 0
SOME_FAILED = 1
CANNOT_RUN = 2

# The way of any network of PyTorch's to a grade.
AS_ONNX = (
    "hand it in as .onnx: torch.onnx.export(model.eval(), (torch.zeros(2, 1, 28, 28),), "
    "'model.onnx', external_data=False, dynamic_shapes=({0: 'N'},)); or ask who grades to name its "
    "class (--models)"
)


class UserError(Exception):
    """Something that the user can fix. The text says what is wrong, where, and what to do."""


class SubmissionError(Exception):
    """Why a file cannot be graded, in a sentence for the person who handed it in."""


class PassingError(SubmissionError):
    """A SubmissionError that may be gone the next time, so that its row is not kept."""


class MachineError(UserError):
    """What the machine that grades lacks, which no submission can be blamed for."""


def require_positive(at_most: float = math.inf, **settings: float | None) -> None:
    """Refuse settings that are not finite numbers above 0, or above ``at_most``.

    The keywords are the names of the flags; None is a flag that was not given. Raises UserError for
    the first of them.
    """
    limit = "a finite number above 0" if at_most == math.inf else f"above 0, at most {at_most:g}"
    for name, value in settings.items():
        if value is not None and not (0 < value < math.inf and value <= at_most):
            raise UserError(f"--{name.replace('_', '-')} is {value:g}, but must be {limit}")
