/**
 * <progress-tracker operation="upload-7" cancellable parts></progress-tracker>
 *
 * Attributes: `operation` (the id), `base` (where the application is; by default where this script
 * came from), `label`, `cancellable`, `parts` (shows the operations that it consists of),
 * `compact`, `patience` (seconds to wait for an operation to exist), `theme` (`light` or `dark`; by default that of the page). A page without a connection
 * of its own may set the property `progress` instead. Events: `progress`, `end`, `trouble`.
 */
import { ProgressClientError, isFinal, sharedClient } from "./client.js";

const MOST_PARTS = 12;
const NEXT_LOOK = 1_500;
const TROUBLES = new Set(["unauthorized", "not_found", "limited"]);

const SHEET = `
:host {
  --_accent: var(--progress-accent, light-dark(#2563eb, #6ea8fe));
  --_done: var(--progress-done, light-dark(#15803d, #4ade80));
  --_failed: var(--progress-failed, light-dark(#b42318, #ff8a80));
  --_cancelled: var(--progress-cancelled, light-dark(#92600a, #f5c04e));
  --_text: var(--progress-text, light-dark(#1b2430, #e8edf4));
  --_muted: var(--progress-muted, light-dark(#566273, #a3afbf));
  --_surface: var(--progress-surface, light-dark(#ffffff, #171c24));
  --_border: var(--progress-border, light-dark(#dde3ea, #2e3744));
  --_track: var(--progress-track, light-dark(#e6ebf1, #2b3442));
  --_radius: var(--progress-radius, 12px);
  --_height: var(--progress-height, 8px);
  --_tone: var(--_accent);
  display: block;
  color: var(--_text);
  font: var(--progress-font, 14px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif);
  container-type: inline-size;
}
:host([hidden]) { display: none; }
:host([theme="light"]) { color-scheme: light; }
:host([theme="dark"]) { color-scheme: dark; }
* { box-sizing: border-box; margin: 0; padding: 0; }
[hidden] { display: none !important; }
.card {
  background: var(--_surface);
  border: 1px solid var(--_border);
  border-radius: var(--_radius);
  padding: 14px 16px 15px;
}
.card[data-status="pending"] { --_tone: var(--_muted); }
.card[data-status="completed"] { --_tone: var(--_done); }
.card[data-status="failed"] { --_tone: var(--_failed); }
.card[data-status="cancelled"] { --_tone: var(--_cancelled); }
header { display: flex; align-items: center; gap: 9px; min-width: 0; }
.sign { flex: none; width: 18px; height: 18px; color: var(--_tone); }
.sign path, .sign circle { fill: none; stroke: currentColor; stroke-width: 2; stroke-linecap: round; stroke-linejoin: round; }
.label { flex: 1; min-width: 0; font-weight: 600; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.percent { flex: none; font-weight: 600; font-variant-numeric: tabular-nums; color: var(--_tone); }
.bar {
  height: var(--_height);
  border-radius: 99px;
  background: var(--_track);
  overflow: hidden;
  margin-top: 10px;
}
.fill {
  height: 100%;
  width: 0;
  border-radius: 99px;
  background: var(--_tone);
  transition: width .35s ease-out, background-color .2s;
}
.bar.unknown .fill { width: 34%; animation: wander 1.5s ease-in-out infinite alternate; }
@keyframes wander { from { margin-left: 0; } to { margin-left: 66%; } }
.detail { display: flex; gap: 4px 12px; flex-wrap: wrap; margin-top: 8px; color: var(--_muted); font-size: .93em; }
.detail .now { flex: 1 1 auto; min-width: 0; overflow-wrap: anywhere; }
.detail .figures { flex: none; font-variant-numeric: tabular-nums; }
.error { margin-top: 8px; color: var(--_failed); overflow-wrap: anywhere; white-space: pre-line; }
.stages { list-style: none; display: grid; grid-template-columns: 18px fit-content(45%) minmax(3em, 1fr) 3em; gap: 7px 9px; margin-top: 12px; padding-top: 12px; border-top: 1px solid var(--_border); }
.stage { display: grid; grid-column: 1 / -1; grid-template-columns: subgrid; align-items: center; gap: 7px 9px; color: var(--_muted); font-size: .93em; }
.stage .name { min-width: 10em; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.stage .line { height: 4px; border-radius: 9px; background: var(--_track); overflow: hidden; }
.stage .line i { display: block; height: 100%; width: 0; border-radius: 9px; background: var(--_accent); transition: width .35s ease-out; }
.stage .share { text-align: right; font-variant-numeric: tabular-nums; }
.stage .dot { justify-self: center; width: 9px; height: 9px; border-radius: 50%; border: 2px solid var(--_muted); opacity: .6; }
.stage[data-status="processing"] { color: var(--_text); }
.stage[data-status="processing"] .dot { border-color: var(--_accent); background: var(--_accent); opacity: 1; }
.stage[data-status="completed"] .dot { border-color: var(--_done); background: var(--_done); opacity: 1; }
.stage[data-status="completed"] .line i { background: var(--_done); }
.stage[data-status="failed"] .dot { border-color: var(--_failed); background: var(--_failed); opacity: 1; }
.stage[data-status="failed"] .line i { background: var(--_failed); }
.stage[data-status="cancelled"] .dot { border-color: var(--_cancelled); background: var(--_cancelled); opacity: 1; }
.stage.skipped .name { text-decoration: line-through; }
.parts { margin-top: 12px; padding-top: 4px; border-top: 1px solid var(--_border); }
.parts > * { margin-top: 8px; }
.more { color: var(--_muted); font-size: .93em; }
footer { display: flex; align-items: center; justify-content: flex-end; gap: 10px; margin-top: 12px; }
.note { flex: 1; min-width: 0; color: var(--_muted); font-size: .93em; }
button {
  font: inherit; font-size: .93em; font-weight: 600;
  color: var(--_text); background: transparent;
  border: 1px solid var(--_border); border-radius: 8px;
  padding: 5px 12px; min-height: 32px; cursor: pointer;
}
button:hover:not(:disabled) { border-color: var(--_failed); color: var(--_failed); }
button:focus-visible { outline: 2px solid var(--_accent); outline-offset: 2px; }
button:disabled { color: var(--_muted); cursor: default; }
.stale .fill { opacity: .55; }
:host([compact]) .card { border: 0; padding: 3px 0; background: none; border-radius: 0; }
:host([compact]) .bar { margin-top: 5px; height: 4px; }
:host([compact]) .label { font-weight: 400; }
:host([compact]) .percent { font-weight: 400; }
:host([compact]) :is(.detail, .stages) { display: none; }
:host([compact]) .error { font-size: .93em; margin: 4px 0 0 24px; }
:host([compact]) .sign { width: 15px; height: 15px; }
.quiet { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
@container (max-width: 420px) {
  .card { padding: 12px 12px 13px; }
  .stages { grid-template-columns: 18px minmax(0, 1fr) 3em; }
  .stage .name { min-width: 0; }
  .stage .line { grid-column: 2 / -1; grid-row: 2; }
  .label { white-space: normal; overflow-wrap: anywhere; display: -webkit-box; -webkit-line-clamp: 2; -webkit-box-orient: vertical; }
}
@media (prefers-reduced-motion: reduce) {
  .fill, .stage .line i { transition: none; }
  .bar.unknown .fill {
    animation: none; width: 100%;
    background: repeating-linear-gradient(-45deg, var(--_tone) 0 6px, transparent 6px 12px);
  }
}
@media (forced-colors: active) {
  .bar, .stage .line { border: 1px solid CanvasText; }
  .fill, .stage .line i { background: Highlight; forced-color-adjust: none; }
}
`;

const SIGNS = {
  pending: '<circle cx="9" cy="9" r="7" stroke-dasharray="3 4.3"/>',
  processing: '<circle cx="9" cy="9" r="7" opacity=".3"/><path d="M9 2a7 7 0 0 1 7 7"/>',
  completed: '<circle cx="9" cy="9" r="7"/><path d="m5.8 9.3 2.2 2.2 4.2-4.6"/>',
  failed: '<circle cx="9" cy="9" r="7"/><path d="m6.7 6.7 4.6 4.6m0-4.6-4.6 4.6"/>',
  cancelled: '<circle cx="9" cy="9" r="7"/><path d="m4.3 13.7 9.4-9.4"/>',
};

let sheet;

/** Words that people read; replace what you need: `ProgressTrackerElement.words.cancel = "…"`. */
const WORDS = {
  pending: "Waiting",
  processing: "Running",
  completed: "Done",
  failed: "Failed",
  cancelled: "Cancelled",
  stalled: "Its worker fell silent",
  cancel: "Cancel",
  cancelling: "Cancelling …",
  reconnecting: "Reconnecting …",
  offline: "You are offline",
  unauthorized: "Sign in to see this",
  not_found: "There is no such operation",
  limited: "Too many pages are open",
  failedToAsk: "The server does not answer",
  more: (count) => `and ${count} more`,
  failedParts: (count) => `${count} failed`,
  parts: (done, total) => `${done} of ${total} parts`,
  left: (text) => `${text} left`,
};

export class ProgressTrackerElement extends HTMLElement {
  static observedAttributes = ["operation", "base", "label", "cancellable", "parts", "compact"];
  static words = WORDS;

  #nodes;
  #progress;
  #error;
  #client;
  #own;
  #stop = () => {};
  #asked = false;
  #told = "";
  #parts = { shown: "", timer: undefined, at: 0 };
  #onConnection = () => this.#render();

  constructor() {
    super();
    this.#nodes = build(this.attachShadow({ mode: "open" }));
    this.#nodes.cancel.addEventListener("click", () => this.#cancel());
  }

  /** The client that it watches by; the page's shared one unless it is set. */
  get client() {
    return this.#own ?? sharedClient(this.getAttribute("base") ?? undefined);
  }

  set client(client) {
    if (this.#client && client !== this.#client) this.#progress = undefined;
    this.#own = client;
    if (this.isConnected) this.#begin();
  }

  /** The newest state; set it to show one without a connection. */
  get progress() {
    return this.#progress;
  }

  set progress(progress) {
    if (progress) {
      this.#take(progress);
    } else {
      this.#progress = undefined;
      this.#render();
    }
  }

  /** Ask again: the operation may have been restarted. */
  refresh() {
    this.#asked = false;
    if (this.#error) this.#begin();
    else this.#client?.refresh(this.getAttribute("operation"));
  }

  connectedCallback() {
    this.#begin();
  }

  disconnectedCallback() {
    this.#end();
  }

  attributeChangedCallback(name, before, now) {
    if (before === now) return;
    const isAnother = name === "operation" || name === "base";
    // also while it is nowhere: a list may use its rows again
    if (isAnother && (this.isConnected || this.#client)) this.#progress = undefined;
    if (!this.isConnected) return;
    if (isAnother) this.#begin();
    else this.#render();
  }

  #begin() {
    this.#end();
    const id = this.getAttribute("operation");
    this.#error = undefined;
    this.#asked = false;
    if (id) {
      this.#client = this.client;
      this.#client.addEventListener("connection", this.#onConnection);
      const patience = Number(this.getAttribute("patience")) || 0;
      this.#stop = this.#client.watch(
        id,
        (progress) => this.#take(progress),
        (error) => this.#fail(error),
        { patience },
      );
    }
    this.#render();
  }

  #end() {
    this.#stop();
    this.#stop = () => {};
    this.#client?.removeEventListener("connection", this.#onConnection);
    clearTimeout(this.#parts.timer);
    this.#parts = { shown: "", timer: undefined, at: this.#parts.at };
  }

  #take(progress) {
    // what ended or was taken over is not being cancelled any more
    if (isFinal(progress) || progress.epoch !== this.#progress?.epoch) this.#asked = false;
    this.#progress = progress;
    this.#error = undefined;
    this.#render();
    this.#emit("progress", progress);
    if (isFinal(progress)) this.#emit("end", progress);
  }

  #fail(error) {
    this.#error = error;
    this.#render();
    this.#emit("trouble", error);
  }

  #emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed: true }));
  }

  async #cancel() {
    const watching = this.#stop;
    this.#asked = true;
    this.#render();
    try {
      await this.#client.cancel(this.getAttribute("operation"));
    } catch (error) {
      if (watching !== this.#stop) return; // it shows another operation by now, or is gone
      this.#asked = false;
      // it ended meanwhile: what it ended as is shown, or on its way
      if (error.code !== "conflict" && !(this.#progress && isFinal(this.#progress))) {
        this.#fail(error instanceof ProgressClientError ? error : new ProgressClientError("failed", String(error)));
      }
    }
  }

  #render() {
    const { card, sign, label, percent, bar, fill, now, figures, error, stages, cancel, note, footer, live } = this.#nodes;
    const words = this.constructor.words;
    const state = this.#progress;
    const status = state?.status ?? "pending";
    card.dataset.status = status;
    if (sign.dataset.status !== status) {
      sign.dataset.status = status;
      sign.replaceChildren(...shapes(SIGNS[status]));
    }
    const title = this.getAttribute("label") ?? state?.metadata?.title ?? state?.kind ?? this.getAttribute("operation") ?? "";
    label.textContent = label.title = title;
    bar.setAttribute("aria-label", title);

    const value = state?.progress ?? 0;
    const isUnknown = status === "processing" && value === 0 && state.total === undefined && !state.children;
    percent.textContent = !state || isUnknown ? "" : `${Math.floor(value)} %`;
    bar.classList.toggle("unknown", isUnknown);
    fill.style.width = isUnknown ? "" : `${value}%`;
    if (isUnknown || !state) bar.removeAttribute("aria-valuenow");
    else bar.setAttribute("aria-valuenow", String(Math.floor(value)));

    const doing = what(state, words);
    bar.setAttribute("aria-valuetext", [percent.textContent, words[status], state?.stage].filter(Boolean).join(", "));
    now.textContent = doing;
    figures.textContent = numbers(state, words);
    now.parentNode.hidden = !doing && !figures.textContent;
    const isRunning = state && !isFinal(state);
    error.textContent = status === "failed" ? reason(state, words) : "";
    error.hidden = !error.textContent;

    fillStages(stages, state?.stages ?? []);
    const connection = this.#client?.connection;
    const trouble = this.#error && (TROUBLES.has(this.#error.code) ? words[this.#error.code] : words.failedToAsk);
    const isCut = !this.#error && (!state || isRunning) && ["retrying", "offline"].includes(connection);
    const cut = isCut && (connection === "offline" ? words.offline : words.reconnecting);
    card.classList.toggle("stale", Boolean(isCut));
    note.textContent = trouble || cut || "";
    const hadFocus = this.shadowRoot.activeElement === cancel;
    cancel.hidden = !(this.hasAttribute("cancellable") && isRunning && this.#client);
    cancel.disabled = this.#asked || Boolean(state?.cancelRequested);
    cancel.textContent = cancel.disabled ? words.cancelling : words.cancel;
    cancel.setAttribute("aria-label", `${cancel.textContent} ${title}`);
    // who uses the keyboard goes on from here, not from the top of the page
    if (hadFocus && (cancel.hidden || cancel.disabled)) card.focus({ preventScroll: true });
    footer.hidden = cancel.hidden && !note.textContent;

    // a screen reader hears stages and ends, not each percent
    const told = [title, words[status], isRunning ? state.stage : "", trouble].filter(Boolean).join(", ");
    if (told !== this.#told) {
      this.#told = told;
      live.textContent = state || trouble ? told : "";
    }
    this.#lookForParts();
  }

  // --- parts ------------------------------------------------------------------------------------

  #lookForParts() {
    const { parts } = this.#nodes;
    if (!this.#hasParts()) {
      parts.hidden = true;
      this.#parts.shown = "";
      return;
    }
    const counts = this.#progress.children;
    const shown = `${this.#progress.id} ${counts.total} ${counts.completed} ${counts.failed} ${counts.cancelled}`;
    if (shown === this.#parts.shown || this.#parts.timer !== undefined) return;
    const pause = Math.max(0, this.#parts.at + NEXT_LOOK - Date.now());
    this.#parts.timer = setTimeout(() => this.#showParts(shown), pause);
  }

  #hasParts() {
    return Boolean(this.hasAttribute("parts") && this.#progress?.children && this.#client);
  }

  async #showParts(shown) {
    const { parts } = this.#nodes;
    const mine = this.#parts;
    const { id, children } = this.#progress ?? {};
    const isStill = () => this.#parts === mine && this.#hasParts() && this.#progress.id === id;
    try {
      const items = isStill() ? (await this.#client.list({ parentId: id, limit: 100 })).items : [];
      if (!isStill()) return; // another operation's by now
      const order = ["processing", "failed", "pending", "cancelled", "completed"];
      items.sort((a, b) => order.indexOf(a.status) - order.indexOf(b.status));
      const seen = items.slice(0, MOST_PARTS);
      const known = new Map([...parts.querySelectorAll("progress-tracker")].map((each) => [each.getAttribute("operation"), each]));
      const nodes = seen.map((each) => known.get(each.id) ?? this.#part(each));
      const rest = children.total - nodes.length;
      const more = Object.assign(document.createElement("p"), { className: "more", textContent: rest > 0 ? this.constructor.words.more(rest) : "" });
      parts.replaceChildren(...nodes, ...(rest > 0 ? [more] : []));
      parts.hidden = false;
      mine.shown = shown;
    } catch {
      // the parts are an extra: the next state asks again
    } finally {
      mine.at = Date.now();
      mine.timer = undefined;
      if (this.isConnected && this.#parts === mine) this.#lookForParts();
    }
  }

  #part(progress) {
    const made = document.createElement(this.localName);
    made.client = this.#client;
    made.setAttribute("compact", "");
    made.setAttribute("operation", progress.id);
    return made;
  }
}

// --- pieces -------------------------------------------------------------------------------------

function build(root) {
  if (!sheet) {
    sheet = new CSSStyleSheet();
    sheet.replaceSync(SHEET);
  }
  root.adoptedStyleSheets = [sheet];
  const nodes = {};
  const add = (parent, tag, name, attributes = {}) => {
    const made = tag === "svg" ? document.createElementNS(SVG, tag) : document.createElement(tag);
    made.setAttribute("part", name);
    made.setAttribute("class", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    parent.append(made);
    nodes[name] = made;
    return made;
  };
  const card = add(root, "div", "card", { role: "group", tabindex: "-1" });
  const header = add(card, "header", "header");
  add(header, "svg", "sign", { viewBox: "0 0 18 18", "aria-hidden": "true" });
  add(header, "span", "label");
  add(header, "span", "percent", { "aria-hidden": "true" });
  const bar = add(card, "div", "bar", { role: "progressbar", "aria-valuemin": "0", "aria-valuemax": "100" });
  add(bar, "div", "fill");
  const detail = add(card, "div", "detail");
  add(detail, "span", "now");
  add(detail, "span", "figures");
  add(card, "p", "error");
  add(card, "ol", "stages");
  add(card, "div", "parts", { hidden: "" });
  const footer = add(card, "footer", "footer");
  add(footer, "span", "note");
  add(footer, "button", "cancel", { type: "button" });
  add(card, "span", "live", { "aria-live": "polite" }).classList.add("quiet");
  return nodes;
}

const SVG = "http://www.w3.org/2000/svg";

/** Return the shapes of a sign; made node by node, since a page's policy may forbid markup. */
function shapes(markup) {
  return [...markup.matchAll(/<(\w+) ([^/]*)\/>/g)].map(([, tag, attributes]) => {
    const made = document.createElementNS(SVG, tag);
    for (const [, name, value] of attributes.matchAll(/([\w-]+)="([^"]*)"/g)) made.setAttribute(name, value);
    return made;
  });
}

function fillStages(list, stages) {
  list.hidden = !stages.length;
  while (list.children.length > stages.length) list.lastChild.remove();
  stages.forEach((stage, index) => {
    const row = list.children[index] ?? list.appendChild(stageRow());
    row.dataset.status = stage.status;
    row.classList.toggle("skipped", stage.skipped);
    if (stage.status === "processing") row.setAttribute("aria-current", "step");
    else row.removeAttribute("aria-current");
    const [, name, line, share] = row.children;
    name.textContent = name.title = stage.name;
    line.firstChild.style.width = `${stage.progress}%`;
    share.textContent = stage.skipped ? "" : `${Math.floor(stage.progress)} %`;
  });
}

function stageRow() {
  const row = document.createElement("li");
  row.className = "stage";
  for (const name of ["dot", "name", "line", "share"]) {
    const made = document.createElement("span");
    made.className = name;
    if (name === "dot" || name === "line") made.setAttribute("aria-hidden", "true");
    row.append(made);
  }
  row.children[2].append(document.createElement("i"));
  return row;
}

function what(state, words) {
  if (!state) return "";
  if (state.status === "completed") return state.message ?? words.completed;
  if (isFinal(state)) return words[state.status];
  if (state.status === "pending") return state.message ?? words.pending;
  return [state.stages ? undefined : state.stage, state.message].filter(Boolean).join(" · ");
}

function reason(state, words) {
  if (state.reason === "stalled") return words.stalled;
  return state.error?.message ?? "";
}

function numbers(state, words) {
  if (!state) return "";
  const counts = state.children;
  const made = [];
  if (counts) {
    made.push(words.parts(counts.completed, Math.max(counts.total, state.total ?? 0)));
    if (counts.failed) made.push(words.failedParts(counts.failed));
  }
  if (!counts && state.current !== undefined && state.total !== undefined) made.push(`${short(state.current)} / ${short(state.total)}`);
  else if (!counts && state.current) made.push(short(state.current));
  if (isFinal(state)) {
    const begun = state.startedAt ?? state.createdAt;
    if (state.completedAt) made.push(duration((state.completedAt - begun) / 1000));
  } else if (state.eta !== undefined) {
    made.push(words.left(duration(state.eta)));
  }
  return made.join(" · ");
}

function short(number) {
  return new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 }).format(number);
}

function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

if (!customElements.get("progress-tracker")) customElements.define("progress-tracker", ProgressTrackerElement);
