"""Pages as people see them, in the machine's own Chromium, with everything that they ask the network for.

    @needs_browser
    def test_page(tmp_path):
        with visiting((tmp_path / "page.html").as_uri(), width=390) as visit:
            assert visit.errors == []
            assert visit.elsewhere == []
            visit.page.screenshot(path=tmp_path / "page.png", full_page=True)

Where there is no Chromium, such tests are skipped, except in CI, where they fail: `make programs` installs it.
"""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import ConsoleMessage, Error, Page, Request, Response, WebSocket

_FLAGS: Final = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
CHROMIUM: Final = next((c for c in ("/usr/bin/chromium", shutil.which("chromium")) if c and Path(c).exists()), None)

needs_browser = pytest.mark.skipif(
    CHROMIUM is None and not os.environ.get("CI"), reason="there is no chromium here; `make programs` installs it"
)


@dataclass
class Visit:
    """An open page, every address that it and its like asked for, and every complaint of the console."""

    page: Page
    origin: str
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def elsewhere(self) -> list[str]:
        """What was asked of others than where the page comes from; `data:` and `blob:` are inside the page."""
        return [r for r in self.requests if urlsplit(r).scheme not in {"data", "blob"} and _origin(r) != self.origin]

    @property
    def overflow(self) -> int:
        """By how many pixels the page is wider than its window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))

    def on_request(self, asked: Request | WebSocket) -> None:
        self.requests.append(asked.url)

    def on_response(self, answer: Response) -> None:
        if answer.status >= 400:
            self.errors.append(f"{answer.status} {answer.url}")

    def on_console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "assert"}:
            self.errors.append(message.text)

    def on_error(self, error: Error) -> None:
        self.errors.append(str(error))


def _origin(url: str) -> str:
    """Who answers for an address; the same for `http:` and `ws:`. A file is an origin of its own."""
    parts = urlsplit(url)
    return url if parts.scheme == "file" else parts.netloc


@contextmanager
def visiting(url: str, *, width: int = 1280, height: int = 900, dark: bool = False, **options: Any) -> Iterator[Visit]:  # noqa: ANN401 - those of playwright's Browser.new_context
    """The page at an address, loaded, in a new browser that ends with the block."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - tests of other things do without

    assert CHROMIUM is not None, "there is no chromium; `make programs` installs it"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(_FLAGS))
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light", **options
        )
        page = context.new_page()
        visit = Visit(page, _origin(url))
        context.on("request", visit.on_request)
        page.on("websocket", visit.on_request)
        page.on("response", visit.on_response)
        page.on("console", visit.on_console)
        page.on("pageerror", visit.on_error)
        page.goto(url)
        yield visit
        browser.close()
