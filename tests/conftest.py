"""What every test shares: GPU and browser tests are skipped, with the reason, where they cannot run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# No window is ever opened by a test.
os.environ.setdefault("MPLBACKEND", "agg")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    browser = Path(__file__).parent / "browser"
    for item in items:
        if browser in item.path.parents:
            item.add_marker(pytest.mark.browser)
    if any(item.get_closest_marker("gpu") for item in items):
        import torch

        if not torch.cuda.is_available():
            for item in items:
                if item.get_closest_marker("gpu"):
                    item.add_marker(pytest.mark.skip(reason="no CUDA device"))
    if any(item.get_closest_marker("browser") for item in items):
        from ci import find_chromium

        if find_chromium() is None:
            for item in items:
                if item.get_closest_marker("browser"):
                    item.add_marker(pytest.mark.skip(reason="no chromium; name one with METARL_CHROMIUM=/path"))
