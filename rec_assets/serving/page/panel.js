// The panel beside the list: what is behind it, live.

import { art } from "./art.js";
import { meter, proof, shares } from "./charts.js";
import { ago, byId, count, duration, element, seconds, several } from "./elements.js";
import { done, family, price, shape, titled } from "./words.js";

const WANTED = 200; // ms from the click to the next list

/** Whether the stream from the service stands. */
export function live(stands) {
  byId("pulse").className = stands ? "pulse live" : "pulse down";
  byId("pulse-text").textContent = stands ? "Live" : "The service does not answer";
}

/** How long the last click took to become a list, in ms. */
export function own(milliseconds) {
  byId("own").textContent = `${milliseconds} ms`;
  byId("own-bar").replaceChildren(meter(milliseconds / WANTED, `${milliseconds} of ${WANTED} ms`));
  document.documentElement.dataset.own = milliseconds;
}

/** What /status says. */
export function status(told) {
  const loop = told.pipeline || {};
  const measured = loop.freshness?.weights;
  byId("checkpoint").textContent = told.checkpoint || "none yet: popularity from the log";
  byId("taken").textContent = ago(told.served_at);
  byId("weights").textContent = measured ? `${seconds(measured.p50_s)} · p95 ${seconds(measured.p95_s)}` : seconds(told.weights_seconds);
  byId("promise").textContent = !measured ? "no figure yet" : loop.promise_broken.length ? `broken: ${loop.promise_broken.join("; ")}` : "kept";
  byId("unlearnt").textContent = several(told.behind, "event");
  byId("now").textContent = told.now.slice(0, 16).replace("T", " ");
  const drawn = proof(loop.metrics || {}, loop.curve, { width: 320, height: 190 });
  byId("proof").replaceChildren(...(drawn || []).filter(Boolean));
  byId("proof-note").textContent = drawn
    ? `hit@20 on ${count(loop.metrics.online?.n)} events, each ranked before it was learnt from.`
    : "Shown once a micro-batch has been tested: each event is ranked before it is learnt from.";
}

/** The user's items, the newest first. `acted`: item id -> what was done on this page; `now` in ms, the log's time. */
export function history(items, acted, domain, now) {
  byId("history").replaceChildren(...items.map((item) => element("li", {},
    art(item, shape(item, domain)),
    element("span", { className: "name", textContent: [acted.has(item.item_id) && done(acted.get(item.item_id)), titled(item)[0]].filter(Boolean).join(" ") }),
    element("span", { className: "soft", textContent: item.at ? duration((now - Date.parse(`${item.at}Z`)) / 1e3) : "" }))));
  if (!items.length) byId("history").append(element("li", { className: "soft", textContent: "Nothing yet. Your first click changes the list." }));
}

/** Which sources the places of the list come from. */
export function sources(items) {
  const counted = new Map();
  for (const item of items) counted.set(family(item.source), (counted.get(family(item.source)) || 0) + 1);
  const parts = [...counted].sort((a, b) => b[1] - a[1]);
  byId("shares").replaceChildren(...(parts.length ? shares(parts) : []));
}

/** What is in the cart; hidden while that is nothing. */
export function cart(items) {
  byId("cart").hidden = !items.length;
  byId("cart-items").replaceChildren(...items.map((item) => element("li", {}, art(item, "shop"),
    element("span", { className: "name", textContent: titled(item)[0] }), element("b", { textContent: price(item.attributes.price, item.attributes.currency) }))));
  const total = items.reduce((sum, item) => sum + item.attributes.price, 0);
  byId("buy").textContent = items.length ? `Buy ${several(items.length, "thing")} for ${price(total, items[0].attributes.currency)}` : "Buy";
}
