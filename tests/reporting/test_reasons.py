"""What a page makes of a reason: calls to type stand apart from the prose around them."""

import pytest

from reporting.rendering import split_code

EXPORT = "torch.onnx.export(model.eval(), (torch.zeros(2, 1, 28, 28),), 'model.onnx')"


@pytest.mark.parametrize(
    ("reason", "parts"),
    [
        ("the file is empty", ["the file is empty"]),
        (f"as .onnx: {EXPORT}; or ask", ["as .onnx: ", EXPORT, "or ask"]),
        (
            "np.save('a', np.ones(3)) or np.load(x)",
            ["", "np.save('a', np.ones(3))", " or ", "np.load(x)", ""],
        ),
        ("never closed: torch.save({", ["never closed: ", "torch.save({", ""]),
        (
            "torch.nn and numpy.save() are no calls of these",
            ["torch.nn and numpy.save() are no calls of these"],
        ),
    ],
)
def test_every_other_part_is_a_call(reason, parts):
    found = split_code(reason)
    assert [part for part, _ in found] == parts
    assert [is_code for _, is_code in found] == [i % 2 == 1 for i in range(len(parts))]
