"""The page in a real browser: filters, search, keys and pages work, nothing is loaded, nothing overflows, no errors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sightline.cli.main import run
from tests.evaluation.made_runs import answers, made_run, write_rows

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """60 items about 30 pictures, 20 of which the page carries: 39 right, 19 wrong, one unreadable, one unanswered."""
    data = write_rows(tmp_path_factory.mktemp("runs"), count=60)
    said = [*answers("110" * 20)[:58], "I cannot see the picture."]
    flags = ("--report_pictures", "20")
    return made_run(data, "nano", said, *flags), made_run(data, "better", answers("1" * 60), *flags)


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A page of a phone's width that fails the test on any error, message or request."""
    found = chromium.new_page(viewport={"width": 390, "height": 800}, color_scheme="dark")
    faults: list[str] = []
    found.on("console", lambda message: faults.append(message.text))
    found.on("pageerror", lambda error: faults.append(str(error)))
    requests: list[str] = []
    found.on("request", lambda request: requests.append(request.url))
    yield found
    assert faults == []
    assert [url[:5] for url in requests if not url.startswith("data:")] == ["file:"], "one file, and nothing else"
    found.close()


def counted(page: Page) -> dict[str, str]:
    """What each filter says it holds."""
    texts = (chip.inner_text() for chip in page.locator(".chips button").all())
    return {label: count for label, _, count in (text.rpartition(" ") for text in texts)}


def test_filters_count_and_show_what_they_say(page: Page, runs: tuple[Path, Path]) -> None:
    page.goto((runs[0] / "report.html").as_uri())
    page.locator("[data-field=seen]").uncheck()
    assert counted(page) == {"All": "60", "Right": "39", "Wrong": "19", "Unparsed": "1", "No answer": "1"}
    page.get_by_role("button", name="No answer").click()
    assert page.locator("article").count() == 1 and "no answer came" in page.locator("article").inner_text()
    page.get_by_role("button", name="Wrong").click()
    assert page.locator("article").count() == 19 == page.locator(".verdict.wrong").count()
    page.locator("[data-field=category]").select_option("count")
    assert counted(page)["All"] == "30" and page.locator(".found").inner_text().startswith(
        f"{page.locator('article').count()} of 60"
    )


def test_search_narrows_by_question_and_keys_turn_pages(page: Page, runs: tuple[Path, Path]) -> None:
    page.goto((runs[0] / "report.html").as_uri())
    page.locator("[data-field=seen]").uncheck()
    assert page.locator("article").count() == 24 and page.locator(".pager span").inner_text() == "1 of 3"
    page.locator(".cards").scroll_into_view_if_needed()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.locator("article").count() == 12 and page.locator(".pager span").inner_text() == "3 of 3"
    page.keyboard.press("/")
    page.keyboard.type("NUMBER 57")
    assert page.locator("article").count() == 1 and "number 57" in page.locator("article").inner_text()
    page.keyboard.press("Escape")
    assert page.locator("article").count() == 24
    page.locator("[data-field=text]").fill("nothing like it")
    assert page.locator(".found").inner_text() == "No sample fits these filters."


def test_pictures_are_shown_as_many_as_asked_for_and_the_rest_is_owned_up_to(
    page: Page, runs: tuple[Path, Path]
) -> None:
    page.goto((runs[0] / "report.html").as_uri())
    assert page.locator("[data-field=seen]").is_checked(), "samples with pictures come first"
    assert page.locator("article img").count() == page.locator("article").count()
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    assert "20 of 30 pictures are" in page.locator(".browser .caption").inner_text()


def test_a_comparison_shows_both_answers_of_each_flip(page: Page, runs: tuple[Path, Path], tmp_path: Path) -> None:
    assert run(["compare", *map(str, runs), "--output_dir", str(tmp_path / "compared")]) == 0
    page.goto((tmp_path / "compared" / "report.html").as_uri())
    assert counted(page) == {"All": "60", "Better in B": "21", "Same answer": "39"}
    page.get_by_role("button", name="Better in B").click()
    first = page.locator("article").first
    assert first.locator(".verdict.wrong").count() == 1 and first.locator(".verdict.right").count() == 1
    assert "A\nblue" in first.inner_text() and "B\nred" in first.inner_text()


@pytest.mark.parametrize("width", [320, 390, 1200])
def test_nothing_is_wider_than_the_screen(page: Page, runs: tuple[Path, Path], width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.goto((runs[0] / "report.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") == width
