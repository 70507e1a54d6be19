"""The built site as a reader without a network meets it: every page, at a desk and on a phone.

The site is the one that METARL_SITE names (`make test` builds it), else one that is built here by the environment that
`make site` makes. Screenshots land in build/screenshots/: look at them after changing docs/_static or a chapter.
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

import book
import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
SCREENSHOTS = ROOT / "build" / "screenshots"
PAGES = [*re.findall(r"(?:root|file): (\S+)", book.contents()), "genindex", "search"]
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
SHOWN = ("notebooks/index", "notebooks/05_maml")  # pages of which a screenshot is kept

# What a page that is at rest says of itself; each entry is one complaint in words.
COMPLAINTS = r"""() => {
  const found = [];
  const say = (what, text) => found.push(what + ': ' + text.replace(/\s+/g, ' ').trim().slice(0, 90));
  const seen = e => e.checkVisibility({visibilityProperty: true}) && e.getClientRects().length > 0;

  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const parent = walker.currentNode.parentElement, text = walker.currentNode.textContent;
    if (parent.closest('pre, code, script, style, textarea, mjx-container') || !seen(parent)) continue;
    if (/\$|\\[a-zA-Z]{2,}|\\[()[\]]/.test(text)) say('raw TeX', text);
  }

  for (const formula of document.querySelectorAll('.math')) {
    if (!seen(formula) && !formula.closest('article')) continue;  // in a side bar that is folded away
    const box = formula.querySelector('mjx-container')?.getBoundingClientRect();
    if (!box || box.width <= 0 || box.height <= 0) say('formula not typeset', formula.textContent);
  }
  for (const box of document.querySelectorAll('mjx-container')) {
    const formula = box.closest('.math');
    if (!formula && (box.offsetWidth <= 0 || box.offsetHeight <= 0)) say('formula of no size', box.textContent);
  }
  for (const error of document.querySelectorAll('mjx-merror, [data-mjx-error]'))
    say('MathJax error', error.getAttribute('data-mjx-error') ?? error.textContent);

  for (const image of document.images) {
    if (image.alt.trim().split(/\s+/).length < 4) say('alt text of less than four words', image.alt + image.outerHTML);
    if (image.complete && image.naturalWidth === 0) say('picture that does not load', image.src);
  }
  for (const drawing of document.querySelectorAll('article svg:not([aria-hidden=true], button svg)'))
    if ((drawing.getAttribute('aria-label') ?? '').trim().split(/\s+/).length < 4)
      say('drawing without aria-label of four words', drawing.outerHTML);

  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > width)
    say('page scrolls sideways', document.documentElement.scrollWidth + ' > ' + width);
  // Cut off is worse than scrolled: what sticks out must lie in something that scrolls within itself.
  const scrolls = e => ['auto', 'scroll'].includes(getComputedStyle(e).overflowX);
  const inside = e => e && e !== document.body && (scrolls(e) || inside(e.parentElement));
  const reported = new Set();
  for (const element of document.querySelectorAll('article *:not(mjx-assistive-mml, mjx-assistive-mml *)')) {
    const box = element.getBoundingClientRect();
    if (!seen(element) || box.width <= 1 || box.right <= width + 1 || inside(element)) continue;
    if (!reported.has(element.parentElement))
      say('sticks out by ' + Math.round(box.right - width), element.tagName + ' ' + element.textContent);
    reported.add(element);
  }
  return found;
}"""


@pytest.fixture
def page(browser, site):
    """A page that can reach the site and nothing else; `complaints` gathers what went wrong on the way."""
    context = browser.new_context(viewport=DESK)
    opened = context.new_page()
    opened.complaints = []

    def guard(route):
        if route.request.url.startswith(f"{site}/"):
            return route.continue_()
        opened.complaints.append(f"asked another host: {route.request.url}")
        return route.abort()

    context.route("**/*", guard)
    opened.on("pageerror", lambda error: opened.complaints.append(f"error: {error}"))
    opened.on(
        "console",
        lambda line: line.type == "error" and opened.complaints.append(f"console: {line.text} {line.location['url']}"),
    )
    opened.set_default_timeout(60_000)
    yield opened
    context.close()


def at_rest(page) -> None:
    """Everything is loaded and typeset, and what is folded away in the text is open."""
    page.add_style_tag(content="* { transition: none !important; animation: none !important; }")
    page.evaluate("""async () => {
      document.querySelectorAll('article details').forEach(details => details.open = true);
      await window.MathJax?.startup?.promise;
      document.querySelectorAll('img').forEach(image => image.loading = 'eager');
      await Promise.all([...document.images].map(image => image.decode().catch(() => null)));
    }""")


def shot(page, name: str) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"site-{name.rsplit('/')[-1]}-{page.viewport_size['width']}.png")


def complaints(page) -> list[str]:
    """What is wrong with the page that is open, at both widths."""
    at_rest(page)
    found = []
    for viewport in (DESK, PHONE):
        page.set_viewport_size(viewport)
        found += [f"{viewport['width']}: {line}" for line in page.evaluate(COMPLAINTS)]
    return found + page.complaints


@pytest.mark.parametrize("name", PAGES)
def test_page(page, site, name):
    page.goto(f"{site}/{name}.html", wait_until="load")
    found = complaints(page)
    for viewport in (DESK, PHONE) if name in SHOWN else ():
        page.set_viewport_size(viewport)
        shot(page, name)
    assert not found, "\n".join(found)


@pytest.mark.parametrize("name", PAGES)
def test_links_inside_the_site_lead_somewhere(site_folder, name):
    page, dead = site_folder / f"{name}.html", []
    for link in re.findall(r"""<a [^>]*href="([^"]+)""", page.read_text(encoding="utf-8")):
        path, _, place = unquote(link).partition("#")
        target = page.parent / path if path else page
        if ":" in link or (target.exists() and not place):
            continue
        if not target.exists() or f'id="{place}"' not in target.read_text(encoding="utf-8"):
            dead.append(link)
    assert not dead, f"{name} links to {', '.join(dead)}"


def test_formulas_can_be_read_aloud_without_a_network(page, site):
    settings = "localStorage.setItem('MathJax-Menu-Settings', JSON.stringify({explorer: true, speech: true}))"
    page.add_init_script(settings)
    page.goto(f"{site}/notebooks/05_maml.html")
    at_rest(page)
    formula = page.locator("article mjx-container").first
    formula.focus()
    formula.press("Enter")
    page.wait_for_selector("article mjx-container[hasspeech]")
    assert page.complaints == []


def test_every_page_of_the_site_is_looked_at(site_folder):
    built = {path.relative_to(site_folder).with_suffix("").as_posix() for path in site_folder.rglob("*.html")}
    pages = {name for name in built if not name.startswith("_static/")}
    assert pages == {*PAGES, "index"}  # index.html is a redirection to notebooks/index


def test_the_front_page_leads_to_the_chapters(page, site):
    page.goto(f"{site}/index.html")
    page.wait_for_url(f"{site}/notebooks/index.html")


def test_the_licence_of_mathjax_goes_along(site_folder):
    assert "Apache License" in (site_folder / "_static" / "mathjax" / "LICENSE").read_text(encoding="utf-8")


GOOD = "<p>A sentence.</p>"
HEAD = """<!doctype html><html><head><script>
  window.MathJax = {options: {processHtmlClass: 'math', ignoreHtmlClass: '.*'}};
  window.MathJax.tex = {packages: {'[-]': ['noundefined']}};
</script><script defer src="/_static/mathjax/tex-chtml-full.js"></script></head><body><article>"""


@pytest.mark.parametrize(
    ("planted", "complaint"),
    [
        (GOOD, None),
        (r'<p>A rate <span class="math">\(\alpha\)</span>, <code>$x</code>.</p>', None),
        (r"<p>It moves: $$x \leftarrow y$$</p>", "raw TeX"),
        ("<p>It costs $5</p>", "raw TeX"),
        (r"<details><summary>more</summary><p>\alpha</p></details>", r"raw TeX: \alpha"),
        (r'<p class="math">alpha</p>', "formula not typeset: alpha"),
        (r'<p class="math">\(\alhpa\)</p>', "MathJax error: Undefined control sequence"),
        (r'<p class="math" style="display: none">\(\alpha\)</p>', "formula not typeset"),
        ('<img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=" alt="a figure">', "alt text of less than four words"),
        ('<img src="/no.png" alt="a line that rises">', "picture that does not load"),
        ('<svg width="9" height="9"></svg>', "drawing without aria-label"),
        ('<script src="https://cdn.example.org/require.js"></script>', "asked another host: https://cdn.example.org"),
        ('<link rel="stylesheet" href="https://fonts.example.org/css">', "asked another host: https://fonts"),
        ("<script>undefinedName()</script>", "error: undefinedName is not defined"),
        ('<table style="width: 900px"><tr><td>wide</td></tr></table>', "390: page scrolls sideways"),
        ('<div style="overflow-x: hidden"><p style="width: 900px">x</p></div>', "390: sticks out by"),
        ('<div style="overflow-x: auto"><p style="width: 900px">x</p></div>', None),
    ],
)
def test_a_planted_fault_is_seen(page, site, planted, complaint):
    body = f"{HEAD}{planted}</article></body></html>"
    page.route(f"{site}/planted.html", lambda route: route.fulfill(body=body, content_type="text/html"))
    page.goto(f"{site}/planted.html")
    found = complaints(page)
    assert any(complaint in line for line in found) if complaint else found == [], found
