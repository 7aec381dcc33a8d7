import json

import pytest
from in_process import InProcess
from storefronts import installation

from rec_assets.log import Log


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """Starts each store once, when the first test asks for it."""
    running = {}

    def store(name):
        if name not in running:
            running[name] = InProcess(installation(tmp_path_factory.mktemp(name), name))
        return running[name]

    yield store
    for one in running.values():
        one.stop()


@pytest.fixture
def visit(stores, chromium):
    def visit(name, **size):
        chromium.size(**{"width": 1280, "height": 900, **size})
        chromium.open(f"http://127.0.0.1:{stores(name).port}/#u1")
        chromium.wait("document.querySelectorAll('#list .card').length > 5")
        return chromium

    return visit


def buttons(browser):
    return browser.run("[...new Set([...document.querySelectorAll('#list [data-act]')].map((e) => e.dataset.act))]")


def stored(store):
    """Kind, value and list of the newest event that is not of what was passed over."""
    with Log.open(store.worker.settings.log_dir) as log:
        head = log.head()
        told = [json.loads(record.payload) for record in log.read(head - 50, head)]
        event = [one for one in told if one["event"] != "skip"][-1]
    return event["event"], event.get("value"), "request_id" in event


def test_a_shop_has_prices_stock_and_a_cart(visit, stores):
    browser = visit("shop")
    assert buttons(browser) == ["cart"]  # of this vocabulary; view is what opening means
    assert browser.run(
        "[...document.querySelectorAll('#list .price')].every((e) => /^€\\d+\\.\\d\\d$/.test(e.innerText))"
    )
    assert browser.run("document.querySelectorAll('#list .stock').length > 5")
    sold_out = "[...document.querySelectorAll('#list .card')].filter((c) => c.querySelector('.stock.out'))"
    assert browser.run(f"{sold_out}.every((c) => c.querySelector('[data-act=cart]').disabled)")
    name = browser.run("document.querySelector('#list .card:has([data-act=cart]:enabled) .open').textContent")
    browser.click("#list .card [data-act=cart]:enabled")
    browser.wait("document.querySelectorAll('#cart-items li').length === 1")
    assert name in browser.run("document.querySelector('#cart-items').textContent")
    browser.wait(f"document.querySelector('#said').textContent.includes({name!r})")
    kind, price, from_list = stored(stores("shop"))
    assert kind == "cart" and price > 0 and from_list
    browser.click("#buy")
    browser.wait("document.querySelector('#cart').hidden")
    assert stored(stores("shop"))[:2] == ("purchase", price)
    browser.wait("document.querySelector('#said').textContent.startsWith('You bought 1 thing')")
    assert browser.problems == []


def test_news_say_who_wrote_when_and_how_long_it_takes(visit, stores):
    browser = visit("news")
    assert buttons(browser) == ["like"]
    about = browser.run("[...document.querySelectorAll('#list .kicker')].map((e) => e.innerText)")
    assert all("ago" in line and "min read" in line for line in about)
    browser.click("#list .card .open")
    browser.wait("document.querySelector('#said').textContent.startsWith('You read ')")
    assert stored(stores("news"))[0] == "read"
    browser.run("query.focus()")
    browser.type("courier")
    browser.wait("document.querySelectorAll('#found button').length > 2")
    assert browser.run("document.querySelector('#found').textContent").count("The Courier") > 2
    assert browser.problems == []


@pytest.mark.parametrize("store", ["shop", "news"])
def test_every_store_is_for_everybody(visit, store):
    assert visit(store).violations() == []
    browser = visit(store, width=390, height=844, phone=True, dark=True)
    assert browser.run("document.documentElement.scrollWidth") <= 390
    assert browser.violations() == []
    assert browser.problems == []
