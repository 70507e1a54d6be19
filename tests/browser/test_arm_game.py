"""A whole game of chapter 00 in JupyterLab, by keyboard alone."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from test_lab import NOTEBOOK, open_notebook, page, shot  # noqa: F401 (page is a fixture)

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PULLS = "() => document.querySelectorAll('.jp-OutputArea-output td[aria-label]').length"
FOCUS = "() => document.activeElement.textContent.trim()"
GAME = f"""() => {{ const cells = {NOTEBOOK}.content.widgets;
  const game = cells.findIndex(c => c.model.sharedModel.source.includes('00 jackpot game'));
  {NOTEBOOK}.content.activeCellIndex = game + 1; }}"""


def test_a_game_by_keyboard(page, lab, books):  # noqa: F811
    open_notebook(page, lab, "00_welcome")
    page.evaluate(GAME)  # the cell after the game's
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")
    mark = page.get_by_role("button", name="?", exact=True)
    # At once, while JupyterLab may still restore the widgets that the file was stored with: those have the same ids,
    # parts and all (metarl_lab.teach.base.fix_ids), so that nothing of them can stand dead in the live game.
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-all-above')")
    mark.wait_for()
    mark.focus()
    page.wait_for_function(f"({FOCUS})() === '?'")
    for pull in range(1, 6):
        page.keyboard.press("Space" if pull % 2 else "Enter")
        page.wait_for_function(f"({PULLS})() >= {pull}")
        if pull == 2:
            page.keyboard.press("Shift+Tab")  # back to machine 10
    page.wait_for_function(f"({PULLS})() === 15")  # the rivals' pulls are shown
    page.get_by_text("Game over").wait_for()
    page.get_by_text("What was hidden").wait_for()
    assert "of 2" in page.locator("button", has_text="?:").first.text_content()
    page.wait_for_function(f"({FOCUS})() === 'New game'")
    shot(page, "00_game-over")
    page.keyboard.press("Enter")
    page.wait_for_function(f"({FOCUS})() === '1'")
    assert page.evaluate(PULLS) == 0 and page.get_by_text("mean over 1 game").is_visible()
    assert page.complaints == []
