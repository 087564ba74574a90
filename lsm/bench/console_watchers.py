"""Two who watch a console: pages in Chromium, or clients that count frames and show none."""

import re
import subprocess
import sys
import time
from contextlib import ExitStack
from typing import Any, Protocol, runtime_checkable

from lsm.bench.browser import FLAGS, find_chromium, missing

WATCHERS = 2
SHOWN_PX = 440
"""What the page of this size gives the image; counters ask for it."""
SETTLE_S = 1.5
"""After which a page has loaded and shows frames at their rate."""
COUNT_PAINTED = """() => {
  if (window.painted === undefined) {
    window.painted = 0;
    let waiting = false;
    const refreshed = () => { waiting = false; window.painted += 1; };
    new MutationObserver(() => {
      if (!waiting) requestAnimationFrame(refreshed);
      waiting = true;
    }).observe(document.getElementById("image"), { attributeFilter: ["data-number"] });
  }
  return window.painted;
}"""
"""Counts the screen's refreshes that showed another frame than the one before; asks for none that would not be."""


@runtime_checkable
class Watchers(Protocol):
    """Those who watch. told: who they are."""

    told: str

    def watch(self, url: str, seconds: float) -> tuple[float, ...]:
        """Watch for so long, then leave; frames a second that each has shown, after SETTLE_S."""
        ...

    def close(self) -> None:
        """They are gone."""
        ...


class Pages:
    """The console's page in browsers of their own."""

    def __init__(self) -> None:
        from playwright.sync_api import sync_playwright

        with ExitStack() as undo:
            driver = undo.enter_context(sync_playwright())
            self._pages: list[Any] = []
            for _ in range(WATCHERS):
                browser = driver.chromium.launch(executable_path=find_chromium(), args=list(FLAGS))
                undo.callback(browser.close)
                self._pages.append(browser.new_page(viewport={"width": 1180, "height": 820}))
            self.told = (
                f"{WATCHERS} pages in Chromium {browser.version}, headless; frames painted are counted in the page"
            )
            self._undo = undo.pop_all()

    def watch(self, url: str, seconds: float) -> tuple[float, ...]:
        for page in self._pages:
            page.goto(url)
            page.evaluate(COUNT_PAINTED)
        time.sleep(SETTLE_S)
        began = [(time.perf_counter(), page.evaluate(COUNT_PAINTED)) for page in self._pages]
        time.sleep(max(0.5, seconds - SETTLE_S))
        rates = []
        for (began_s, before), page in zip(began, self._pages, strict=True):
            after = page.evaluate(COUNT_PAINTED)
            rates.append((after - before) / (time.perf_counter() - began_s))
            page.goto("about:blank")
        return tuple(rates)

    def close(self) -> None:
        self._undo.close()


class Counters:
    """Programs of their own, since a client in this process would cost the control loop what no browser does."""

    told = f"{WATCHERS} WebSocket clients that count frames and decode and show none"

    def watch(self, url: str, seconds: float) -> tuple[float, ...]:
        address = re.sub(r"^http", "ws", url).rstrip("/") + f"/api/frames?side_px={SHOWN_PX}"
        command = [sys.executable, "-m", "lsm.console.counter", address, str(seconds)]
        programs = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(WATCHERS)]
        return tuple(int(program.communicate()[0]) / seconds for program in programs)

    def close(self) -> None:
        """Nothing is left of them."""


def watchers(*, browsers: bool) -> Watchers:
    """Pages where that is wanted and Chromium and playwright are installed, else counters, which say why."""
    if browsers and not missing():
        return Pages()
    counters = Counters()
    if browsers:
        counters.told += f", because {missing()} is not installed"
    return counters
