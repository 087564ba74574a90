"""The Chromium that pages are measured in, where there is one."""

import shutil
from importlib.util import find_spec
from typing import Final

BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")
FLAGS: Final = ("--no-sandbox", "--disable-gpu")


def find_chromium() -> str | None:
    """Its path, under any of the names that systems give it."""
    return next((found for name in BROWSERS if (found := shutil.which(name))), None)


def missing() -> str:
    """What is not installed of all that opens a page; empty where nothing is."""
    if find_chromium() is None:
        return "Chromium"
    return "" if find_spec("playwright") else "playwright"
