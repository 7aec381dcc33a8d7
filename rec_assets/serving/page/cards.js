// One item as a card. What it is decides what is on it, the installation's vocabulary which buttons it has.

import { art } from "./art.js";
import { element, icon } from "./elements.js";
import { age, categories, price, readTime, shape, stock, titled, why } from "./words.js";

// Per shape: the kinds that opening may mean, in order of preference, and those that get a button.
const OPENS = { film: ["click", "view"], shop: ["view", "click"], news: ["read", "click", "view"] };
const ACTS = { film: ["like", "share", "hide"], shop: ["cart", "like", "hide"], news: ["like", "share", "hide"] };
const LABELS = { like: "Like", share: "Share", hide: "Hide", cart: "Add to cart", purchase: "Buy", return: "Send back" };

/** The kind that opening an item of a shape is, null where the vocabulary has none. */
export const opening = (made, kinds) => OPENS[made].find((kind) => kinds.has(kind)) || null;

function acts(made, kinds) {
  const wanted = ACTS[made].filter((kind) => kinds.has(kind));
  if (made === "shop" && !kinds.has("cart") && kinds.has("purchase")) wanted.unshift("purchase");
  return wanted;
}

const button = (kind, name, act, disabled) =>
  element("button", { type: "button", className: kind === "cart" || kind === "purchase" ? "primary" : "", disabled, data: { act: kind },
    ariaLabel: `${LABELS[kind]}: ${name}`, title: LABELS[kind], onclick: () => act(kind) }, icon(kind), element("span", { className: "word", textContent: ` ${LABELS[kind]}` }));

function stars(name, act) {
  return [1, 2, 3, 4, 5].map((value) => element("button", { type: "button", className: "star", textContent: "★", title: `${value} of 5`,
    ariaLabel: `Rate ${name}: ${value} of 5`, data: { act: "rating" }, onclick: () => act("rating", value) }));
}

function about(item, made, [name, year], now) {
  const told = item.attributes || {};
  const kinds = categories(item);
  if (made === "news") {
    const by = [told.publisher || told.author, kinds[0]].filter(Boolean);
    return [element("p", { className: "kicker" }, element("b", { textContent: by[0] || "" }), [age(told, now), readTime(told)].filter(Boolean).join(" · "))];
  }
  if (made === "shop") {
    const left = stock(told);
    return [element("p", { className: "kicker" }, element("span", { textContent: told.brand || kinds[0] || "" }), left && element("span", { className: `stock ${left[1]}`, textContent: left[0] }))];
  }
  return [element("p", { className: "kicker", textContent: [year, ...kinds.slice(0, 3)].filter(Boolean).join(" · ") })];
}

/**
 * A card. `context`: {vocabulary, now (ms), act(kind, item, value), explain(item)}; its place and movement are drawn by
 * `placed`, because a card stays the same element while its item stays in the list.
 */
export function card(item, context) {
  const made = shape(item, context.vocabulary.domain);
  const kinds = new Set(context.vocabulary.kinds.map((kind) => kind.event));
  const [name, year] = titled(item);
  const told = item.attributes || {};
  const act = (kind, value) => context.act(kind, item, value);
  const opens = opening(made, kinds);
  const out = told.stock != null && told.stock <= 0;
  const buttons = acts(made, kinds).map((kind) => button(kind, name, (one) => act(one, LABELS[one] && told.price != null && (one === "cart" || one === "purchase") ? told.price : undefined), out && (kind === "cart" || kind === "purchase")));
  return element("li", { className: `card ${made}`, data: { item: item.item_id } },
    art(item, made),
    element("div", { className: "flags" }, element("span", { className: "rank" }), element("span", { className: "move" })),
    element("div", { className: "body" },
      made === "film" ? null : about(item, made, [name, year], context.now),
      element("h3", {}, element("button", { type: "button", className: "open", textContent: name, onclick: () => (opens ? act(opens) : context.explain(item)) })),
      made === "film" ? about(item, made, [name, year], context.now) : null,
      made === "shop" && told.price != null ? element("p", { className: "price" }, element("b", { textContent: price(told.price, told.currency) })) : null,
      element("button", { type: "button", className: "why", title: "Why is this here?", onclick: () => context.explain(item) }, icon("why"), element("span", { className: "because" }))),
    element("div", { className: buttons.length > 2 ? "acts many" : "acts" }, buttons.length ? buttons : kinds.has("rating") ? stars(name, act) : null));
}

/** Write on a card where it stands, where it stood before (0: nowhere, null: nobody saw it before) and why. */
export function placed(made, item, place, before) {
  made.querySelector(".rank").textContent = place;
  made.querySelector(".because").textContent = why(item.source);
  const move = made.querySelector(".move");
  const up = before ? before - place : 0;
  const isNew = before === 0;
  move.hidden = !isNew && !up;
  move.className = `move ${isNew ? "new" : up > 0 ? "up" : "down"}`;
  move.textContent = isNew ? "new" : up > 0 ? `▲ ${up}` : `▼ ${-up}`;
  made.classList.toggle("fresh", isNew);
  made.removeAttribute("aria-busy");
}
