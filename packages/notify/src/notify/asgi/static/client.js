/**
 * The browser's side of notify: a user's inbox as it changes, whatever happens to the connection.
 *
 *   import { NotifyClient } from "/notify/client/latest/client.js";
 *   const client = new NotifyClient();
 *   const stop = client.watch({ onCount: (unread) => console.log(unread) });
 *
 * The tabs of a user share one connection: one of them leads (a Web Lock), and tells the others (a
 * BroadcastChannel). Where sockets do not get through, a stream of server-sent events does, and
 * where nothing streams, polling. Every event has a place in the user's sequence: after each cut
 * the client asks for what came after the last one, so that nothing is missed or told twice. The
 * unread count is always the server's.
 */

const REFUSED = new Set([401, 403]);
const SOCKET_AGAIN = 300_000;
const LINGER = 3_000;
const GREETING = 5_000;
const STABLE = 5_000;
const ANSWER = 10_000;
const WAIT = 25;
const TRIES = 2; // a server that restarts refuses a socket too
const DEFAULTS = {
  token: null,
  credentials: "same-origin",
  transports: ["websocket", "sse", "poll"],
  retryMin: 300,
  retryMax: 20_000,
  silence: 25_000,
  shared: true,
  socketPath: undefined,
};

/** What went wrong; `code` is `unauthorized`, `not_found`, `limited`, `invalid` or `failed`. */
export class NotifyClientError extends Error {
  constructor(code, message, status = 0) {
    super(message);
    this.name = "NotifyClientError";
    this.code = code;
    this.status = status;
  }
}

/** The notification as pages use it: dates are `Date`s. */
export function fromJSON(data) {
  const made = { ...data, timestamp: new Date(data.timestamp) };
  if (data.expiresAt) made.expiresAt = new Date(data.expiresAt);
  return made;
}

function eventFromJSON(data) {
  const made = { ...data, at: new Date(data.at) };
  if (data.notification) made.notification = fromJSON(data.notification);
  if (data.before) made.before = new Date(data.before);
  return made;
}

/** The address if it is http(s) or relative to the page, else undefined. */
export function safeUrl(text, base = globalThis.location?.href) {
  try {
    const url = new URL(text, base);
    return ["http:", "https:"].includes(url.protocol) ? url.href : undefined;
  } catch {
    return undefined;
  }
}

/** Watches one user's inbox. Emits `connection`. */
export class NotifyClient extends EventTarget {
  #base;
  #options;
  #watchers = new Set();
  #run = null; // what ends everything that goes on
  #cut = null; // ends the connection that is open, not the attempts
  #woken = null; // ends a pause
  #check = null; // asks an open socket whether it lives
  #channel = null;
  #connection = "idle";
  #transport = 0;
  #lowered = 0;
  #tries = 0;
  #attempt = 0;
  #liveAt = 0;
  #seq;
  #unread;
  #userId;
  #catching = null;
  #isLeader = false;
  #linger;
  #told = "ws/notifications"; // where the server says that its socket is; null if it has none
  #listeners = [];

  /**
   * @param base where the application is mounted; by default where this script came from
   * @param options see `client.d.ts`
   */
  constructor(base = new URL("../../", import.meta.url), options = {}) {
    super();
    this.#base = absolute(base);
    this.#options = { ...DEFAULTS, ...options };
    this.#listen();
  }

  /** `idle`, `connecting`, `live`, `retrying`, `offline` or `refused`. */
  get connection() {
    return this.#connection;
  }

  /** What events come by, if this tab leads: `websocket`, `sse` or `poll`. */
  get transport() {
    return this.#options.transports[this.#transport];
  }

  /** Whether this tab holds the connection that all tabs of the user share. */
  get isLeader() {
    return this.#isLeader;
  }

  /** The server's count of unread notifications; undefined before it is known. */
  get unread() {
    return this.#unread;
  }

  /** Who the server says that the user is. */
  get userId() {
    return this.#userId;
  }

  /** The place in the user's sequence up to which everything is known. */
  get seq() {
    return this.#seq;
  }

  /**
   * Hear of the inbox: `onEvent(event)`, `onCount(unread)`, `onReset()` (what is known is void:
   * another user signed in), `onTrouble(error)`. Returns a function that ends it.
   */
  watch(watcher) {
    this.#watchers.add(watcher);
    clearTimeout(this.#linger);
    if (this.#unread !== undefined) {
      queueMicrotask(() => this.#watchers.has(watcher) && watcher.onCount?.(this.#unread));
    }
    if (!this.#run) this.#start();
    return () => {
      if (!this.#watchers.delete(watcher) || this.#watchers.size) return;
      // not at once: pages stop and start watching in one breath
      this.#linger = setTimeout(() => this.#watchers.size || this.#stop("idle"), LINGER);
    };
  }

  /** Call back with each notification that comes, if the user is `userId` (null: whoever it is). */
  subscribe(userId, callback) {
    const onEvent = ({ kind, notification }) => {
      const isTheirs = userId === null || userId === undefined || userId === this.#userId;
      if (kind === "created" && notification && isTheirs) callback(notification);
    };
    return this.watch({ onEvent });
  }

  /** Begin anew, after somebody signed in. */
  reconnect() {
    this.#stop("idle");
    if (this.#watchers.size) this.#start();
  }

  /** End everything. */
  close() {
    this.#watchers.clear();
    this.#stop("idle");
    for (const [target, name, listener] of this.#listeners) target.removeEventListener(name, listener);
  }

  // --- requests ---------------------------------------------------------------------------------

  /** Return `{items, nextCursor, unread, seq}`, newest first. */
  async list(query = {}) {
    const url = this.#url("notifications");
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined && value !== null) {
        url.searchParams.set(name, value instanceof Date ? value.toISOString() : value);
      }
    }
    const page = await this.#json(url);
    return { ...page, items: page.items.map(fromJSON) };
  }

  /** The contract's name for the first page of {@link list}. */
  async getUserNotifications(userId, filters = {}) {
    this.#mine(userId);
    return (await this.list(filters)).items;
  }

  async get(id) {
    return fromJSON(await this.#json(this.#one(id)));
  }

  async markAsRead(id, userId) {
    this.#mine(userId);
    await this.#change(this.#one(id, "/read"));
  }

  /** Mark everything read, or what is older than `before` and of `category`. */
  async markAllAsRead({ before, category } = {}) {
    await this.#change(this.#url("notifications/read-all"), "POST", { before, category });
  }

  async archive(id) {
    await this.#change(this.#one(id, "/archive"));
  }

  async delete(id) {
    await this.#change(this.#one(id), "DELETE");
  }

  async getPreferences() {
    return await this.#json(this.#url("preferences"));
  }

  async setPreferences(userId, preferences) {
    this.#mine(userId);
    return await this.#change(this.#url("preferences"), "PUT", preferences);
  }

  // --- Web Push ---------------------------------------------------------------------------------

  /**
   * Ask the user, and subscribe this browser; call it from a click.
   * @param vapidKey the application's public key, in base64url
   * @param save takes the subscription to your server, which keeps it as the user's address
   * @returns the subscription as JSON
   */
  async enablePush(vapidKey, save = async () => {}) {
    if (!("serviceWorker" in navigator) || !("PushManager" in globalThis)) {
      throw new NotifyClientError("failed", "this browser has no Web Push");
    }
    if ((await Notification.requestPermission()) !== "granted") {
      throw new NotifyClientError("unauthorized", "the user does not want messages");
    }
    const registration = await this.#worker();
    const key = { userVisibleOnly: true, applicationServerKey: bytes(vapidKey) };
    const subscription = (await registration.pushManager.subscribe(key)).toJSON();
    await save(subscription);
    return subscription;
  }

  /** End this browser's subscription; `forget` tells your server of it. */
  async disablePush(forget = async () => {}) {
    const registration = await navigator.serviceWorker?.getRegistration(this.#url("client/latest/"));
    const subscription = await registration?.pushManager.getSubscription();
    if (!subscription) return false;
    await forget(subscription.toJSON());
    return await subscription.unsubscribe();
  }

  async #worker() {
    // a folder of its own: it stands in the way of no worker of the page's
    const scope = this.#url("client/latest/");
    const made = await navigator.serviceWorker.register(new URL("push-worker.js", scope), { scope });
    const fresh = made.installing ?? made.waiting;
    if (!made.active && fresh) {
      await new Promise((resolve) => {
        fresh.addEventListener("statechange", () => fresh.state === "activated" && resolve());
      });
    }
    return made;
  }

  // --- who leads --------------------------------------------------------------------------------

  #start() {
    const run = new AbortController();
    this.#run = run;
    this.#attempt = this.#tries = 0;
    this.#become("connecting");
    void this.#begin(run.signal);
  }

  #stop(connection) {
    this.#run?.abort();
    this.#run = this.#cut = this.#check = null;
    this.#isLeader = false;
    this.#channel?.close();
    this.#channel = null;
    this.#become(connection);
  }

  /** Learn who the user is, then lead, or follow the tab that does. */
  async #begin(signal) {
    await this.#persist(signal, () => this.#catchUp(signal));
    if (signal.aborted) return;
    const { locks } = navigator;
    const name = `notify.v1 ${this.#base.href} ${this.#userId}`;
    if (!this.#options.shared || !locks || !globalThis.BroadcastChannel) {
      await this.#lead(signal);
      return;
    }
    this.#channel = new BroadcastChannel(name);
    this.#channel.onmessage = ({ data }) => this.#hear(data);
    this.#tell({ kind: "ask" });
    try {
      await locks.request(name, { signal }, () => this.#lead(signal));
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  #tell(message) {
    this.#channel?.postMessage(message);
  }

  #state() {
    return { kind: "state", connection: this.#connection, seq: this.#seq, unread: this.#unread };
  }

  /** What another tab says. */
  #hear(message) {
    if (this.#isLeader) {
      if (message.kind === "ask") this.#tell(this.#state());
      else if (message.kind === "wake") this.#wake();
      return;
    }
    const { signal } = this.#run;
    if (message.kind === "event") {
      if (message.after > this.#seq) void this.#follow(signal);
      else this.#take(message.event);
    } else if (message.kind === "state") {
      this.#become(message.connection);
      if (message.seq !== this.#seq) void this.#follow(signal);
      else this.#count(message.unread);
    }
  }

  /** Ask for what the leader's words did not hold, as a tab that was frozen must. */
  async #follow(signal) {
    try {
      await this.#catchUp(signal);
    } catch {
      // the leader's next word asks again
    }
  }

  // --- the connection ---------------------------------------------------------------------------

  async #lead(signal) {
    this.#isLeader = true;
    this.#become("connecting");
    await this.#persist(signal, () => this.#connected(signal), true);
  }

  /** Do `step` until it succeeds, or for ever; pause between attempts. */
  async #persist(signal, step, forever = false) {
    while (!signal.aborted) {
      try {
        await step();
        if (!forever) return;
      } catch (error) {
        if (signal.aborted) return;
        if (REFUSED.has(error.status)) {
          this.#refuse(error);
          return;
        }
      }
      if (!signal.aborted) await this.#pause(signal);
    }
  }

  async #connected(signal) {
    await this.#catchUp(signal);
    if (signal.aborted) return; // it was another user's
    if (this.#lowered && Date.now() - this.#lowered > SOCKET_AGAIN) this.#transport = this.#lowered = 0;
    const cut = new AbortController();
    const end = () => cut.abort();
    signal.addEventListener("abort", end, { once: true });
    this.#cut = end;
    const open = { websocket: this.#socket, sse: this.#stream, poll: this.#poll };
    try {
      const how = await open[this.transport].call(this, cut.signal);
      if (how === "refused") throw new NotifyClientError("unauthorized", "signed out", 401);
      if (how === "unopened") this.#unopened();
    } finally {
      // a server that lets in and cuts at once must not be asked at full speed for ever
      if (this.#liveAt && Date.now() - this.#liveAt > STABLE) this.#attempt = 0;
      this.#liveAt = 0;
      cut.abort();
      signal.removeEventListener("abort", end);
      this.#cut = this.#check = null;
    }
  }

  #unopened() {
    this.#tries += 1;
    if (this.#tries < TRIES || this.#transport === this.#options.transports.length - 1) return;
    this.#transport += 1;
    this.#tries = 0;
    this.#lowered = Date.now();
  }

  async #socket(cut) {
    const path = this.#options.socketPath ?? this.#told;
    if (path === null) {
      this.#tries = TRIES; // there is none to try again
      return "unopened";
    }
    const protocols = ["notify.v1"];
    const token = await this.#token();
    if (token) protocols.push(`bearer.${base64url(token)}`);
    if (cut.aborted) return "cut";
    const url = this.#url(path);
    url.protocol = url.protocol.replace("http", "ws");
    url.searchParams.set("since", this.#seq);
    url.searchParams.set("batch", 1); // what was missed in a few messages: {"events": […]}
    return await new Promise((resolve) => {
      const socket = new WebSocket(url, protocols);
      let isOpen = false;
      let timer;
      const end = (how) => {
        clearTimeout(timer);
        socket.onclose = socket.onmessage = null;
        socket.close();
        resolve(how);
      };
      const ask = () => {
        clearTimeout(timer);
        socket.send('{"type":"ping"}');
        timer = setTimeout(() => end("dead"), ANSWER);
      };
      const alive = () => {
        clearTimeout(timer);
        timer = setTimeout(ask, this.#options.silence);
      };
      cut.addEventListener("abort", () => end("cut"), { once: true });
      timer = setTimeout(() => end("unopened"), ANSWER);
      socket.onopen = () => {
        isOpen = true;
        this.#check = ask;
        alive();
        this.#live();
      };
      socket.onmessage = ({ data }) => {
        alive();
        const said = JSON.parse(data);
        for (const event of said.events ?? [said]) {
          if (event.seq !== undefined) this.#take(event);
        }
      };
      socket.onclose = ({ code }) => end(code === 4401 ? "refused" : isOpen ? "closed" : "unopened");
    });
  }

  async #stream(cut) {
    const url = this.#url("events");
    url.searchParams.set("since", this.#seq);
    const abort = new AbortController();
    cut.addEventListener("abort", () => abort.abort(), { once: true });
    let timer = setTimeout(() => abort.abort(), GREETING);
    let isOpen = false;
    try {
      const response = await this.#fetch(url, { signal: abort.signal });
      for await (const { event, data } of events(response.body)) {
        clearTimeout(timer);
        timer = setTimeout(() => abort.abort(), this.#options.silence + ANSWER);
        if (!isOpen) this.#live();
        isOpen = true;
        if (event === "notification") this.#take(JSON.parse(data));
      }
    } catch (error) {
      if (REFUSED.has(error.status)) throw error;
      // cut, or a proxy's answer
    } finally {
      clearTimeout(timer);
    }
    return isOpen || cut.aborted ? "closed" : "unopened";
  }

  async #poll(cut) {
    while (!cut.aborted) {
      this.#live();
      await this.#catchUp(cut, WAIT);
    }
    return "closed";
  }

  /** Ask for what was missed; with `wait`, for the first news. One at a time. */
  async #catchUp(signal, wait = 0) {
    while (this.#catching) await this.#catching.catch(() => {});
    this.#catching = this.#ask(signal, wait);
    try {
      await this.#catching;
    } finally {
      this.#catching = null;
    }
  }

  async #ask(signal, wait) {
    for (let more = true; more && !signal.aborted; ) {
      const url = this.#url("changes");
      const since = this.#seq;
      if (since !== undefined) url.searchParams.set("since", since);
      if (wait) url.searchParams.set("wait", wait);
      const found = await this.#json(url, { signal });
      if (signal.aborted) return;
      if (this.#userId !== undefined && found.userId !== this.#userId) {
        this.#forget();
        return;
      }
      this.#userId = found.userId;
      if (found.socket !== undefined) this.#told = found.socket;
      for (const event of found.events) this.#take(event);
      // what was told by the connection meanwhile may be newer than this answer
      if (this.#seq === since || this.#seq <= found.seq) {
        this.#seq = found.seq;
        this.#count(found.unread);
      }
      if (found.isReset) this.#each("onReset");
      if (this.#isLeader) this.#tell(this.#state());
      more = found.hasMore;
    }
  }

  /** Another user signed in: nothing of the former one's may stay. */
  #forget() {
    this.#stop("idle");
    this.#seq = this.#unread = this.#userId = undefined;
    this.#each("onReset");
    if (this.#watchers.size) this.#start();
  }

  #take(data) {
    if (data.seq <= this.#seq) return;
    const after = this.#seq;
    this.#seq = data.seq;
    if (this.#isLeader) this.#tell({ kind: "event", event: data, after });
    this.#count(data.unread);
    this.#each("onEvent", eventFromJSON(data));
  }

  #count(unread) {
    if (unread === this.#unread) return;
    this.#unread = unread;
    this.#each("onCount", unread);
  }

  #each(name, value) {
    for (const watcher of [...this.#watchers]) {
      if (!this.#watchers.has(watcher)) continue; // one before it has ended it
      try {
        watcher[name]?.(value);
      } catch (error) {
        // one broken listener takes nothing from the others
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }

  #live() {
    this.#tries = 0;
    this.#liveAt ||= Date.now();
    this.#become("live");
  }

  #refuse(error) {
    this.#stop("refused");
    this.#each("onTrouble", error);
  }

  async #pause(signal) {
    const { retryMin, retryMax } = this.#options;
    const most = Math.min(retryMax, retryMin * 2 ** Math.min(this.#attempt, 16));
    this.#attempt += 1;
    this.#become(navigator.onLine === false ? "offline" : "retrying");
    // jitter: the pages of a server that comes back do not all come at once
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, most * (0.5 + Math.random() / 2));
      const end = () => {
        clearTimeout(timer);
        resolve();
      };
      this.#woken = end;
      signal.addEventListener("abort", end, { once: true });
    });
    this.#woken = null;
  }

  #become(connection) {
    if (connection === this.#connection) return;
    this.#connection = connection;
    if (this.#isLeader) this.#tell(this.#state());
    this.dispatchEvent(new CustomEvent("connection", { detail: connection }));
  }

  // --- the browser ------------------------------------------------------------------------------

  #listen() {
    if (typeof window === "undefined") return;
    const on = (target, name, listener) => {
      target.addEventListener(name, listener);
      this.#listeners.push([target, name, listener]);
    };
    on(window, "online", () => this.#wake());
    on(window, "offline", () => this.#cut?.());
    on(window, "pagehide", () => this.#run && this.#stop("idle"));
    on(window, "pageshow", ({ persisted }) => persisted && this.#watchers.size && this.#start());
    on(document, "visibilitychange", () => document.visibilityState === "visible" && this.#wake());
  }

  /** Try now: the machine may have slept, or the network is back. */
  #wake() {
    if (!this.#run) return;
    if (this.#woken) {
      this.#attempt = 0;
      this.#woken();
    } else if (this.#isLeader) {
      this.#check?.();
    } else {
      // a hidden leader's timers are slow
      this.#tell({ kind: "wake" });
    }
  }

  #mine(userId) {
    if (userId === undefined || userId === null || this.#userId === undefined || userId === this.#userId) return;
    throw new NotifyClientError("not_found", "that is another user", 404);
  }

  #url(path) {
    return new URL(path, this.#base);
  }

  #one(id, more = "") {
    return this.#url(`notifications/${encodeURIComponent(id)}${more}`);
  }

  async #token() {
    const { token } = this.#options;
    return typeof token === "function" ? await token() : token;
  }

  async #fetch(url, init = {}) {
    const token = await this.#token();
    const headers = { ...init.headers, ...(token && { authorization: `Bearer ${token}` }) };
    const { credentials } = this.#options;
    const response = await fetch(url, { ...init, headers, credentials, cache: "no-store" });
    if (!response.ok) throw await refusal(response);
    return response;
  }

  async #json(url, init) {
    return await (await this.#fetch(url, init)).json();
  }

  async #change(url, method = "POST", body) {
    const content = body && { body: JSON.stringify(body), headers: { "content-type": "application/json" } };
    const made = await this.#json(url, { method, ...content });
    // its event comes by the connection; without one it is asked for
    if (this.#run && this.#connection !== "live") await this.#follow(this.#run.signal);
    return made;
  }
}

const shared = new Map();

/** The client of an application that all elements and hooks of the page share. */
export function sharedClient(base = new URL("../../", import.meta.url), options = {}) {
  const key = absolute(base).href;
  if (!shared.has(key)) shared.set(key, new NotifyClient(key, options));
  return shared.get(key);
}

/** Call back with each notification that comes, if the signed-in user is `userId`. */
export function subscribe(userId, callback) {
  return sharedClient().subscribe(userId, callback);
}

function absolute(base) {
  const url = new URL(base, globalThis.location?.href);
  if (!url.pathname.endsWith("/")) url.pathname += "/";
  return url;
}

async function refusal(response) {
  const { status } = response;
  const codes = { 400: "invalid", 401: "unauthorized", 403: "unauthorized", 404: "not_found", 429: "limited" };
  let message = response.statusText;
  try {
    message = (await response.json()).error ?? message;
  } catch {
    // not ours: a proxy's
  }
  return new NotifyClientError(codes[status] ?? "failed", message, status);
}

function base64url(text) {
  const found = String.fromCharCode(...new TextEncoder().encode(text));
  return btoa(found).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

function bytes(text) {
  const plain = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(plain, (each) => each.charCodeAt(0));
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
