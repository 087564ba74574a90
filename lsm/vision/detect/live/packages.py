"""Packages that only exported detectors need."""

from importlib import import_module
from typing import Any

from lsm.errors import ToolMissing


def package(name: str) -> Any:
    """The imported package. Raises ToolMissing where it is not installed."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise ToolMissing(
            f"The package {name} is not installed.", hint='pip install "learned-sensing-microscope[live]"'
        ) from error
