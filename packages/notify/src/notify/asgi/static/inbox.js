/** A list of notifications that stays true: pages from the server, and every event since. */

/** The part of an inbox that `query` speaks of; `changed()` is called whenever it differs. */
export class Inbox {
  items = [];
  /** `loading`, `ready` or `failed`. */
  status = "loading";
  error;
  nextCursor = null;

  #client;
  #query;
  #changed;
  #stop = null;
  #missed = []; // events that come while a page is on its way
  #load = 0;
  #onConnection = () => this.#again();

  constructor(client, query, changed) {
    this.#client = client;
    this.#query = { archived: false, ...query };
    this.#changed = changed;
  }

  open() {
    this.#stop ??= this.#client.watch({
      onEvent: (event) => this.#hear(event),
      onReset: () => this.#renew(),
      onTrouble: (error) => this.#refused(error),
    });
    this.#client.addEventListener("connection", this.#onConnection);
    void this.reload();
  }

  close() {
    this.#stop?.();
    this.#stop = null;
    this.#client.removeEventListener("connection", this.#onConnection);
    this.#load += 1;
  }

  /** Ask anew for the first page. */
  async reload() {
    await this.#page(null);
  }

  /** Ask for the next page. */
  async more() {
    if (this.nextCursor && this.status !== "loading") await this.#page(this.nextCursor);
  }

  async #page(cursor) {
    const load = ++this.#load;
    this.#missed = [];
    this.status = "loading";
    this.#changed();
    try {
      const page = await this.#client.list({ ...this.#query, cursor });
      if (load !== this.#load) return;
      const known = new Set(page.items.map((each) => each.id));
      const kept = cursor ? this.items.filter((each) => !known.has(each.id)) : [];
      this.items = [...kept, ...page.items];
      this.nextCursor = page.nextCursor;
      this.status = "ready";
      this.error = undefined;
      for (const event of this.#missed) if (cursor || event.seq > page.seq) this.#apply(event);
      this.#changed();
    } catch (error) {
      if (load === this.#load) this.#fail(error);
    }
  }

  #renew() {
    this.items = [];
    this.nextCursor = null;
    void this.reload();
  }

  /** Nobody is signed in any more: a page that is on its way is not for who looks now. */
  #refused(error) {
    this.#load += 1;
    this.#fail(error);
  }

  /** What could not be asked for may be there now. */
  #again() {
    if (this.status === "failed" && this.#client.connection === "live") void this.reload();
  }

  #fail(error) {
    this.status = "failed";
    this.error = error;
    if (error.code === "unauthorized") this.items = [];
    this.#changed();
  }

  #hear(event) {
    if (this.status === "loading") this.#missed.push(event);
    // the page may be of an older state than the event: it is applied to both
    this.#apply(event);
    if (this.status === "failed" && this.error?.code !== "unauthorized") void this.reload();
    this.#changed();
  }

  #apply(event) {
    const { kind, notificationId: id, notification } = event;
    if (kind === "allRead") {
      this.items = this.items.map((each) => (isMeant(each, event) ? { ...each, read: true } : each));
    } else {
      const rest = this.items.filter((each) => each.id !== id);
      // what is below the last page that was asked for comes with the next one
      const isHere = rest.length < this.items.length || !this.nextCursor || notification?.seq > this.items.at(-1)?.seq;
      this.items = notification && kind !== "deleted" && isHere ? [...rest, notification] : rest;
      this.items.sort((a, b) => b.seq - a.seq);
    }
    this.items = this.items.filter((each) => this.#fits(each));
  }

  #fits(item) {
    const { unreadOnly, type, category, archived } = this.#query;
    return (
      !(unreadOnly && item.read) &&
      (!type || item.type === type) &&
      (!category || item.category === category) &&
      (archived === "any" || Boolean(item.archived) === Boolean(archived))
    );
  }
}

function isMeant(item, { seq, category, before }) {
  return !item.archived && item.seq <= seq && (!category || item.category === category) && (!before || item.timestamp < before);
}
