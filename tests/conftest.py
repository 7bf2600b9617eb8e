"""What every test starts from: no network, few threads, the shared data where it exists."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).resolve().parents[1]
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["MPLBACKEND"] = "Agg"
os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch loads; tests run side by side

import sightline  # noqa: E402, F401  whose finder makes torchvision importable for transformers and TRL
from tests.endpoint import Server  # noqa: E402
from tests.hub import Hub  # noqa: E402

# A shell starts what it runs in the background with Ctrl-C ignored, and tests press it.
signal.signal(signal.SIGINT, signal.default_int_handler)

# No deadline: a busy machine is no bug. The same examples each time, so that a failure is one for everybody.
settings.register_profile("sightline", deadline=None, derandomize=True)
settings.load_profile("sightline")


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Stores of this test session alone; child processes inherit it."""
    os.environ["SIGHTLINE_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data, `SIGHTLINE_SHARED` or `shared` next to the checkout; a test without it is skipped."""
    folder = Path(os.environ.get("SIGHTLINE_SHARED") or ROOT.parent / "shared")
    if not (folder / "data").is_dir():
        pytest.skip(f"no shared data at {folder}: set SIGHTLINE_SHARED to the folder that holds data/NAME")
    return folder


@pytest.fixture
def server() -> Iterator[Server]:
    """A running chat endpoint, stopped after the test."""
    running = Server()
    yield running
    running.http.shutdown()
    running.http.server_close()


@pytest.fixture(scope="session")
def running_hub() -> Iterator[Hub]:
    running = Hub()
    yield running
    running.http.shutdown()
    running.http.server_close()


@pytest.fixture
def hub(running_hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """A Hub that this process reaches as if `HF_ENDPOINT` had named it; one for all, since transformers keeps it."""
    import huggingface_hub.constants
    from transformers.utils.hub import hf_api

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", running_hub.url)
    monkeypatch.setattr(hf_api(), "endpoint", running_hub.url)  # another test may have had it made
    running_hub.status, running_hub.cuts, running_hub.role = 200, False, "write"
    running_hub.requests.clear()
    running_hub.files.clear()
    return running_hub


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A real browser without a window."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright, one of the dev extras")
    path = next((found for name in CHROMIUM if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip(f"needs a browser: none of {', '.join(CHROMIUM)} is installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()
