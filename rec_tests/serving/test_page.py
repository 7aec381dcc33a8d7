import os
from pathlib import Path

import pytest
from browser import Browser

SHOWN = "[...document.querySelectorAll('#list .card')].map((card) => card.dataset.item)"


@pytest.fixture
def browser(tmp_path):
    browser = Browser(tmp_path / "chromium")
    yield browser
    browser.close()


def keep(browser, name, tmp_path):
    """Screenshots are kept where REC_SCREENSHOTS says, to be looked at."""
    folder = Path(os.environ.get("REC_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    browser.screenshot(folder / f"{name}.png")


def open_page(browser, served, user="u1", **size):
    browser.size(**{"width": 1280, "height": 900, **size})
    browser.call("Page.navigate", url="about:blank")
    browser.call("Page.navigate", url=f"http://127.0.0.1:{served.port}/#{user}")
    browser.wait("document.querySelectorAll('#list .card').length > 5")
    browser.wait("document.querySelector('#dot').classList.contains('live')")


def after(browser, act):
    """The items shown after an act that changes the list."""
    before = browser.run(f"JSON.stringify({SHOWN})")
    act()
    browser.wait(f"JSON.stringify({SHOWN}) !== {before!r}")
    return browser.run(SHOWN)


def test_a_click_changes_the_next_list(served, browser, tmp_path):
    open_page(browser, served)
    first = browser.run(SHOWN)
    shown = after(browser, lambda: browser.click("#list .card .open"))
    assert first[0] not in shown
    browser.wait("document.querySelector('#own').textContent.endsWith(' ms')")
    assert browser.run("Number(document.documentElement.dataset.own)") < 1_000
    liked = browser.run(SHOWN)[1]
    shown = after(browser, lambda: browser.click("#list .card:nth-child(2) .acts button"))
    assert liked not in shown
    hidden = shown[0]
    shown = after(browser, lambda: browser.click("#list .card .acts button:last-child"))
    assert hidden not in shown
    history = served.http.get("/users/u1").json()["history"]
    assert [row["item_id"] for row in history[:2]] == [liked, first[0]]
    browser.wait("document.querySelectorAll('#history li').length > 1")
    assert browser.problems == []
    keep(browser, "desktop", tmp_path)


def test_a_new_visitor_gets_a_list_and_a_history_of_their_own(served, browser):
    open_page(browser, served)
    blank = "document.querySelector('#history').textContent.includes('Nothing yet')"
    browser.click("#fresh")
    browser.wait(f"location.hash.startsWith('#visitor-') && {blank}")
    after(browser, lambda: browser.click("#list .card .open"))
    browser.wait(f"document.querySelectorAll('#history li').length === 1 && !{blank}")
    assert browser.problems == []


def test_search_finds_an_item_and_choosing_it_changes_the_list(served, browser):
    open_page(browser, served, user="u2")
    browser.run("query.value = '1957'; query.dispatchEvent(new Event('input'))")
    browser.wait("document.querySelectorAll('#found button').length === 1")
    assert browser.run("document.querySelector('#found button').textContent") == "The Film 7 (1957)"
    browser.click("#found button")
    browser.wait("document.querySelector('#history').textContent.startsWith('The Film 7')")
    assert browser.problems == []


def test_it_fits_a_phone(served, browser, tmp_path):
    open_page(browser, served, width=390, height=844, phone=True, dark=True)
    assert browser.run("document.documentElement.scrollWidth") <= 390
    touched = "[...document.querySelectorAll('button, select, input')].filter((e) => e.className !== 'open')"
    assert browser.run(f"{touched}.filter((e) => e.getBoundingClientRect().height < 43.5).length") == 0
    keep(browser, "phone", tmp_path)
    assert browser.problems == []


def test_everything_that_can_be_used_has_a_name(served, browser):
    open_page(browser, served)
    tree = browser.call("Accessibility.getFullAXTree")["nodes"]
    roles = {"button", "searchbox", "combobox", "heading"}
    used = [node for node in tree if node.get("role", {}).get("value") in roles]
    assert len(used) > 20
    assert [node for node in used if not node.get("name", {}).get("value")] == []


CONTRASTS = """
(() => {
  const linear = (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const light = (colour) => {
    const [r, g, b] = colour.match(/[\\d.]+/g).map((v) => linear(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (e) => {
    const colour = getComputedStyle(e).backgroundColor;
    return colour !== 'rgba(0, 0, 0, 0)' ? colour : e.parentElement ? ground(e.parentElement) : 'rgb(255, 255, 255)';
  };
  return [...document.querySelectorAll('.soft, .open, .acts button, dd, dt, h1 b, h2')].map((e) => {
    const [a, b] = [light(getComputedStyle(e).color), light(ground(e))];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  });
})()"""


def test_text_has_contrast(served, browser):
    """WCAG AA: 4.5 for text, in light and in dark."""
    for dark in (False, True):
        open_page(browser, served, dark=dark)
        ratios = browser.run(CONTRASTS)
        assert len(ratios) > 50
        assert min(ratios) >= 4.5
