"""A run's page in a real browser: nothing is loaded, nothing overflows, no errors, labels do not lie on each other."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from sightline.logbook.page import RunRecord, run_page
from sightline.logbook.story import Metrics, Shared, Story
from sightline.pages.report import Card, Verdict, render_report

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.browser, pytest.mark.slow]

OVERLAPPING = """() => {
  const found = [];
  for (const kind of ["x", "y"]) for (const field of document.querySelectorAll(".plot .field")) {
    const boxes = [...field.querySelectorAll("span." + kind)].map(one => one.getBoundingClientRect());
    for (let i = 1; i < boxes.length; i++) {
      const [a, b] = [boxes[i - 1], boxes[i]];
      if (kind === "x" ? a.right > b.left : b.bottom > a.top) found.push(field.parentElement.ariaLabel);
    }
  }
  return found;
}"""


@pytest.fixture(scope="module", params=[1, 10, 20_000])
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    steps = request.param
    metrics = Metrics(
        {
            "step": step, "loss": 3 / step if step % 7 else math.nan, "grad_norm": 1e4 / step**2, "seconds": step / 9,
            "learning_rate": 2e-5 * (1 - step / steps), "rewards/chosen": step * 1e-3, "rewards/rejected": -step * 1e6,
            "eval_pope_accuracy": 0.8, "eval_pope_accuracy_low": 0.7, "eval_pope_accuracy_high": 0.9,
            "eval_pope_unparsed": 0.0, "eval_pope_errors": 0,
        }
        for step in range(1, steps + 1)
    )  # fmt: skip
    long = "a_word_without_any_space_in_it_" * 9
    story = Story("DPO", "models/" + long, long + ".jsonl", step=steps, max_steps=steps, rows_per_step=4, route="mask",
                  reason=long, shared=Shared(1000, 400, 16, 8), said=(long,), settings={long: long})  # fmt: skip
    card = Card(Image.new("RGB", (300, 90)), long, "", (Verdict("chosen", long, True),), long)
    record = RunRecord(long, story, metrics, {"output_dir": long}, {"command": ["sightline", long]}, (card,))
    file = tmp_path_factory.mktemp("page") / "report.html"
    file.write_text(render_report(run_page(record)), encoding="utf-8")
    return file


@pytest.mark.parametrize(("width", "scheme"), [(320, "dark"), (390, "light"), (1280, "dark")])
def test_a_page_fits_its_screen_and_its_labels_do_not_touch(
    chromium: Browser, page: Path, width: int, scheme: str
) -> None:
    found = chromium.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    faults: list[str] = []
    found.on("console", lambda message: faults.append(message.text))
    found.on("pageerror", lambda error: faults.append(str(error)))
    asked: list[str] = []
    found.on("request", lambda request: asked.append(request.url))
    found.goto(page.as_uri())
    found.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert found.evaluate("document.documentElement.scrollWidth") == width
    assert found.evaluate(OVERLAPPING) == []
    assert found.locator(".plot").count() == found.locator(".plot[aria-label]").count() >= 5
    assert faults == [] and [url for url in asked if not url.startswith("data:")] == [page.as_uri()]
    found.close()
