"No page of the built site is wider than a phone: what is wider scrolls in its own place."

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SITE = ROOT / "build" / "docs" / "site"
sys.path.insert(0, str(ROOT / "tests" / "explore"))
PHONE = 390  # CSS pixels


# what sticks out of the page or of its text, and does not scroll in a place of its own
OUTSIDE = """() => {
    const width = document.documentElement.clientWidth;
    const scrolls = (node) => node && (/auto|scroll/.test(getComputedStyle(node).overflowX) || scrolls(inner(node)));
    const inner = (node) => (node.parentElement?.closest("article") ? node.parentElement : null);
    const found = [...document.querySelectorAll("article :is(table, math, pre, img, h1, .sig, code)")];
    const names = found.filter((node) => node.getBoundingClientRect().right > width + 1 && !scrolls(node));
    const page = document.documentElement.scrollWidth > width ? ["page"] : [];
    return [...page, ...names.map((node) => node.tagName.toLowerCase())];
}"""


def too_wide(browser, site, pages):
    "Of each page that is wider than a phone, what sticks out."
    page = browser.new_page(viewport={"width": PHONE, "height": 800})
    page.set_default_timeout(120_000)
    found = {}
    for path in pages:
        page.goto(path.as_uri())
        if outside := page.evaluate(OUTSIDE):
            found[path.relative_to(site).as_posix()] = outside
    page.close()
    return found


@pytest.fixture(scope="module")
def browser():
    import bare

    with bare.chromium_or_skip() as browser:
        yield browser


def test_a_page_that_is_too_wide_is_found(browser, tmp_path):
    table = f"<table><tr>{'<td>number</td>' * 20}</tr></table>"
    for name, inside in dict(
        page='<div style="width: 500px">wide</div>',
        table=f'<article style="overflow: hidden">{table}</article>',
        kept=f'<article><div style="overflow-x: auto">{table}</div></article>',
    ).items():
        (tmp_path / f"{name}.html").write_text(f"<!doctype html>{inside}")
    found = too_wide(browser, tmp_path, sorted(tmp_path.glob("*.html")))
    assert found == {"page.html": ["page"], "table.html": ["table"]}


@pytest.mark.skipif(not SITE.exists(), reason="no site here (make docs builds it)")
def test_no_page_is_wider_than_a_phone(browser):
    assert too_wide(browser, SITE, sorted(SITE.rglob("*.html"))) == {}
