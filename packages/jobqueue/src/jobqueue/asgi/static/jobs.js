// The list of jobs: searched, paged, kept up to date.

import { asking, query } from "./api.js";
import { badge, button, el, keyed, mark, say, setBadge } from "./dom.js";
import { age, time } from "./format.js";

const STATUSES = ["pending", "delayed", "processing", "completed", "failed", "cancelled"];
const FIELDS = ["id", "name", "queue", "status", "createdAfter", "createdBefore"];

export function jobs(app, params, failures) {
  const asked = Object.fromEntries(FIELDS.map((each) => [each, params.get(each) ?? ""]));
  if (failures) asked.status = "failed";
  const cursor = params.get("cursor") ?? "";
  const place = failures ? "#/failures" : "#/jobs";
  const body = el("tbody");
  const empty = el("p", { class: "soft center", hidden: true }, "No job is like this.");
  const older = el("a", { class: "button quiet", hidden: true }, "Older →");
  const newest = el("a", { class: "button quiet", hidden: !cursor, href: place + query(form(asked, failures)) }, "← Newest");
  const heads = failures ? ["Job", "Failed", "Attempts", "Error", ""] : ["Job", "Status", "Attempts", "Created", "Error", ""];
  const table = el("table", { class: "cards" }, el("thead", {}, el("tr", {}, heads.map((each) => el("th", { scope: "col" }, each || el("span", { class: "hidden" }, "Actions"))))), body);
  const retryAll = el("div", { class: "row" });
  const title = failures ? "Failures" : "Jobs";
  const node = el("div", {}, el("div", { class: "head" }, el("h1", {}, title), retryAll), search(app, asked, place, failures), el("section", { class: failures ? "card failures" : "card" }, el("div", { class: "scroll" }, table), empty, el("div", { class: "row between" }, newest, older)));
  let last = null;
  let unfinished = false;
  let when = 0;
  const ask = asking(node, fill, (error) => {
    app.toast(error.message, "bad");
    last = null;
  });

  function load() {
    when = Date.now();
    return ask("jobs", { ...asked, cursor, limit: 25, errors: failures ? "full" : null });
  }

  function fill(page) {
    keyed(body, page.items, (each) => each.id, make, update);
    empty.hidden = page.items.length > 0;
    older.hidden = !page.nextCursor;
    mark(older, "href", place + query({ ...form(asked, failures), cursor: page.nextCursor }));
    unfinished = page.items.some((each) => ["pending", "delayed", "processing"].includes(each.status));
  }

  function make(job) {
    const link = el("a", { href: `#/job${query({ id: job.id })}` }, job.name);
    const parts = { status: badge(job.status), attempts: el("span"), when: el("time", { datetime: job.createdAt }), error: el("code", { class: "line" }), actions: el("div", { class: "row end" }) };
    const cell = (label, ...children) => el("td", { "data-label": label }, ...children);
    const details = el("details", {}, el("summary", {}, parts.error), el("pre", { class: "trace", tabindex: 0 }));
    const row = el(
      "tr",
      {},
      el("th", { scope: "row" }, link, el("small", { class: "soft line" }, el("span", {}, job.queue), " · ", el("span", { class: "mono" }, job.id))),
      !failures && cell("Status", parts.status),
      failures && cell("Failed", parts.when),
      cell("Attempts", parts.attempts),
      !failures && cell("Created", parts.when),
      el("td", { class: "wide", "data-label": "Error" }, failures ? details : parts.error),
      el("td", { class: "actions" }, parts.actions),
    );
    row.parts = { ...parts, trace: details.lastElementChild };
    return row;
  }

  function update(row, job) {
    const { status, attempts, when: moment, error, trace, actions } = row.parts;
    const at = failures ? job.failedAt : job.createdAt;
    setBadge(status, job.status);
    say(attempts, `${job.attempts} of ${job.maxAttempts}`);
    say(moment, age(at));
    mark(moment, "title", time(at));
    say(error, (job.error ?? "").split("\n")[0]);
    say(trace, job.error ?? "");
    keyed(actions, job.actions.filter((each) => each !== "remove"), (each) => each, (each) => act(each, job));
  }

  function act(action, job) {
    const label = action === "retry" ? "Retry" : "Cancel";
    return button(label, async () => {
      if (await app.act(action, job)) await load();
    }, action === "retry" ? "" : "quiet");
  }

  function show() {
    const { state } = app.live;
    if (state && failures) {
      const offers = state.actions.includes("retry_failed") && state.total.failed > 0 && !asked.name && !asked.queue ? ["all"] : [];
      keyed(retryAll, offers, (each) => each, () => button("Retry all failed", async () => { if (await app.retryFailed(null)) await load(); }));
    }
    const counts = state ? JSON.stringify(STATUSES.map((each) => state.total[each])) : null;
    const changes = counts !== last || unfinished;
    // pages further back stay as they are: what moves under the hand is no list
    if (ask.busy || (last !== null && (cursor || !changes || Date.now() - when < 2000))) return;
    last = counts ?? "";
    load();
  }
  show();
  return { node, show, title };
}

const form = (asked, failures) => Object.fromEntries(Object.entries(asked).filter(([name, value]) => value && !(failures && name === "status")));

function search(app, asked, place, failures) {
  const input = (name, label, props) => el("label", {}, el("span", {}, label), el("input", { name, value: asked[name], autocomplete: "off", spellcheck: "false", ...props }));
  const names = (app.live.state?.queues ?? []).map((each) => el("option", { value: each.name }));
  const select = el("select", { name: "status" }, ["", ...STATUSES].map((each) => el("option", { value: each, selected: asked.status === each }, each || "any")));
  const node = el(
    "form",
    { class: "search", role: "search", "aria-label": "Jobs" },
    input("name", "Name", { maxlength: 200 }),
    input("queue", "Queue", { maxlength: 200, list: "queue-names" }),
    el("datalist", { id: "queue-names" }, names),
    !failures && el("label", {}, el("span", {}, "Status"), select),
    input("id", "Id", { maxlength: 200 }),
    input("createdAfter", "Created after", { type: "datetime-local", value: local(asked.createdAfter) }),
    input("createdBefore", "Created before", { type: "datetime-local", value: local(asked.createdBefore) }),
    el("div", { class: "row end" }, el("a", { class: "button quiet", href: place }, "Clear"), el("button", { type: "submit" }, "Search")),
  );
  node.addEventListener("submit", (event) => {
    event.preventDefault();
    const values = Object.fromEntries(new FormData(node));
    for (const name of ["createdAfter", "createdBefore"]) if (values[name]) values[name] = new Date(values[name]).toISOString();
    location.hash = place + query(values);
  });
  // on narrow screens it is folded away unless it is in use
  const open = matchMedia("(min-width: 40.01rem)").matches || Object.keys(form(asked, failures)).length > 0;
  return el("details", { class: "find card", open }, el("summary", {}, "Search"), node);
}

/** What a datetime-local field shows for a time in UTC. */
function local(iso) {
  const moment = new Date(iso);
  if (!iso || Number.isNaN(moment.getTime())) return "";
  return new Date(moment.getTime() - moment.getTimezoneOffset() * 60000).toISOString().slice(0, 16);
}
