// One sentence for who only has a glance: kept, broken, no data yet, or down.

import { count, duration, several } from "./elements.js";

export const IDLE_SECONDS = 60; // events that wait longer while no run ends: the loop is down
const ICONS = { kept: "M5 13l4.5 4.5L19 7.5", broken: "M6 6l12 12M18 6 6 18", warn: "M12 7v6M12 16.5h.01" };
const of = (kind, title, words) => ({ kind, icon: ICONS[kind === "kept" ? "kept" : kind === "broken" || kind === "down" ? "broken" : "warn"], title, words });

/** What holds, from the newest status, whether the stream stands (null: not known yet) and the time in ms. */
export function verdict(status, live, now) {
  if (live === false) return of("down", "The service does not answer", "Lists and feedback fail until it does: `rec serve`, or its log.");
  if (!status) return of("unknown", "Asking the service …", "");
  if (!status.ready) return of("warn", "The service is getting warm", "It answers once the first list has been made.");
  const loop = status.pipeline || {};
  if (!loop.updated_at) return of("unknown", "No data yet", `No run has ended. ${several(status.behind, "event")} in the log; lists are made ${status.checkpoint ? "by what was promoted before" : "by popularity"}. Is the loop running? \`make dev\`, \`rec train\``);
  const idle = now / 1e3 - loop.updated_at / 1e6;
  const waited = status.behind_since ? now / 1e3 - status.behind_since / 1e6 : 0;
  if (Math.min(idle, waited) > IDLE_SECONDS) return of("down", "The loop is down", `${several(status.behind, "event")} wait, and no run has ended for ${duration(idle)}. Lists still follow each user's own events; the weights do not learn.`);
  if (status.rules_error) return of("warn", "The business rules cannot be read", `The ones before stay: ${status.rules_error}`);
  const measured = loop.freshness?.weights;
  if (!measured) return of("unknown", "No data yet", "No event has gone the whole way from received to served; a promise needs a figure.");
  const figures = `p50 ${measured.p50_s.toFixed(1)} s, p95 ${measured.p95_s.toFixed(1)} s, p99 ${measured.p99_s.toFixed(1)} s over ${count(measured.n)} events`;
  if (loop.promise_broken.length) return of("broken", "The promise is broken", `${loop.promise_broken.join("; ")} (${figures})`);
  return of("kept", "The promise is kept", `From an event to the weights that are served: ${figures}.`);
}
