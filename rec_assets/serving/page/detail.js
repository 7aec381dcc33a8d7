// Why an item is in the list, and what goes with it: a dialog over the page.

import { art } from "./art.js";
import { meter } from "./charts.js";
import { byId, element, icon } from "./elements.js";
import { ask } from "./service.js";
import { categories, feature, shape, titled, why } from "./words.js";

const TOLD = 5;
const HIDDEN = new Set(["categories", "genres", "image", "image_url", "url"]);

const facts = (item) => Object.entries(item.attributes || {})
  .filter(([name, value]) => !HIDDEN.has(name) && ["string", "number", "boolean"].includes(typeof value))
  .slice(0, 8)
  .flatMap(([name, value]) => [element("dt", { textContent: name.replaceAll("_", " ") }), element("dd", { textContent: String(value) })]);

function effects(rows, words) {
  const most = Math.max(1e-9, ...rows.map(([, effect]) => Math.abs(effect ?? 0)));
  return element("ul", { className: "effects" }, rows.map(([name, effect]) => {
    const share = effect == null ? 1 : Math.abs(effect) / most;
    const told = effect == null ? "nothing would propose it without" : `${effect < 0 ? "against" : "for"} it, ${(100 * share).toFixed(0)} % of the strongest`;
    const bar = meter(share, `${words} ${name}: ${told}`);
    bar.classList.toggle("over", effect != null && effect < 0);
    return element("li", {}, name, bar);
  }));
}

/** Open the dialog for an item; `user` asks, `domain` says how it looks, `choose(item)` takes one of what goes with it. */
export async function explain(item, user, domain, choose) {
  const dialog = byId("detail");
  const [name, year] = titled(item);
  const inside = element("div", { className: "inside", ariaLive: "polite" }, element("p", { className: "soft", textContent: "Asking the model …" }));
  dialog.replaceChildren(
    element("div", { className: "top-of" }, art(item, shape(item, domain)),
      element("div", {}, element("h2", { id: "detail-title", textContent: year ? `${name} (${year})` : name }),
        element("p", { className: "soft", textContent: categories(item).join(" · ") }),
        item.source ? element("p", { textContent: why(item.source) }) : null)),
    inside,
    element("button", { type: "button", className: "close", ariaLabel: "Close", onclick: () => dialog.close() }, icon("close")));
  dialog.onclick = (event) => event.target === dialog && dialog.close();
  dialog.showModal();
  const [told, similar] = await Promise.all([
    ask("explain", { user_id: user, item_id: item.item_id }),
    ask("similar", { item_id: item.item_id, k: TOLD }),
  ]);
  const history = told.history.map((row) => [titled(row)[0], row.effect]);
  const features = [...new Map(told.features.toReversed().map((row) => [feature(row.name), row.effect]))].toReversed().slice(0, TOLD); // the strongest of a name
  inside.replaceChildren(
    ...(history.length ? [element("section", {}, element("h3", { textContent: "Because of your history" }), effects(history, "History:"))] : []),
    ...(features.length ? [element("section", {}, element("h3", { textContent: "What counts most for the ranker" }), effects(features, "Feature:"))] : []),
    ...(told.place == null ? [element("p", { className: "soft", textContent: "No candidate source proposes it to you: it fills up the list." })] : []),
    ...(similar.items.length ? [element("section", {}, element("h3", { textContent: "Goes with it" }), element("ul", { className: "strip" }, similar.items.map((one) =>
      element("li", {}, art(one, shape(one, domain)), element("button", { type: "button", textContent: titled(one)[0], onclick: () => { dialog.close(); choose(one); } })))))] : []),
    ...(facts(item).length ? [element("dl", { className: "facts" }, facts(item))] : []));
}
