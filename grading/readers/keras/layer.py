"""A layer of Keras as a file describes it: its kind, its options, and where its weights are."""

import re
from typing import Any

from common.support.errors import SubmissionError
from common.support.text import quoted

OTHERWISE = (
    "export it as ONNX, model.predict(x_test[:2]); model.export('model.onnx', format='onnx'), or "
    "hand in predictions, np.save('predictions.npy', model.predict(x_test))"
)

# Options that have no say in the answers once a layer is trained.
_OF_TRAINING = {
    *("name", "trainable", "dtype", "batch_input_shape", "input_dim", "momentum"),
    *("renorm", "renorm_clipping", "renorm_momentum"),
}
_DTYPES = ("float32", "float16", "bfloat16", "float64", "mixed_float16", "mixed_bfloat16")
_ALSO_OF_TRAINING = re.compile(r"_(initializer|regularizer|constraint)$")


class Layer:
    """A layer by its kind, such as Dense, its options, and the names of its groups in the file.

    In a .keras file these count the layers of a kind: ``path`` has kind and number, also of the
    models that this is a part of. In an .h5 file they are the layers' own names: ``owner`` is that
    of the outermost model, or this one's. Options are looked up by name. Methods raise
    SubmissionError for what a layer cannot have, or what is not computed here.
    """

    def __init__(
        self,
        kind: str,
        config: dict[str, Any],
        path: tuple[tuple[str, int], ...] = (),
        owner: str = "",
    ) -> None:
        self.kind, self.config, self.path = kind, config, path
        self.name = str(config["name"])
        self.owner = owner or self.name
        self._known: set[str] = set()

    def __str__(self) -> str:
        return f"the layer {quoted(self.name)} ({quoted(self.kind)})"

    def option(self, name: str, default: object = None) -> Any:  # noqa: ANN401 (of JSON)
        """Return any option, or ``default`` where there is none of this name."""
        self._known.add(name)
        return self.config.get(name, default)

    def is_on(self, name: str, default: bool) -> bool:
        """Return an option that is true or false."""
        value = self.option(name, default)
        if not isinstance(value, bool):
            raise self.refusal(name)
        return value

    def choice(self, name: str, default: str, *others: str) -> str:
        """Return an option that is one of these words."""
        value = self.option(name, default)
        if value not in (default, *others):
            raise self.refusal(name)
        return str(value)

    def number(self, name: str, default: float) -> float:
        """Return an option that is a number."""
        value = self.option(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e30:
            raise self.refusal(name)
        return float(value)

    def whole(self, name: str, default: int | None = None) -> int:
        """Return an option that is a whole number from 1 on."""
        value = self.option(name, default)
        if type(value) is not int or not 0 < value < 2**31:
            raise self.refusal(name)
        return value

    def pair(self, name: str, default: object = None) -> tuple[int, int]:
        """Return an option for rows and columns: two whole numbers from 1 on, or one for both."""
        value = self.option(name)
        value = default if value is None else value
        both: Any = value if isinstance(value, list | tuple) else [value, value]
        if len(both) != 2 or not all(type(n) is int and 0 < n < 2**15 for n in both):
            raise self.refusal(name)
        return both[0], both[1]

    def refusal(self, name: str) -> SubmissionError:
        """Return the error for an option that is not computed."""
        value = self.config.get(name)
        plain = value is None or isinstance(value, bool | int | float | list)
        shown = quoted(str(value)[:100] if plain else value)
        return SubmissionError(
            f"{self} has {quoted(name)} set to {shown}, which is not computed here: {OTHERWISE}"
        )

    def dtype(self) -> str:
        """Return the type in which it computes, such as float32 or mixed_float16."""
        value = self.config.get("dtype")
        for _ in range(2):  # a policy, which may be in a dictionary of its own
            value = value.get("config", value).get("name") if isinstance(value, dict) else value
        if value not in (None, *_DTYPES):
            raise self.refusal("dtype")
        return str(value or "float32")

    def check_options(self) -> None:
        """Refuse options that nobody has looked up: they could change the answers."""
        for name, value in self.config.items():
            is_idle = name in (*self._known, *_OF_TRAINING) or _ALSO_OF_TRAINING.search(name)
            if not is_idle and value is not None and value is not False:
                raise self.refusal(name)
