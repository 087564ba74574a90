"""The page of a module's console, and that none of its scripts fails in a test."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page

from console.pages import opened
from console.rigs import Served


@pytest.fixture(scope="module")
def opened_page(here: Served) -> Iterator[Page]:
    """In Chromium, once for all tests of the module."""
    with opened(here) as page:
        yield page


@pytest.fixture
def page(opened_page: Page) -> Iterator[Page]:
    """As the test before left it."""
    yield opened_page
    assert opened_page.faults == []  # type: ignore[attr-defined]
