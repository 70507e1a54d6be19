"""A whole game of chapter 00 in JupyterLab, by keyboard alone."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from test_lab import NOTEBOOK, open_notebook, page, shot  # noqa: F401 (page is a fixture)

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PULLS = "() => document.querySelectorAll('.jp-OutputArea-output td[aria-label]').length"
FOCUS = "() => document.activeElement.textContent.trim()"


def test_a_game_by_keyboard(page, lab, books):  # noqa: F811
    open_notebook(page, lab, "00_welcome")
    page.evaluate(f"() => {{ {NOTEBOOK}.content.activeCellIndex = 4; }}")  # the cell after the game's
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")
    arm = page.locator("button", has_text="Arm B").first
    # At once, while JupyterLab may still restore the widgets that the file was stored with: those have the same ids,
    # parts and all (metarl_lab.teach.base.fix_ids), so that nothing of them can stand dead in the live game.
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-all-above')")
    arm.wait_for()
    arm.focus()
    page.wait_for_function(f"({FOCUS})() === 'Arm B'")
    for pull in range(1, 11):
        page.keyboard.press("Space" if pull % 2 else "Enter")
        page.wait_for_function(f"({PULLS})() >= {pull}")
        if pull == 3:
            page.keyboard.press("Tab")  # on to arm C
    page.wait_for_function(f"({PULLS})() === 40")  # the rivals' pulls are shown
    page.get_by_text("Game over").wait_for()
    page.get_by_text("What was hidden").wait_for()
    assert "3" in page.locator("button", has_text="Arm B").first.text_content()
    page.wait_for_function(f"({FOCUS})() === 'New game'")
    shot(page, "00_game-over")
    page.keyboard.press("Enter")
    page.wait_for_function(f"({FOCUS})() === 'Arm A'")
    assert page.evaluate(PULLS) == 0 and page.get_by_text("mean over 1 game").is_visible()
    assert page.complaints == []
