"""The console's page in Debian's chromium, and pictures of it.

With LSM_SCREENSHOTS naming a folder, pictures of the tests' steps are left there; those in docs/images are made so:
LSM_SCREENSHOTS=docs/images pytest tests/console
"""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

from console.rigs import Served
from lsm.bench.browser import FLAGS, find_chromium

needs_chromium = pytest.mark.skipif(find_chromium() is None, reason="chromium is missing: apt-get install chromium")
IN_CHROMIUM = [
    pytest.mark.firmware,
    needs_chromium,
    pytest.mark.timeout(900),
]
AXE = find_spec("axe_core_python")
AXE_FAULTS = "axe.run().then(found => found.violations.map(one => [one.id, one.nodes.map(node => node.html)]))"
needs_axe = pytest.mark.skipif(AXE is None, reason="axe-core-python is missing")
PICTURES = Path(os.environ["LSM_SCREENSHOTS"]).resolve() if os.environ.get("LSM_SCREENSHOTS") else None
DARK_WITHIN_S = 0.2
"""What an operator is promised."""
PATIENT_MS = 300_000
"""A loaded machine computes fields and reports slowly; only a hang needs so long."""
TABLET = {"width": 1180, "height": 820}
COLOURS = 128
"""Of a picture: enough for the page, and a third of the bytes."""


@contextmanager
def opened(here: Served) -> Iterator[Page]:
    """The page, once it steers. `page.faults` holds the errors of its scripts."""
    expect.set_options(timeout=PATIENT_MS)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=find_chromium(), args=list(FLAGS))
        page = browser.new_page(viewport=TABLET)
        page.set_default_timeout(PATIENT_MS)
        page.faults = []  # type: ignore[attr-defined]
        page.on("pageerror", lambda error: page.faults.append(str(error)))  # type: ignore[attr-defined]
        page.goto(here.url)
        expect(page.locator("#who")).to_have_text("You steer")
        yield page
        browser.close()


def picture(page: Page, name: str) -> None:
    """Leave console-NAME.png where LSM_SCREENSHOTS says, if it does."""
    if PICTURES is not None:
        seen = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        few = seen.quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        few.save(PICTURES / f"console-{name}.png", optimize=True)


def start_scan(page: Page, slide: str, *, columns: int) -> None:
    """One row of fields."""
    page.click("#tab-run")
    page.fill("#slide", slide)
    page.fill("#columns", str(columns))
    page.fill("#rows", "1")
    page.click("#start")


def press_go_on(page: Page) -> None:
    """With the last run that has not come to its end, having seen which it is."""
    page.click("#earlier button >> nth=0")
    page.click("#go-on")


def axe_faults(page: Page) -> Any:
    """What axe finds wrong with the page as it is now."""
    assert AXE is not None
    assert AXE.origin is not None
    page.evaluate((Path(AXE.origin).parent / "axe.min.js").read_text(encoding="utf-8"))
    return page.evaluate(AXE_FAULTS)
