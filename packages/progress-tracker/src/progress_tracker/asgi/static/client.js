/**
 * The browser's side of progress-tracker: watches operations, whatever happens to the connection.
 *
 *   import { ProgressClient } from "/progress/client/latest/client.js";
 *   const client = new ProgressClient();
 *   const stop = client.watch("upload-7", (progress) => console.log(progress.progress));
 *
 * One WebSocket serves all operations of a page. Where sockets do not get through, one stream of
 * server-sent events does, and where nothing streams, polling. After each cut the client says what
 * it has seen, so that it misses no end and sees no state twice.
 */

const FINAL = new Set(["completed", "failed", "cancelled"]);
const REFUSED = new Set([401, 403]);
const STREAM_IDS = 50;
const SOCKET_AGAIN = 300_000;
const LINGER = 5_000;
const HIDDEN = 30_000;
const GREETING = 5_000;
const STABLE = 5_000;
const NOT_YET = 500;
const SHADOWED = /\/|^(\.{1,2}|events)$/;
const DEFAULTS = {
  token: null,
  credentials: "same-origin",
  transports: ["websocket", "sse", "poll"],
  retryMin: 300,
  retryMax: 20_000,
  pollInterval: 2_000,
  silence: 65_000,
};

/** What went wrong; `code` is `unauthorized`, `not_found`, `conflict`, `limited` or `failed`. */
export class ProgressClientError extends Error {
  constructor(code, message, status = 0) {
    super(message);
    this.name = "ProgressClientError";
    this.code = code;
    this.status = status;
  }
}

/** Whether nothing but a restart changes the operation any more. */
export function isFinal(progress) {
  return FINAL.has(progress.status);
}

/** The operation as pages use it: dates are `Date`s, what is absent is undefined. */
export function fromJSON(data) {
  const made = dated(data, ["createdAt", "updatedAt", "completedAt", "startedAt"]);
  if (data.stages) {
    made.stages = data.stages.map((each) => dated(each, ["startedAt", "completedAt"]));
  }
  made.logs = (data.logs ?? []).map((each) => dated(each, ["at"]));
  return made;
}

function dated(data, names) {
  const made = {};
  for (const [name, value] of Object.entries(data)) {
    if (value !== null) made[name] = names.includes(name) ? new Date(value) : value;
  }
  return made;
}

function position(progress) {
  return `${progress.epoch}:${progress.version}`;
}

function isNews(known, found) {
  if (!known || +known.createdAt !== +found.createdAt) return true;
  if (found.epoch !== known.epoch) return found.epoch > known.epoch;
  // a store that lost its last moments gives versions again: nothing follows an end, whatever its version
  return found.version > known.version || (isFinal(found) && !isFinal(known));
}

function isVisible() {
  return typeof document === "undefined" || document.visibilityState !== "hidden";
}

/** Watches operations of one application. */
export class ProgressClient extends EventTarget {
  #base;
  #options;
  #watched = new Map();
  #connection = "idle";
  #close = null; // ends what is open now
  #say = null; // says something on the open socket
  #attempt = 0;
  #generation = 0;
  #transport = 0;
  #lowered = 0;
  #timers = new Map();
  #told = null; // where the application says that its sockets are
  #closed = false;
  #listeners = [];

  /**
   * @param base where the application is mounted; by default where this script came from
   * @param options see `client.d.ts`
   */
  constructor(base = new URL("../../", import.meta.url), options = {}) {
    super();
    const here = typeof location === "undefined" ? undefined : location.href;
    this.#base = new URL(base, here);
    if (!this.#base.pathname.endsWith("/")) this.#base.pathname += "/";
    this.#options = { ...DEFAULTS, ...options };
    this.#listen();
  }

  /** `idle`, `connecting`, `live`, `retrying`, `offline` or `refused`. */
  get connection() {
    return this.#connection;
  }

  /** What states come by now: `websocket`, `sse` or `poll`. */
  get transport() {
    return this.#options.transports[this.#transport];
  }

  /** The newest known state of an operation that is watched. */
  peek(id) {
    return this.#watched.get(id)?.last;
  }

  /**
   * Call `onProgress` with the current state and each newer one, to the end.
   * `patience`: seconds to wait for an operation that does not exist yet.
   * @returns a function that ends it
   */
  watch(id, onProgress, onError, { patience = 0 } = {}) {
    let entry = this.#watched.get(id);
    if (!entry) {
      entry = { listeners: new Set(), last: undefined, ended: false, until: 0 };
      this.#watched.set(id, entry);
    }
    entry.until = Math.max(entry.until, Date.now() + patience * 1000);
    const listener = { onProgress, onError };
    entry.listeners.add(listener);
    if (entry.last) queueMicrotask(() => entry.listeners.has(listener) && onProgress(entry.last));
    if (entry.listeners.size === 1 || entry.ended) this.refresh(id);
    return () => {
      if (!entry.listeners.delete(listener) || entry.listeners.size) return;
      if (this.#watched.get(id) !== entry) return;
      this.#watched.delete(id);
      this.#say?.({ type: "unsubscribe", id });
      this.#changed();
    };
  }

  /** The name that the contract has for {@link watch}. */
  subscribe(id, callback) {
    return this.watch(id, callback);
  }

  /** Ask again about an operation that has ended: it may have been restarted. */
  refresh(id) {
    const entry = this.#watched.get(id);
    if (!entry || this.#closed) return;
    entry.ended = false;
    this.#stop("linger"); // a socket that was about to rest would go, and nobody open another
    if (this.#say) this.#say(this.#wish(id, entry));
    else this.#changed();
  }

  /** Return an operation. */
  async get(id) {
    return fromJSON(await this.#json(this.#operation(id)));
  }

  /** Return `{items, nextCursor}`: the user's operations, newest first. */
  async list(query = {}) {
    const url = this.#url("");
    for (const [name, value] of Object.entries(query)) {
      for (const each of [value].flat()) if (each != null) url.searchParams.append(name, each);
    }
    const { items, nextCursor } = await this.#json(url);
    return { items: items.map(fromJSON), nextCursor };
  }

  /** Ask the worker of an operation to stop; returns the operation. */
  async cancel(id) {
    return fromJSON(await this.#json(this.#operation(id, "cancel"), { method: "POST" }));
  }

  /** End everything. */
  close() {
    this.#closed = true;
    for (const { listeners } of this.#watched.values()) listeners.clear();
    this.#watched.clear();
    this.#drop();
    for (const name of [...this.#timers.keys()]) this.#stop(name);
    for (const [target, name, listener] of this.#listeners) target.removeEventListener(name, listener);
    this.#become("idle");
  }

  // --- what is wanted ---------------------------------------------------------------------------

  #active() {
    return [...this.#watched].filter(([, entry]) => !entry.ended);
  }

  #wish(id, entry) {
    const since = entry.last && position(entry.last);
    return { type: "subscribe", id, ...(since && { since }) };
  }

  /** Fit the connection to what is watched now. */
  #changed() {
    if (this.#closed) return;
    if (this.#active().length) {
      this.#stop("linger");
      if (!this.#close && !this.#timers.has("retry")) this.#connect();
      // a stream is about the operations of its address: it is opened anew
      else if (this.#close && this.transport !== "websocket") this.#after("reopen", 30, () => this.#reopen());
    } else {
      // not at once: pages stop and start watching in one breath
      this.#after("linger", LINGER, () => {
        this.#drop();
        this.#stop("retry");
        this.#become("idle");
      });
    }
  }

  #take(data) {
    const entry = this.#watched.get(data.id);
    if (!entry) return;
    const found = fromJSON(data);
    entry.tries = 0;
    const isNew = isNews(entry.last, found);
    if (isNew) entry.last = found;
    // what comes late of the time before ends nothing, and what goes on after all is not to rest
    entry.ended = isFinal(entry.last);
    if (!entry.ended) this.#stop("linger");
    if (isNew) tell(entry, "onProgress", found);
    if (entry.ended && !this.#active().length) this.#changed();
  }

  /** There is no such operation: not yet, or not any more. */
  #miss(id) {
    const entry = this.#watched.get(id);
    if (entry && !entry.last && Date.now() < entry.until) this.#after(`again ${id}`, NOT_YET, () => this.refresh(id));
    else this.#lose(id, notFound());
  }

  #lose(id, error) {
    const entry = this.#watched.get(id);
    if (!entry) return;
    entry.ended = true;
    tell(entry, "onError", error);
    if (!this.#active().length) this.#changed();
  }

  #hear(message) {
    if (message.type === "progress") this.#take(message.progress);
    else if (message.type === "gone") this.#miss(message.id);
    else if (message.type === "unavailable") {
      const entry = this.#watched.get(message.id);
      if (!entry) return;
      entry.tries = (entry.tries ?? 0) + 1;
      this.#after(`again ${message.id}`, this.#pause(entry.tries), () => this.refresh(message.id));
    } else if (message.type === "error" && message.id) {
      this.#lose(message.id, new ProgressClientError("failed", message.error));
    }
  }

  #refuse(status, message) {
    this.#drop();
    this.#become("refused");
    const error = new ProgressClientError("unauthorized", message, status);
    for (const [id] of this.#active()) this.#lose(id, error);
  }

  // --- the connection ---------------------------------------------------------------------------

  #connect() {
    if (this.#closed || !this.#active().length) return;
    this.#stop("retry");
    if (this.#lowered && Date.now() - this.#lowered > SOCKET_AGAIN) this.#transport = this.#lowered = 0;
    const generation = ++this.#generation;
    const isCurrent = () => generation === this.#generation;
    this.#become(this.#attempt ? "retrying" : "connecting");
    const open = { websocket: this.#openSocket, sse: this.#openStream, poll: this.#openPolling };
    open[this.transport].call(this, isCurrent);
  }

  #reopen() {
    this.#drop();
    this.#connect();
  }

  /** Close what is open, without a word to anybody. */
  #drop() {
    this.#generation += 1;
    const close = this.#close;
    this.#close = this.#say = null;
    for (const name of ["silence", "pong", "stable", "greeting"]) this.#stop(name);
    close?.();
  }

  #live() {
    // a server that lets in and cuts at once must not be asked at full speed for ever
    if (this.#attempt && !this.#timers.has("stable")) {
      this.#after("stable", STABLE, () => (this.#attempt = 0));
    }
    this.#become("live");
  }

  #pause(attempt = this.#attempt) {
    const { retryMin, retryMax } = this.#options;
    const most = Math.min(retryMax, retryMin * 2 ** Math.min(attempt, 16));
    // jitter: the pages of a server that comes back do not all come at once
    return most * (0.5 + Math.random() / 2);
  }

  #retry() {
    this.#drop();
    if (this.#closed || !this.#active().length) return;
    const pause = this.#pause();
    this.#attempt += 1;
    const isOffline = typeof navigator !== "undefined" && navigator.onLine === false;
    this.#become(isOffline ? "offline" : "retrying");
    this.#after("retry", pause, () => this.#connect());
  }

  #lower() {
    if (this.#transport < this.#options.transports.length - 1) {
      this.#transport += 1;
      this.#lowered = Date.now();
      this.#drop();
      this.#connect();
    } else {
      this.#retry();
    }
  }

  #alive() {
    this.#stop("pong");
    this.#after("silence", this.#options.silence, () => this.#retry());
  }

  async #openSocket(isCurrent) {
    let socket;
    let opened = false;
    this.#close = () => socket?.close();
    const protocols = ["progress.v1"];
    const token = await this.#token();
    if (!isCurrent()) return;
    if (token) protocols.push(`bearer.${base64url(token)}`);
    const url = this.#socketUrl();
    try {
      socket = new WebSocket(url, protocols);
    } catch {
      this.#lower(); // a policy of the page forbids it
      return;
    }
    socket.onopen = () => {
      if (!isCurrent()) return;
      opened = true;
      this.#say = (message) => socket.readyState === WebSocket.OPEN && socket.send(JSON.stringify(message));
      for (const [id, entry] of this.#active()) this.#say(this.#wish(id, entry));
      this.#alive();
    };
    socket.onmessage = ({ data }) => {
      if (!isCurrent()) return;
      this.#alive();
      this.#live();
      this.#hear(JSON.parse(data));
    };
    socket.onclose = ({ code }) => {
      if (!isCurrent()) return;
      if (code === 4401) this.#refuse(401, "signed out");
      else if (opened) this.#retry();
      else this.#learnWhy(isCurrent);
    };
  }

  /** A socket that does not open says nothing: ask why by a plain request. */
  async #learnWhy(isCurrent) {
    this.#become("retrying");
    try {
      const url = this.#url("");
      url.searchParams.set("limit", "1");
      const told = (await this.#fetch(url)).headers.get("x-progress-websocket");
      if (!isCurrent()) return;
      if (told && told !== String(this.#socketUrl())) {
        this.#told = told;
        this.#reopen();
      } else {
        this.#lower(); // the application answers, but sockets do not get through
      }
    } catch (error) {
      if (!isCurrent()) return;
      if (REFUSED.has(error.status)) this.#refuse(error.status, error.message);
      else this.#retry();
    }
  }

  async #openStream(isCurrent) {
    const active = this.#active();
    if (active.length > STREAM_IDS) {
      this.#lower();
      return;
    }
    const abort = new AbortController();
    this.#close = () => abort.abort();
    const url = this.#url("events");
    for (const [id, entry] of active) {
      url.searchParams.append("id", id);
      url.searchParams.append("since", entry.last ? position(entry.last) : "");
    }
    let greeted = false;
    this.#after("greeting", GREETING, () => isCurrent() && !greeted && this.#lower());
    try {
      const response = await this.#fetch(url, { signal: abort.signal });
      if (!response.body) {
        if (isCurrent()) this.#lower();
        return;
      }
      for await (const event of events(response.body)) {
        if (!isCurrent()) return;
        greeted = true;
        this.#alive();
        this.#live();
        if (event.data) {
          const data = JSON.parse(event.data);
          this.#hear(event.event === "progress" ? { type: "progress", progress: data } : { ...data, type: event.event });
        }
      }
      if (isCurrent()) this.#retry(); // all have ended, or the server stops
    } catch (error) {
      if (!isCurrent()) return;
      if (REFUSED.has(error.status)) this.#refuse(error.status, error.message);
      else this.#retry();
    } finally {
      if (isCurrent()) this.#stop("greeting");
    }
  }

  async #openPolling(isCurrent) {
    const abort = new AbortController();
    this.#close = () => abort.abort();
    try {
      while (isCurrent() && this.#active().length) {
        const active = this.#active();
        for (const [id, entry] of active) {
          await this.#poll(id, entry, active.length === 1, abort.signal);
          if (!isCurrent()) return;
          this.#live();
        }
        await sleep(active.length === 1 ? 100 : this.#options.pollInterval, abort.signal);
      }
      if (isCurrent()) this.#drop();
    } catch (error) {
      if (!isCurrent()) return;
      if (REFUSED.has(error.status)) this.#refuse(error.status, error.message);
      else this.#retry();
    }
  }

  async #poll(id, entry, patiently, signal) {
    const url = this.#operation(id);
    if (entry.last) {
      url.searchParams.set("since", position(entry.last));
      if (patiently) url.searchParams.set("wait", "25");
    }
    try {
      const response = await this.#fetch(url, { signal });
      if (response.status !== 204) this.#take(await response.json());
    } catch (error) {
      if (error.status !== 404) throw error;
      this.#miss(id);
    }
  }

  // --- the browser ------------------------------------------------------------------------------

  #listen() {
    if (typeof window === "undefined") return;
    const on = (target, name, listener) => {
      target.addEventListener(name, listener);
      this.#listeners.push([target, name, listener]);
    };
    on(window, "online", () => this.#wake());
    on(window, "offline", () => this.#close && this.#retry());
    on(window, "pagehide", () => this.#drop());
    on(window, "pageshow", ({ persisted }) => persisted && this.#wake());
    on(document, "visibilitychange", () => this.#seen());
  }

  #wake() {
    if (this.#closed || !this.#active().length) return;
    this.#attempt = 0;
    this.#reopen();
  }

  #seen() {
    if (isVisible()) {
      this.#stop("hidden");
      if (this.#say) {
        // the machine may have slept: an answer shows that the socket is alive
        this.#say({ type: "ping" });
        this.#after("pong", GREETING, () => this.#retry());
      } else if (this.#active().length) {
        this.#wake();
      }
    } else if (this.#close && !this.#say && this.transport !== "websocket") {
      // a browser has six plain connections to a server, for all tabs together
      this.#after("hidden", HIDDEN, () => this.#drop());
    }
  }

  #become(connection) {
    if (connection === this.#connection) return;
    this.#connection = connection;
    this.dispatchEvent(new CustomEvent("connection", { detail: connection }));
  }

  #after(name, milliseconds, step) {
    this.#stop(name);
    const run = () => {
      this.#timers.delete(name);
      step();
    };
    this.#timers.set(name, setTimeout(run, milliseconds));
  }

  #stop(name) {
    clearTimeout(this.#timers.get(name));
    this.#timers.delete(name);
  }

  // --- requests ---------------------------------------------------------------------------------

  #url(path) {
    return new URL(path, this.#base);
  }

  /** The address of an operation: its query names it where its path would be another route's. */
  #operation(id, action = "") {
    if (!SHADOWED.test(id)) return this.#url(encodeURIComponent(id) + (action && `/${action}`));
    const url = this.#url(action);
    url.searchParams.set("id", id);
    return url;
  }

  #socketUrl() {
    if (this.#told) return new URL(this.#told);
    const url = this.#url("ws/progress");
    url.protocol = url.protocol.replace("http", "ws");
    return url;
  }

  async #token() {
    const { token } = this.#options;
    return typeof token === "function" ? await token() : token;
  }

  async #fetch(url, init = {}) {
    const token = await this.#token();
    const headers = token ? { authorization: `Bearer ${token}` } : {};
    const { credentials } = this.#options;
    const response = await fetch(url, { ...init, headers, credentials, cache: "no-store" });
    if (!response.ok) throw await refusal(response);
    return response;
  }

  async #json(url, init) {
    return await (await this.#fetch(url, init)).json();
  }
}

const shared = new Map();

/** The client of an application that all elements and hooks of the page share. */
export function sharedClient(base = new URL("../../", import.meta.url), options = {}) {
  const key = String(new URL(base, typeof location === "undefined" ? undefined : location.href));
  if (!shared.has(key)) shared.set(key, new ProgressClient(key, options));
  return shared.get(key);
}

/** Call who listens to an operation, but not whom one before it has stopped. */
function tell(entry, name, value) {
  for (const each of [...entry.listeners]) if (entry.listeners.has(each)) guarded(each[name], value);
}

function guarded(callback, value) {
  try {
    callback?.(value);
  } catch (error) {
    // one broken listener takes nothing from the others
    queueMicrotask(() => {
      throw error;
    });
  }
}

function notFound() {
  return new ProgressClientError("not_found", "no such operation", 404);
}

async function refusal(response) {
  const { status } = response;
  const codes = { 401: "unauthorized", 403: "unauthorized", 404: "not_found", 409: "conflict", 429: "limited" };
  let message = response.statusText;
  try {
    message = (await response.json()).error ?? message;
  } catch {
    // not ours: a proxy's
  }
  return new ProgressClientError(codes[status] ?? "failed", message, status);
}

function base64url(text) {
  const bytes = String.fromCharCode(...new TextEncoder().encode(text));
  return btoa(bytes).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

function sleep(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", stop); // else each pause would leave one behind
      resolve();
    }, milliseconds);
    signal.addEventListener("abort", stop);
  });
}

/** Server-sent events of a response (WHATWG HTML, section 9.2); comments come as empty events. */
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  while (true) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const event = {};
      for (const line of block.split("\n")) {
        const colon = line.indexOf(":");
        if (colon > 0) event[line.slice(0, colon)] = line.slice(colon + 1).replace(/^ /, "");
      }
      yield event;
    }
  }
}
