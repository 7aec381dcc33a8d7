"""From a click on the page to the next list on it, in headless Chromium: the event stored, the list made and drawn.

A real mouse click on a card of the store, over a made-up shop (bench/synthetic.py) and `rec serve` as it starts by
default; each click takes the card that stands at another place. The time is the page's own: from the click's time stamp
to the end of the frame in which other cards stand there, without animations.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import environment
import hosting
import numpy as np
import synthetic
from bars import at_least, at_most, write

sys.path.append(str(environment.ROOT / "rec_tests" / "serving"))

from browser import Browser

from rec_assets.settings import Settings

CARDS = "[...document.querySelectorAll('#list .card')].map((card) => card.dataset.item).join()"
WATCH = f"""
window.took = [];
const cards = () => {CARDS};
let clicked = null;
document.addEventListener("click", (event) => {{ clicked = {{ at: event.timeStamp, shown: cards() }}; }}, true);
new MutationObserver(() => {{
  if (!clicked || cards() === clicked.shown) return;
  const {{ at }} = clicked;
  clicked = null;
  requestAnimationFrame(() => setTimeout(() => took.push(performance.now() - at)));
}}).observe(document.querySelector("#list"), {{ childList: true }});
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=50_000)
    parser.add_argument("--clicks", type=int, default=60)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data=Path(folder) / "data")
        environment.share_compiled(settings.data)
        synthetic.install(settings, synthetic.Size(wanted.items, 2_000, 50))
        with hosting.service(settings, settings.workers) as port:
            took = clicks(port, Path(folder) / "chromium", wanted.clicks)
    p50, p95 = np.percentile(took, [50, 95])
    bars = [
        at_least("clicks that changed the list", len(took), max(wanted.clicks, 50)),
        at_most("from a click to the next list, p95", float(p95), 200, "ms"),
    ]
    write("clicks", bars, p50_ms=float(p50), p95_ms=float(p95), slowest_ms=max(took), took_ms=took)


def clicks(port: int, folder: Path, number: int) -> list[float]:
    """ms from each click to the next list."""
    browser = Browser(folder)
    try:
        browser.size(1280, 900)  # without motion: nothing is clicked while it flies
        browser.open(f"http://127.0.0.1:{port}/#u7")
        browser.wait("document.querySelectorAll('#list .card').length > 5")
        browser.run(f"(() => {{ {WATCH} }})()")
        for made in range(number):
            browser.click(f"#list .card:nth-child({1 + made % 8}) .open")
            browser.wait(f"took.length > {made}")
        return [float(each) for each in browser.run("took")]
    finally:
        browser.close()


if __name__ == "__main__":
    main()
