import os
from pathlib import Path

import pytest

SHOWN = "[...document.querySelectorAll('#list .card')].map((card) => card.dataset.item)"


@pytest.fixture(scope="module")
def browser(served, chromium):
    return chromium


def keep(browser, name, tmp_path):
    """Screenshots are kept where REC_SCREENSHOTS says, to be looked at."""
    folder = Path(os.environ.get("REC_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    browser.screenshot(folder / f"{name}.png")


def open_page(browser, served, user="u1", **size):
    browser.size(**{"width": 1280, "height": 900, **size})
    browser.open(f"http://127.0.0.1:{served.port}/#{user}")
    browser.wait("document.querySelectorAll('#list .card').length > 5")
    browser.wait("document.querySelector('#pulse').classList.contains('live')")


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
    assert browser.run("document.querySelector('#said').textContent").startswith("You chose ")
    assert browser.run("document.querySelectorAll('#shares .legend li').length") > 1
    liked = browser.run(SHOWN)[1]
    shown = after(browser, lambda: browser.click("#list .card:nth-child(2) [data-act=like]"))
    assert liked not in shown
    hidden = shown[0]
    shown = after(browser, lambda: browser.click("#list .card [data-act=hide]"))
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


def test_what_stays_is_seen_to_move_and_what_comes_is_marked(served, browser):
    open_page(browser, served, user="u3", motion=True)
    browser.run("window.first = document.querySelectorAll('#list .card')[1]")
    places = browser.run(SHOWN)
    shown = after(browser, lambda: browser.click("#list .card .open"))
    assert browser.run("first.isConnected && document.getAnimations().length > 0")
    for place, item in enumerate(shown):
        moved = places.index(item) - place if item in places else None
        told = browser.run(
            f"document.querySelector('#list .card:nth-child({place + 1}) .move:not([hidden])')?.textContent"
        )
        assert told == ("new" if moved is None else f"▲ {moved}" if moved > 0 else f"▼ {-moved}" if moved < 0 else None)
    browser.wait("!document.querySelector('.ghost')")
    assert browser.problems == []


def test_search_finds_an_item_by_keyboard_and_choosing_it_changes_the_list(served, browser):
    open_page(browser, served, user="u2")
    browser.run("query.focus()")
    browser.type("1957")
    browser.wait("document.querySelectorAll('#found button').length === 1")
    assert browser.run("document.querySelector('#found button').textContent").startswith("The Film 7 (1957)")
    browser.press("ArrowDown")
    assert browser.run("document.activeElement.closest('#found') !== null")
    browser.press("Enter")
    browser.wait("document.querySelector('#history').textContent.includes('The Film 7')")
    browser.run("query.focus()")
    browser.type("no such film")
    browser.wait("document.querySelector('#found').textContent.startsWith('Nothing holds')")
    browser.press("Escape")
    assert browser.run("found.hidden && query.value === ''")
    assert browser.problems == []


def test_one_category_alone(served, browser):
    open_page(browser, served, user="u4")
    browser.click("#chips button:nth-child(2)")
    browser.wait("document.querySelector('#chips button:nth-child(2)').ariaPressed === 'true'")
    chosen = browser.run("document.querySelector('#chips [aria-pressed=true]').textContent")
    assert browser.run(SHOWN)
    about = browser.run("[...document.querySelectorAll('.kicker')].map((e) => e.textContent)")
    assert all(chosen in line for line in about)


def test_why_an_item_is_here(served, browser):
    open_page(browser, served, user="u5")
    browser.run("document.querySelector('#list .why').focus()")
    browser.press("Enter")
    browser.wait("document.querySelectorAll('#detail .effects li').length > 0")
    assert browser.run("document.querySelectorAll('#detail .strip li').length") == 5
    assert browser.violations() == []
    browser.press("Escape")
    browser.wait("!document.querySelector('#detail').open")
    assert browser.problems == []


def test_it_fits_a_phone(served, browser, tmp_path):
    open_page(browser, served, width=390, height=844, phone=True, dark=True)
    assert browser.run("document.documentElement.scrollWidth") <= 390
    touched = "[...document.querySelectorAll('button, select, input')].filter((e) => e.className !== 'open')"
    boxes = f"{touched}.map((e) => e.getBoundingClientRect()).filter((e) => e.height > 0)"
    assert browser.run(f"{boxes}.filter((e) => Math.min(e.height, e.width) < 43.5).length") == 0
    keep(browser, "phone", tmp_path)
    assert browser.problems == []


def test_nobody_is_kept_out(served, browser):
    """What axe-core can find out: names, roles, order, and contrast in light and in dark."""
    for dark in (False, True):
        open_page(browser, served, dark=dark)
        assert browser.violations() == []


def test_a_service_that_went_away_is_told(served, browser):
    open_page(browser, served)
    browser.call("Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=0, uploadThroughput=0)
    browser.click("#list .card .open")
    browser.wait("document.querySelector('#said').textContent.includes('does not answer')")
    browser.call(
        "Network.emulateNetworkConditions", offline=False, latency=0, downloadThroughput=-1, uploadThroughput=-1
    )
    after(browser, lambda: browser.click("#list .card .open"))
