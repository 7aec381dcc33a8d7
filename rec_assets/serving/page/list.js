// The list on the page: cards stay the same elements while their items stay, and everybody sees who moved where.

import { card, placed } from "./cards.js";
import { byId, element } from "./elements.js";
import { shape } from "./words.js";

const MOVE = { duration: 420, easing: "cubic-bezier(.2, .8, .2, 1)" };
const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
const shown = new Map(); // item id -> {card, place}

/** Forget what was shown: the next list is the first of somebody. */
export function clear() {
  shown.clear();
  byId("list").replaceChildren();
}

/** Show `items`, best first; returns how many of them were not in the list before. */
export function show(items, context) {
  const list = byId("list");
  const first = shown.size === 0;
  const boxes = new Map([...shown].map(([id, one]) => [id, one.card.getBoundingClientRect()]));
  const focused = list.contains(document.activeElement) ? document.activeElement : null;
  const before = new Map([...shown].map(([id, one]) => [id, one.place]));
  const kept = new Map(shown);
  shown.clear();
  let fresh = 0;
  const cards = items.map((item, index) => {
    const one = kept.get(item.item_id)?.card || card(item, context);
    placed(one, item, index + 1, first ? null : before.get(item.item_id) || 0);
    fresh += first || before.has(item.item_id) ? 0 : 1;
    shown.set(item.item_id, { card: one, place: index + 1 });
    return one;
  });
  const gone = [...kept].filter(([id]) => !shown.has(id)).map(([id, one]) => [one.card, boxes.get(id)]);
  list.className = items.length ? shape(items[0], context.vocabulary.domain) : "";
  list.replaceChildren(...cards);
  if (!items.length) list.append(element("li", { className: "none", textContent: context.nothing }));
  if (focused) (focused.isConnected ? focused : list.querySelector(".open"))?.focus({ preventScroll: true }); // or its card is gone
  if (!first && !still()) moved(boxes, gone);
  return fresh;
}

function moved(boxes, gone) {
  for (const [id, { card: one }] of shown) {
    const [from, to] = [boxes.get(id), one.getBoundingClientRect()];
    if (!from) one.animate([{ opacity: 0, transform: "scale(.86)" }, { opacity: 1, transform: "none" }], MOVE);
    else if (from.x !== to.x || from.y !== to.y) one.animate([{ transform: `translate(${from.x - to.x}px, ${from.y - to.y}px)` }, { transform: "none" }], MOVE);
  }
  for (const [one, box] of gone) {
    const ghost = one.cloneNode(true);
    ghost.className = "card ghost";
    ghost.setAttribute("aria-hidden", "true");
    ghost.inert = true;
    delete ghost.dataset.item;
    for (const [name, value] of Object.entries({ left: box.x, top: box.y, width: box.width, height: box.height })) ghost.style.setProperty(name, `${value}px`);
    document.body.append(ghost);
    ghost.animate([{ opacity: 1 }, { opacity: 0, transform: "scale(.8)" }], { ...MOVE, duration: 260 }).onfinish = () => ghost.remove();
  }
}
