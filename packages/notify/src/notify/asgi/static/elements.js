/**
 * <notification-bell toast></notification-bell>
 * <notification-list filters="all unread archived"></notification-list>
 *
 * Attributes of both: `base` (where the application is; by default where this script came from),
 * `theme` (`light` or `dark`; by default the page's). The bell's: `toast` (shows what comes in a
 * corner), `filters` of its list. The list's: `category`, `type`, `limit`, `filters`.
 * With `manual` they wait for the property `client`.
 * Events: `notification` when one comes, `open` with `detail.notification` before its link is
 * followed (`preventDefault()` leaves it to the page's router).
 */
import { safeUrl, sharedClient } from "./client.js";
import { Inbox } from "./inbox.js";
import { arrange, dress, element, focused, picture } from "./style.js";

const TOAST = 7_000;
const MOST_TOASTS = 3;
const MINUTE = 60_000;
const FILTERS = { all: {}, unread: { unreadOnly: true }, archived: { archived: true } };

/** Words that people read; replace what you need: `words.markAll = "…"`. */
export const words = {
  notifications: "Notifications",
  bell: (unread) => (unread ? `Notifications, ${unread} unread` : "Notifications"),
  unreadCount: (count) => `${count} unread`,
  filters: "Show",
  all: "All",
  unread: "Unread",
  archived: "Archived",
  markAll: "Mark all read",
  markRead: "Mark as read",
  archive: "Archive",
  dismiss: "Dismiss",
  open: "Open",
  more: "Show more",
  retry: "Try again",
  loading: "Loading …",
  emptyAll: "Nothing here yet",
  emptyUnread: "You have read everything",
  emptyArchived: "Nothing is archived",
  came: (title) => `New notification: ${title}`,
  done: { read: "Marked as read", archived: "Archived", allRead: "All marked as read" },
  retrying: "Reconnecting …",
  offline: "You are offline",
  unauthorized: "Sign in to see your notifications",
  failed: "The server does not answer",
  types: { info: "Information", success: "Success", warning: "Warning", error: "Error" },
};

/** What both elements have: a client, and a beginning and an end. */
class NotifyElement extends HTMLElement {
  #own;
  #watched;
  #onConnection = () => this.render();
  ending = [];

  constructor() {
    super();
    dress(this.attachShadow({ mode: "open" }));
  }

  /** The client that it watches by; the page's shared one unless it is set. */
  get client() {
    return this.#own ?? sharedClient(this.getAttribute("base") ?? undefined);
  }

  set client(client) {
    this.#own = client;
    if (this.isConnected) this.restart();
  }

  connectedCallback() {
    if (this.hasAttribute("manual") && !this.#own) return; // its client is on the way
    this.#watched = this.client;
    this.#watched.addEventListener("connection", this.#onConnection);
    this.begin(this.#watched);
    this.render();
  }

  disconnectedCallback() {
    this.#watched?.removeEventListener("connection", this.#onConnection);
    for (const step of this.ending.splice(0)) step();
  }

  attributeChangedCallback(name, before, now) {
    if (before !== now && this.isConnected) this.restart();
  }

  restart() {
    this.disconnectedCallback();
    this.connectedCallback();
  }

  on(target, name, listener) {
    target.addEventListener(name, listener);
    this.ending.push(() => target.removeEventListener(name, listener));
  }

  /** Follow a notification's link as the page wants it, and mark it read. */
  follow(event, notification) {
    const opening = new CustomEvent("open", {
      detail: { notification }, bubbles: true, composed: true, cancelable: true,
    });
    if (!this.dispatchEvent(opening)) event.preventDefault();
    if (!notification.read) void this.attempt(this.client.markAsRead(notification.id));
  }

  async attempt(work) {
    try {
      await work;
      return true;
    } catch (error) {
      this.dispatchEvent(new CustomEvent("trouble", { detail: error, bubbles: true, composed: true }));
      return false;
    }
  }
}

/** A bell with the number of unread notifications, a list below it, and toasts. */
export class NotificationBellElement extends NotifyElement {
  static observedAttributes = ["base", "filters"];

  #bell = element("button", { class: "bell", type: "button", "aria-haspopup": "dialog", "aria-expanded": "false" });
  #badge = element("span", { class: "badge", "aria-hidden": "true", hidden: true });
  #panel = element("div", { class: "panel", role: "dialog", hidden: true });
  #toasts = element("div", { class: "toasts", role: "status", "aria-live": "polite" });
  #said = element("span", { class: "quiet", role: "status" });

  constructor() {
    super();
    this.#bell.append(picture("bell"), this.#badge);
    this.#bell.addEventListener("click", () => (this.open ? this.hide() : this.show()));
    this.shadowRoot.append(this.#bell, this.#panel, this.#toasts, this.#said);
    this.shadowRoot.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.open) {
        event.stopPropagation();
        this.hide();
      }
    });
  }

  /** Whether the list is shown. */
  get open() {
    return !this.#panel.hidden;
  }

  begin(client) {
    this.#toasts.replaceChildren(); // they are the former client's
    if (this.open) this.#fill();
    this.ending.push(
      client.watch({
        onCount: () => this.render(),
        onReset: () => this.#toasts.replaceChildren(),
        onEvent: (event) => this.#hear(event),
        onTrouble: () => this.render(),
      }),
    );
    this.on(document, "pointerdown", (event) => this.open && !event.composedPath().includes(this) && this.hide());
    this.on(window, "resize", () => this.open && this.#place());
  }

  show() {
    const list = this.#fill();
    this.#panel.setAttribute("aria-label", words.notifications);
    this.#panel.hidden = false;
    this.#place();
    this.#bell.setAttribute("aria-expanded", "true");
    this.#toasts.replaceChildren();
    list.focusFirst();
  }

  #fill() {
    const list = element("notification-list", {
      filters: this.getAttribute("filters") ?? undefined, base: this.getAttribute("base") ?? undefined,
    });
    list.client = this.client;
    this.#panel.replaceChildren(list);
    return list;
  }

  hide() {
    const hadFocus = this.shadowRoot.activeElement !== null;
    this.#panel.hidden = true;
    this.#panel.replaceChildren();
    this.#bell.setAttribute("aria-expanded", "false");
    if (hadFocus) this.#bell.focus();
  }

  /** Keep the panel within the window, on whichever side the bell is. */
  #place() {
    const bell = this.getBoundingClientRect();
    this.#panel.style.setProperty("--_top", `${Math.max(8, bell.bottom + 8)}px`);
    this.#panel.style.setProperty("--_shift", "0px");
    const { left } = this.#panel.getBoundingClientRect();
    if (left < 8) this.#panel.style.setProperty("--_shift", `${8 - left}px`);
  }

  render() {
    const unread = this.client.unread ?? 0;
    this.#badge.textContent = unread > 99 ? "99+" : String(unread);
    this.#badge.hidden = !unread;
    this.#bell.setAttribute("aria-label", words.bell(unread));
    this.#bell.title = words.bell(unread);
    this.#bell.classList.toggle("cut", ["retrying", "offline", "refused"].includes(this.client.connection));
  }

  #hear({ kind, notification, notificationId }) {
    if (kind === "created" && notification && !notification.read) {
      this.dispatchEvent(new CustomEvent("notification", { detail: notification, bubbles: true, composed: true }));
      const isSeen = document.visibilityState === "visible" && !this.open;
      if (this.hasAttribute("toast") && isSeen) this.#toast(notification);
      else if (!this.open) this.#said.textContent = words.came(notification.title);
    } else {
      // what was read in another tab is no news here
      const isOver = (each) => kind === "allRead" || each.dataset.id === notificationId;
      this.#drop(...[...this.#toasts.children].filter(isOver));
    }
  }

  #toast(notification) {
    const made = element(
      "div", { class: "toast", "data-id": notification.id },
      sign(notification.type),
      element("div", {}, element("p", { class: "title" }, notification.title),
        notification.message && element("p", { class: "body" }, notification.message),
        link(notification, (event) => { this.follow(event, notification); this.#drop(made); })),
      element("button", { class: "dismiss", type: "button", "aria-label": words.dismiss, onclick: () => this.#drop(made) }, picture("close")),
    );
    const holds = new Set(); // the pointer, the focus: one that goes does not end the other
    let timer;
    const wait = () => {
      clearTimeout(timer);
      if (!holds.size) timer = setTimeout(() => this.#drop(made), TOAST);
    };
    for (const [name, end] of [["pointerenter", "pointerleave"], ["focusin", "focusout"]]) {
      made.addEventListener(name, () => { holds.add(name); wait(); });
      made.addEventListener(end, () => { holds.delete(name); wait(); });
    }
    this.#toasts.append(made);
    this.#drop(...[...this.#toasts.children].slice(0, -MOST_TOASTS));
    wait();
  }

  /** Take toasts away; who was at one of them goes on at the next, or at the bell. */
  #drop(...toasts) {
    const hadFocus = toasts.some((each) => each.contains(this.shadowRoot.activeElement));
    for (const each of toasts) each.remove();
    if (hadFocus) (this.#toasts.querySelector(".dismiss") ?? this.#bell).focus();
  }
}

/** The inbox: filters, pages, marking and archiving; by mouse, finger or keyboard. */
export class NotificationListElement extends NotifyElement {
  static observedAttributes = ["base", "category", "type", "limit", "filters"];

  #inbox;
  #filter;
  #rows = new Map(); // id -> { item, node }
  #at = null; // the id that the keyboard is at
  #from; // where the focus was when a row was to have it; undefined if none is
  #last; // the id of the last row when more was asked for
  #count = element("span", { class: "count" });
  #all = element("button", { class: "all", type: "button" });
  #filters = element("div", { class: "filters", role: "group" });
  #note = element("p", { class: "note", role: "status", hidden: true });
  #ul = element("ul", { role: "list" });
  #empty = element("div", { class: "empty", hidden: true });
  #more = element("button", { class: "more", type: "button", hidden: true });
  #said = element("p", { class: "quiet", "aria-live": "polite" });

  constructor() {
    super();
    this.#all.addEventListener("click", () => this.client.unread && this.#markAll());
    this.#more.addEventListener("click", () => this.#ask());
    this.#ul.addEventListener("keydown", (event) => this.#key(event));
    this.#ul.addEventListener("focusin", (event) => this.#reach(event.target.closest("li")?.dataset.id));
    const scroll = element("div", { class: "scroll" }, this.#ul, this.#empty, this.#more);
    const top = element("div", { class: "top" }, element("h2", {}, words.notifications, " ", this.#count), this.#all);
    const list = element("section", { class: "list", "aria-label": words.notifications }, element("header", {}, top, this.#filters), this.#note, scroll);
    this.shadowRoot.append(list, this.#said);
  }

  begin(client) {
    const names = (this.getAttribute("filters") ?? "all unread archived").split(/\s+/).filter((each) => FILTERS[each]);
    this.#filter = names.includes(this.#filter) ? this.#filter : (names[0] ?? "all");
    const buttons = names.map((name) => element("button", { type: "button", "data-name": name, onclick: () => this.#choose(name) }, words[name]));
    this.#filters.replaceChildren(...buttons);
    this.#filters.setAttribute("aria-label", words.filters);
    this.#filters.hidden = names.length < 2;
    this.#open(client);
    const timer = setInterval(() => this.#tick(), MINUTE);
    this.ending.push(
      () => this.#inbox.close(),
      () => clearInterval(timer),
      client.watch({ onCount: () => this.render(), onEvent: (event) => this.#say(event) }),
    );
  }

  /** Put the keyboard's focus on the newest notification, once there is one. */
  focusFirst() {
    this.#from = focused();
    this.#focus();
  }

  #open(client) {
    this.#inbox?.close();
    const query = { ...FILTERS[this.#filter], limit: this.getAttribute("limit") ?? 30 };
    for (const name of ["category", "type"]) if (this.hasAttribute(name)) query[name] = this.getAttribute(name);
    const inbox = new Inbox(client, query, () => this.#inbox === inbox && this.render());
    this.#inbox = inbox;
    inbox.open();
  }

  #choose(name) {
    this.#filter = name;
    this.#open(this.client);
  }

  #ask() {
    this.#last = this.#inbox.items.at(-1)?.id;
    void this.#inbox.more();
  }

  async #markAll() {
    const category = this.getAttribute("category") ?? undefined;
    await this.attempt(this.client.markAllAsRead({ category }));
  }

  #say({ kind, notification }) {
    if (kind === "created" && notification) this.#said.textContent = words.came(notification.title);
    else if (words.done[kind]) this.#said.textContent = words.done[kind];
  }

  render() {
    const { client } = this;
    const { items = [], status, error, nextCursor } = this.#inbox ?? {};
    const unread = client.unread ?? 0;
    this.#count.textContent = unread ? words.unreadCount(unread) : "";
    this.#all.textContent = words.markAll;
    this.#all.ariaDisabled = !unread; // not `disabled`: the focus would go
    for (const each of this.#filters.children) each.setAttribute("aria-pressed", String(each.dataset.name === this.#filter));
    this.#note.textContent = { retrying: words.retrying, offline: words.offline }[client.connection] ?? "";
    this.#note.hidden = !this.#note.textContent;
    this.#fill(items);
    const hadFocus = this.shadowRoot.activeElement === this.#more;
    this.#more.hidden = !nextCursor || !items.length;
    this.#more.textContent = words.more;
    this.#more.ariaDisabled = status === "loading";
    if (hadFocus && this.#more.hidden) this.#goOn();
    this.#blank(items.length ? "" : status, error);
    this.#focus();
  }

  #blank(status, error) {
    this.#empty.hidden = !status;
    const texts = {
      loading: words.loading,
      failed: error?.code === "unauthorized" ? words.unauthorized : words.failed,
      ready: { all: words.emptyAll, unread: words.emptyUnread, archived: words.emptyArchived }[this.#filter],
    };
    const text = texts[status] ?? "";
    if (this.#empty.dataset.text === text) return;
    this.#empty.dataset.text = text;
    const retry = status === "failed" && element("button", { class: "retry", type: "button", onclick: () => this.#inbox.reload() }, words.retry);
    const hadFocus = this.#empty.contains(this.shadowRoot.activeElement);
    this.#empty.replaceChildren(...(status === "ready" ? [picture("bell")] : []), text, ...(retry ? [retry] : []));
    if (hadFocus) this.#from = focused(); // to the rows, once there are some
  }

  /** Bring the rows to `items`; a row that is as it was stays, and so does its focus. */
  #fill(items) {
    const active = this.shadowRoot.activeElement;
    const before = [...this.#rows.keys()];
    const rows = new Map();
    for (const item of items) {
      const known = this.#rows.get(item.id);
      const isSame = known && known.item.read === item.read && known.item.archived === item.archived && known.item.title === item.title;
      rows.set(item.id, isSame ? { item, node: known.node } : { item, node: this.#row(item) });
    }
    this.#rows = rows;
    const wasAt = active?.closest("li")?.dataset.id;
    arrange(this.#ul, [...rows.values()].map(({ node }) => node));
    if (!rows.has(this.#at)) {
      // the next one that was below it, else the last
      const below = before.slice(before.indexOf(this.#at) + 1).find((id) => rows.has(id));
      this.#at = (this.#at !== null && below) || (this.#at !== null && items.at(-1)?.id) || items[0]?.id || null;
    }
    for (const [id, { node }] of rows) node.tabIndex = id === this.#at ? 0 : -1;
    if (wasAt !== undefined && this.shadowRoot.activeElement !== active) this.#refocus(active, wasAt);
  }

  /** Give the focus to what stands where `active` stood: the same button of the row made anew, or the next row. */
  #refocus(active, id) {
    const row = this.#rows.get(this.#at)?.node;
    const { act } = active.dataset;
    const same = this.#at === id && row?.querySelector(act ? `[data-act=${act}]` : active.localName);
    (same || row)?.focus();
  }

  /** There is no more: the focus goes to the first that came. */
  #goOn() {
    const ids = [...this.#rows.keys()];
    const id = ids[ids.indexOf(this.#last) + 1] ?? ids.at(-1);
    (this.#rows.get(id)?.node ?? this.#all).focus();
  }

  #row(item) {
    const act = (name, label, work) =>
      element("button", { type: "button", "data-act": name, "aria-label": `${label}: ${item.title}`, title: label, onclick: () => this.attempt(work()) }, picture(name));
    const at = element("time", { datetime: item.timestamp.toISOString(), title: item.timestamp.toLocaleString() }, ago(item.timestamp));
    const state = item.read ? "" : element("span", { class: "quiet" }, `${words.unread}. `);
    return element(
      "li", { class: item.read ? "" : "unread", "data-id": item.id, tabindex: -1 },
      sign(item.type),
      element("div", {}, element("p", { class: "title" }, state, item.title),
        item.message && element("p", { class: "body" }, item.message),
        element("p", { class: "meta" }, at, item.category && element("span", { class: "category" }, item.category),
          link(item, (event) => this.follow(event, item)))),
      element("div", { class: "buttons" },
        item.read || item.archived ? "" : act("read", words.markRead, () => this.client.markAsRead(item.id)),
        item.archived ? "" : act("archive", words.archive, () => this.client.archive(item.id))),
    );
  }

  #reach(id) {
    if (!id || id === this.#at) return;
    this.#rows.get(this.#at)?.node.setAttribute("tabindex", "-1");
    this.#at = id;
    this.#rows.get(id)?.node.setAttribute("tabindex", "0");
  }

  #focus() {
    if (this.#from === undefined) return;
    const row = this.#rows.get(this.#at);
    if (!row && this.#inbox?.status === "loading") return;
    const isStill = this.#from === focused(); // who has gone elsewhere meanwhile stays there
    this.#from = undefined;
    const other = () => this.#empty.querySelector("button") ?? this.#filters.querySelector("button") ?? this.#all;
    if (isStill) (row?.node ?? other()).focus();
  }

  #key(event) {
    const isRow = event.target.localName === "li";
    const ids = [...this.#rows.keys()];
    const index = ids.indexOf(this.#at);
    const to = { ArrowDown: index + 1, ArrowUp: index - 1, Home: 0, End: ids.length - 1 }[event.key];
    const row = this.#rows.get(this.#at);
    if (event.ctrlKey || event.metaKey || event.altKey || !row) return;
    if (to !== undefined) {
      this.#rows.get(ids[Math.min(ids.length - 1, Math.max(0, to))]).node.focus();
    } else if (isRow && event.key === "Enter") {
      const found = row.node.querySelector("a") ?? row.node.querySelector("[data-act=read]");
      found?.click();
    } else if (isRow && (event.key === "r" || event.key === "e")) {
      row.node.querySelector(event.key === "r" ? "[data-act=read]" : "[data-act=archive]")?.click();
    } else {
      return;
    }
    event.preventDefault();
  }

  #tick() {
    for (const { item, node } of this.#rows.values()) node.querySelector("time").textContent = ago(item.timestamp);
  }
}

function sign(type) {
  const made = element("span", { class: "sign", "data-type": type, role: "img", "aria-label": words.types[type] ?? type });
  made.append(picture(type));
  return made;
}

function link(notification, onclick) {
  const href = notification.actionUrl && safeUrl(notification.actionUrl);
  if (!href) return undefined;
  return element("a", { class: "action", href, rel: "noopener", onclick }, notification.actionLabel || words.open);
}

function ago(date) {
  const seconds = Math.round((date - Date.now()) / 1000);
  const format = new Intl.RelativeTimeFormat(undefined, { numeric: "auto", style: "short" });
  const size = Math.abs(seconds);
  if (size < 60) return format.format(0, "second");
  if (size < 3600) return format.format(Math.round(seconds / 60), "minute");
  if (size < 86_400) return format.format(Math.round(seconds / 3600), "hour");
  if (size < 7 * 86_400) return format.format(Math.round(seconds / 86_400), "day");
  return date.toLocaleDateString(undefined, { dateStyle: "medium" });
}

for (const [name, kind] of [["notification-list", NotificationListElement], ["notification-bell", NotificationBellElement]]) {
  if (!customElements.get(name)) customElements.define(name, kind);
}
