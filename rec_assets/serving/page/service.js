// Talking to the service: requests, the API key where one is needed, and the stream of what changes.

import { byId, element } from "./elements.js";

const KEPT = "rec-key"; // in the session's storage: gone when the tab is closed
const WAIT = [500, 1_000, 2_000, 5_000]; // ms until the stream is tried again

/** What the service refused: the message names the field. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

let asking = null;

function askForKey() {
  asking ??= new Promise((done) => {
    const field = element("input", { type: "password", id: "key", autocomplete: "off", required: true });
    const form = element("form", { method: "dialog", className: "inside" },
      element("label", { htmlFor: "key", textContent: "This service wants an API key with the scopes read and feedback." }),
      field, element("button", { className: "primary", textContent: "Use it" }));
    const dialog = element("dialog", { ariaLabel: "API key", className: "key" }, form);
    dialog.addEventListener("close", () => {
      sessionStorage.setItem(KEPT, field.value.trim());
      dialog.remove();
      asking = null;
      done();
    });
    document.body.append(dialog);
    dialog.showModal();
  });
  return asking;
}

function headers() {
  const key = sessionStorage.getItem(KEPT);
  return key ? { Authorization: `Bearer ${key}` } : {};
}

async function answerOf(path, options) {
  const answer = await fetch(path, { ...options, headers: { ...options.headers, ...headers() } });
  if (answer.status !== 401) return answer;
  await askForKey();
  return answerOf(path, options);
}

/** The JSON that a path answers; Refused with the service's own words otherwise. */
export async function ask(path, body) {
  const options = body ? { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) } : {};
  const answer = await answerOf(path, options);
  const data = await answer.json();
  if (!answer.ok) throw new Refused(answer.status, data.error ? data.error.message : `${path} answered ${answer.status}`);
  return data;
}

/** The text that a path answers. */
export async function text(path) {
  const answer = await answerOf(path, {});
  if (!answer.ok) throw new Refused(answer.status, `${path} answered ${answer.status}`);
  return answer.text();
}

const visible = () => new Promise((done) => {
  const look = () => document.hidden || (document.removeEventListener("visibilitychange", look), done());
  document.addEventListener("visibilitychange", look);
  look();
});

/**
 * Call `onStatus` with each status, `onLive` with whether the stream stands. An EventSource could carry no key. A page
 * that nobody sees lets go of its stream: a browser opens only six connections to a service.
 */
export async function listen(onStatus, onLive) {
  for (let failed = 0; ; failed++) {
    await visible();
    const stopping = new AbortController();
    const letGo = () => document.visibilityState === "hidden" && stopping.abort();
    const leave = () => stopping.abort();
    document.addEventListener("visibilitychange", letGo);
    window.addEventListener("pagehide", leave);
    try {
      const answer = await answerOf("events", { signal: stopping.signal });
      if (!answer.ok) throw new Refused(answer.status, "no stream");
      for await (const message of messages(answer.body)) {
        failed = 0;
        onLive(true);
        try {
          onStatus(JSON.parse(message));
        } catch (error) {
          reportError(error); // of the drawing: the stream goes on
        }
      }
    } catch (error) {
      if (!(error instanceof Refused || error instanceof TypeError || error.name === "AbortError")) throw error; // TypeError: no network
    } finally {
      document.removeEventListener("visibilitychange", letGo);
      window.removeEventListener("pagehide", leave);
    }
    if (stopping.signal.aborted) continue;
    onLive(false);
    await new Promise((done) => setTimeout(done, WAIT[Math.min(failed, WAIT.length - 1)]));
  }
}

async function* messages(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      const data = part.split("\n").find((line) => line.startsWith("data: "));
      if (data) yield data.slice(6);
    }
  }
}

/** The button that switches between dark and light, and what was chosen the last time. */
export function themed() {
  const root = document.documentElement;
  const kept = localStorage.getItem("rec-theme");
  if (kept) root.dataset.theme = kept;
  byId("theme").onclick = () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    localStorage.setItem("rec-theme", root.dataset.theme);
  };
}
