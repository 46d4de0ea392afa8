"""The classes of an assignment: networks from a Python file of whoever grades (``--models``)."""

import importlib.util
import inspect
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from common.models import ARCHITECTURES

_MODULE = "models_of_the_assignment"

# Classes by name; each can be built without arguments.
ASSIGNED: dict[str, Callable[[], nn.Module]] = {}


def register_file(path: Path) -> None:
    """Import the file and register its classes; what needs arguments a checkpoint has to bring.

    It is trusted code, and is run before any submission is there. Raises RuntimeError with one line
    if it fails or has no class of a network.
    """
    spec = importlib.util.spec_from_file_location(_MODULE, path)
    if spec is None or spec.loader is None:
        raise RuntimeError(f"--models {path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[_MODULE] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        said = " ".join(str(error).split())
        raise RuntimeError(f"--models {path} fails: {type(error).__name__}: {said}") from error
    networks = {
        name: value
        for name, value in vars(module).items()
        if inspect.isclass(value) and issubclass(value, nn.Module) and value.__module__ == _MODULE
    }
    if not networks:
        raise RuntimeError(f"--models {path} has no nn.Module class")
    for name, network in networks.items():
        try:
            with torch.device("meta"):
                network()
        except Exception:  # it needs arguments, or cannot be built at all
            # The two networks stay what every file without a class of its own is taken for.
            ARCHITECTURES.setdefault(name, network)
            continue
        ASSIGNED[name] = network
