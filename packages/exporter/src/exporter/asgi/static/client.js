/**
 * The browser's side of exporter: start exports, follow them, save their files.
 *
 *   import { ExporterClient } from "/exports/client/latest/client.js";
 *   const client = new ExporterClient();
 *   const job = await client.start({ type: "transcript", id: "42" }, "pdf");
 *   await client.wait(job.id, { onChange: ({ progress }) => console.log(progress) });
 *   await client.download(job.id);
 *
 * A request that got no answer is repeated under the same idempotency key: one click, one export.
 * An export is followed by a stream of server-sent events, and by polling where none gets through;
 * after each cut it goes on from the state that was seen last. A download that breaks off goes on
 * where it stopped, and is compared with the length and hash that the server recorded.
 */

const REFUSED = new Set([401, 403]);
const AGAIN = new Set([0, 502, 503, 504]);
const FINAL = new Set(["completed", "failed", "cancelled"]);
const CODES = { 400: "invalid", 401: "unauthorized", 403: "unauthorized", 404: "not_found", 409: "conflict", 410: "expired", 413: "invalid", 429: "limited" };
const STABLE = 5_000;
const DEFAULTS = {
  token: null,
  credentials: "same-origin",
  transports: ["sse", "poll"],
  retryMin: 300,
  retryMax: 20_000,
  silence: 60_000,
  pollInterval: 1_000,
  tries: 5,
};

/** What went wrong; see `client.d.ts` for the codes. */
export class ExporterClientError extends Error {
  constructor(code, message, status = 0) {
    super(message);
    this.name = "ExporterClientError";
    this.code = code;
    this.status = status;
  }
}

/** The job as pages use it: dates are `Date`s. */
export function fromJSON(data) {
  const made = { ...data, createdAt: new Date(data.createdAt) };
  for (const name of ["completedAt", "expiresAt"]) if (data[name]) made[name] = new Date(data[name]);
  return made;
}

/** Whether an export has ended. */
export function isFinal(job) {
  return FINAL.has(job.status);
}

export class ExporterClient {
  #base;
  #options;
  #open = new Set();

  /**
   * @param base where the application is mounted; by default where this script came from
   * @param options see `client.d.ts`
   */
  constructor(base = new URL("../../", import.meta.url), options = {}) {
    const text = String(base);
    this.#base = new URL(text.endsWith("/") ? text : `${text}/`, globalThis.location?.href);
    this.#options = { ...DEFAULTS, ...options };
  }

  /** Start an export. Repeated on a bad network, it still starts once. */
  async start(source, format, options = {}, { idempotencyKey = unique(), metadata, signal } = {}) {
    const init = {
      method: "POST",
      headers: { "content-type": "application/json", "idempotency-key": idempotencyKey },
      body: JSON.stringify({ source, format, options, metadata }),
      signal,
    };
    const found = await this.#persist(() => this.#json("exports", init), signal);
    return fromJSON(found);
  }

  async get(id, { signal } = {}) {
    return fromJSON(await this.#json(one(id), { signal }));
  }

  /** Return `{items, nextCursor}`, newest first. */
  async list({ signal, ...query } = {}) {
    const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null);
    const page = await this.#json(`exports?${new URLSearchParams(given)}`, { signal });
    return { ...page, items: page.items.map(fromJSON) };
  }

  /** Return whether it was not too late. */
  async cancel(id) {
    return (await this.#json(one(id, "/cancel"), { method: "POST" })).cancelled;
  }

  /** Run a failed or cancelled export again. */
  async retry(id) {
    return fromJSON(await this.#json(one(id, "/retry"), { method: "POST" }));
  }

  /** Delete an export and its file; return whether there was one. */
  async delete(id) {
    return (await this.#json(one(id), { method: "DELETE" })).deleted;
  }

  async formats() {
    return (await this.#json("formats")).formats;
  }

  // --- following --------------------------------------------------------------------------------

  /**
   * Call back with the export now and whenever it changes, until its end. Returns a function that
   * ends it. `onTrouble` hears of what cannot be mended by trying again.
   */
  follow(id, onChange, { onTrouble, onEnd } = {}) {
    const run = this.#run(id, onChange, onEnd, onTrouble);
    return () => run.abort();
  }

  #run(id, onChange, onEnd, onTrouble) {
    const run = new AbortController();
    this.#open.add(run);
    const told = (job) => run.signal.aborted || onChange(job);
    this.#follow(id, told, run.signal)
      .then((job) => run.signal.aborted || onEnd?.(job))
      .catch((error) => run.signal.aborted || onTrouble?.(error))
      .finally(() => this.#open.delete(run));
    return run;
  }

  /** Resolve to the export once it has ended, however it ended; reject if `signal` or `close()` ends that. */
  wait(id, { onChange, signal } = {}) {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const run = this.#run(id, (job) => onChange?.(job), resolve, reject);
      run.signal.addEventListener("abort", () => reject(run.signal.reason), { once: true });
      signal?.addEventListener("abort", () => run.abort(signal.reason), { once: true });
    });
  }

  /** End all following and waiting. */
  close() {
    for (const run of this.#open) run.abort();
  }

  async #follow(id, told, signal) {
    const state = { last: undefined, seen: undefined, attempt: 0, transport: 0, misses: 0 };
    const take = (job, place) => {
      if (place !== undefined && place === state.seen) return;
      const known = state.last;
      state.last = job;
      state.seen = place ?? state.seen;
      if (place === undefined && known && known.status === job.status && known.progress === job.progress) return;
      told(job);
    };
    while (!signal.aborted) {
      const began = Date.now();
      try {
        const transport = this.#options.transports[state.transport];
        await (transport === "poll" ? this.#poll(id, take, state, signal) : this.#stream(id, take, state, signal));
        if (state.last && isFinal(state.last)) return state.last;
      } catch (error) {
        if (signal.aborted) break;
        if (REFUSED.has(error.status) || error.status === 404) throw error;
        if (error.code === "blocked") this.#lower(state);
      }
      if (Date.now() - began > STABLE) state.attempt = 0;
      await sleep(this.#pause(state.attempt++), signal).catch(() => {});
    }
    return undefined;
  }

  #lower(state) {
    if (state.transport < this.#options.transports.length - 1) state.transport += 1;
  }

  async #stream(id, take, state, signal) {
    const cut = new AbortController();
    const stop = () => cut.abort();
    signal.addEventListener("abort", stop);
    let timer;
    let greeted = false;
    const alive = () => {
      clearTimeout(timer);
      timer = setTimeout(stop, greeted ? this.#options.silence : Math.min(5_000, this.#options.silence));
    };
    alive();
    try {
      const headers = state.seen ? { "last-event-id": state.seen } : {};
      const response = await this.#fetch(one(id, "/events"), { headers, signal: cut.signal });
      if (response.status === 204 || !response.body) return;
      if (!response.headers.get("content-type")?.startsWith("text/event-stream")) throw blocked();
      for await (const event of events(response.body)) {
        greeted = true;
        alive();
        if (event.event === "gone") throw new ExporterClientError("not_found", "no such export", 404);
        if (event.data) take(fromJSON(JSON.parse(event.data)), event.id);
      }
    } catch (error) {
      if (signal.aborted || REFUSED.has(error.status) || error.status === 404) throw error;
      // a proxy that streams nothing, or answers in place of the application
      if (!greeted && error.status !== 0 && ++state.misses > 1) throw blocked();
      throw error;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", stop);
    }
  }

  async #poll(id, take, state, signal) {
    while (!signal.aborted) {
      take(await this.get(id, { signal }));
      state.attempt = 0;
      if (isFinal(state.last)) return;
      await sleep(this.#options.pollInterval, signal);
    }
  }

  // --- files ------------------------------------------------------------------------------------

  /** The address of the file; with cookies for sign-in a plain `<a href>` to it works. */
  fileUrl(id, { inline = false } = {}) {
    return String(new URL(`${one(id, "/file")}${inline ? "?inline=1" : ""}`, this.#base));
  }

  /**
   * The file as a Blob: fetched with the sign-in of this client, resumed where the connection
   * breaks, whole or an error.
   */
  async blob(id, { onProgress, signal } = {}) {
    const job = await this.get(id, { signal });
    const parts = [];
    const state = { received: 0, etag: undefined, type: "" };
    const fetched = async () => {
      const headers = state.etag ? { range: `bytes=${state.received}-`, "if-range": state.etag } : {};
      if (state.etag && state.received === job.size) return;
      const response = await this.#fetch(one(id, "/file"), { headers, signal });
      if (response.status !== 206) {
        parts.length = state.received = 0; // the first time, or another version of the file
      }
      state.etag = response.headers.get("etag");
      state.type = response.headers.get("content-type") ?? "";
      for await (const part of chunks(response.body)) {
        parts.push(part);
        state.received += part.byteLength;
        onProgress?.(state.received, job.size);
      }
    };
    await this.#persist(fetched, signal, () => state.received);
    const made = new Blob(parts, { type: state.type });
    await check(made, job);
    return made;
  }

  /** Save the file as the browser saves downloads; resolves to its name. */
  async download(id, { filename, onProgress, signal } = {}) {
    const made = await this.blob(id, { onProgress, signal });
    const name = filename ?? (await this.get(id, { signal })).filename ?? "download";
    signal?.throwIfAborted(); // while the file was compared
    const link = document.createElement("a");
    link.href = URL.createObjectURL(made);
    link.download = name;
    link.hidden = true;
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    return name;
  }

  // --- requests ---------------------------------------------------------------------------------

  /** Repeat `step` while the network or the server fails; `mark` that grows counts as success. */
  async #persist(step, signal, mark = () => 0) {
    let tries = 0;
    let last = mark();
    while (true) {
      try {
        return await step();
      } catch (error) {
        signal?.throwIfAborted();
        if (mark() > last) tries = 0;
        last = mark();
        const status = error instanceof ExporterClientError ? error.status : 0;
        if (!AGAIN.has(status) || ++tries >= this.#options.tries) throw error;
        await sleep(this.#pause(tries - 1), signal);
      }
    }
  }

  #pause(attempt) {
    const { retryMin, retryMax } = this.#options;
    // spread out: a server that comes back must not meet all its pages at once
    return Math.min(retryMax, retryMin * 2 ** attempt) * (0.5 + Math.random() / 2);
  }

  async #fetch(path, { headers, ...init } = {}) {
    const { token, credentials } = this.#options;
    const bearer = typeof token === "function" ? await token() : token;
    const signed = bearer ? { ...headers, authorization: `Bearer ${bearer}` } : headers;
    let response;
    try {
      response = await fetch(new URL(path, this.#base), { ...init, headers: signed, credentials, cache: "no-store" });
    } catch (error) {
      if (init.signal?.aborted) throw error;
      throw new ExporterClientError("failed", "the application cannot be reached");
    }
    if (response.ok) return response;
    const told = await response.json().catch(() => ({}));
    throw new ExporterClientError(CODES[response.status] ?? "failed", told.error ?? response.statusText, response.status);
  }

  async #json(path, init) {
    return await (await this.#fetch(path, init)).json();
  }
}

function one(id, rest = "") {
  return `exports/${encodeURIComponent(id)}${rest}`;
}

function blocked() {
  return new ExporterClientError("blocked", "no stream of events gets through");
}

function unique() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function check(blob, job) {
  let problem = job.size !== undefined && blob.size !== job.size;
  // pages without TLS have no SubtleCrypto
  if (!problem && job.sha256 && globalThis.crypto?.subtle) {
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await blob.arrayBuffer()));
    problem = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("") !== job.sha256;
  }
  if (problem) throw new ExporterClientError("failed", "the file is not what was written");
}

function sleep(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const end = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", end);
      resolve();
    }, milliseconds);
    signal?.addEventListener("abort", end);
  });
}

async function* chunks(body) {
  const reader = body.getReader();
  try {
    while (true) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    reader.releaseLock();
  }
}

/** Server-sent events of a response (WHATWG HTML, section 9.2); comments come as empty events. */
async function* events(body) {
  let rest = "";
  for await (const text of chunks(body.pipeThrough(new TextDecoderStream()))) {
    const blocks = (rest + text).split("\n\n");
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
