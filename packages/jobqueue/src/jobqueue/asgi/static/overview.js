// The first view: totals, charts, queues, what runs and what failed last.

import { asking, post, query } from "./api.js";
import { Chart } from "./charts.js";
import { badge, button, el, keyed, mark, say, setBadge } from "./dom.js";
import { age, duration, number, rate } from "./format.js";

const TILES = [
  ["pending", "Pending", "due and waiting"],
  ["delayed", "Delayed", "waiting for their time"],
  ["processing", "Running", "held by a worker"],
  ["completed", "Completed", "and still kept"],
  ["failed", "Failed", "dead letters"],
  ["workers", "Workers", "alive"],
];
const COUNTS = ["pending", "delayed", "processing", "failed"];

export function overview(app) {
  const tiles = new Map();
  const row = el("div", { class: "tiles" });
  for (const [key, title, text] of TILES) {
    const value = el("strong", {}, "–");
    const link = key === "workers" ? null : `#/jobs${query({ status: key })}`;
    row.append(el(link ? "a" : "div", { class: "tile", href: link, "data-tile": key }, el("span", {}, title), value, el("small", {}, text)));
    tiles.set(key, value);
  }
  const charts = [
    new Chart("Throughput", [{ name: "completed", key: "completed", color: "good", filled: true }, { name: "failed", key: "failed", color: "bad" }], (value) => `${rate(value)}${value === null ? "" : "/s"}`),
    new Chart("Backlog", [{ name: "pending", key: "backlog", color: "warn", filled: true }], number, 2),
    new Chart("Waiting time", [{ name: "p95", key: "waitP95", color: "second" }, { name: "p50", key: "waitP50", color: "brand", filled: true }], duration),
    new Chart("Run time", [{ name: "p95", key: "runP95", color: "second" }, { name: "p50", key: "runP50", color: "brand", filled: true }], duration),
  ];
  const queues = queueTable(app);
  const running = jobCard(app, "Running", { status: "processing" }, "Nothing runs.");
  const failures = jobCard(app, "Last failures", { status: "failed" }, "No dead letters.");
  const node = el("div", {}, el("h1", { class: "hidden" }, "Overview"), row, el("div", { class: "charts" }, charts.map((each) => each.node)), queues.node, el("div", { class: "pair" }, running.node, failures.node));

  function show() {
    const { state, points } = app.live;
    if (!state) return;
    for (const [key, value] of tiles) say(value, number(state.total[key]));
    mark(tiles.get("failed").parentElement, "data-alarm", state.total.failed > 0);
    mark(tiles.get("workers").parentElement, "data-alarm", state.total.workers === 0 && state.total.pending > 0);
    for (const chart of charts) chart.draw(points, state.now);
    queues.show(state);
    running.follow(state.total);
    failures.follow(state.total);
  }
  return { node, show, title: "Overview" };
}

function queueTable(app) {
  const body = el("tbody");
  const note = el("p", { class: "soft", hidden: true });
  const heads = ["Queue", "Pending", "Delayed", "Running", "Failed", "Oldest", "Completed/s", ""];
  const head = el("tr", {}, heads.map((each, i) => el("th", { scope: "col", class: i && i < 7 ? "figure" : null }, each || el("span", { class: "hidden" }, "Actions"))));
  const all = el("div", { class: "row" });
  const node = el("section", { class: "card" }, el("div", { class: "head" }, el("h2", {}, "Queues"), all), el("div", { class: "scroll" }, el("table", { class: "cards" }, el("thead", {}, head), body)), note);

  async function steer(path, queue, done) {
    await app.attempt(async () => {
      await post(path, { queue });
      app.toast(done);
    });
  }

  function make(queue) {
    const name = queue.name;
    const cell = (label, ...children) => el("td", { class: "figure", "data-label": label }, ...children);
    const cells = Object.fromEntries(COUNTS.map((key) => [key, el("a", { href: `#/jobs${query({ queue: name, status: key })}` })]));
    const parts = { cells, badge: badge("active"), oldest: el("span"), rate: el("span"), actions: el("div", { class: "row end" }) };
    parts.buttons = {
      pause: button("Pause", () => steer("queue/pause", name, `${name} is paused`), "quiet"),
      resume: button("Resume", () => steer("queue/resume", name, `${name} goes on`)),
      retry_failed: button("Retry failed", () => app.retryFailed(name), "quiet"),
    };
    const row = el(
      "tr",
      {},
      el("th", { scope: "row" }, el("a", { href: `#/jobs${query({ queue: name })}` }, name), " ", parts.badge),
      COUNTS.map((key, i) => cell(heads[i + 1], cells[key])),
      cell("Oldest", parts.oldest),
      cell("Completed/s", parts.rate),
      el("td", { class: "actions" }, parts.actions),
    );
    row.parts = parts;
    return row;
  }

  function update(row, queue) {
    const { cells, oldest, actions, buttons } = row.parts;
    for (const key of COUNTS) say(cells[key], number(queue[key]));
    setBadge(row.parts.badge, queue.paused ? "paused" : "active");
    say(oldest, duration(queue.oldestPendingAge));
    say(row.parts.rate, rate(queue.throughput));
    const wanted = queue.actions.filter((each) => each !== "retry_failed" || queue.failed > 0);
    keyed(actions, wanted, (each) => each, (each) => buttons[each]);
  }

  function show(state) {
    keyed(body, state.queues, (each) => each.name, make, update);
    const offers = state.actions.includes("retry_failed") && state.total.failed > 0 ? ["retry_failed"] : [];
    keyed(all, offers, (each) => each, () => button("Retry all failed", () => app.retryFailed(null), "quiet"));
    note.hidden = !state.queuesLeftOut;
    say(note, `and ${state.queuesLeftOut} more queues`);
  }
  return { node, show };
}

/** A short list that asks again when the counts have changed, at most every two seconds. */
function jobCard(app, title, filters, nothing) {
  const list = el("ul", { class: "brief" });
  const empty = el("p", { class: "soft" }, nothing);
  const more = el("a", { href: `#/jobs${query(filters)}` }, "All");
  const node = el("section", { class: "card" }, el("div", { class: "head" }, el("h2", {}, title), more), list, empty);
  let last = "";
  let asked = 0;
  const ask = asking(node, fill, () => {
    last = ""; // asked again with the next news
  });

  function fill(page) {
    keyed(list, page.items, (each) => each.id, make, update);
    empty.hidden = page.items.length > 0;
  }

  function make(job) {
    const parts = { when: el("small", { class: "soft" }), text: el("small", { class: "line" }), bar: el("progress", { max: 100, value: 0, hidden: true, "aria-label": "progress" }) };
    const item = el("li", {}, el("div", { class: "between" }, el("a", { class: "line", href: `#/job${query({ id: job.id })}` }, job.name), parts.when), parts.text, parts.bar);
    item.parts = parts;
    return item;
  }

  function update(item, job) {
    const { when, text, bar } = item.parts;
    say(when, age(job.failedAt ?? job.startedAt));
    say(text, job.error ?? `${job.queue} · attempt ${job.attempts} of ${job.maxAttempts}`);
    bar.hidden = job.status !== "processing" || job.progress <= 0;
    bar.value = job.progress;
  }

  function follow(total) {
    const counts = JSON.stringify([total.processing, total.failed, total.completed]);
    const changes = filters.status === "processing" && total.processing > 0;
    if ((counts === last && !changes) || Date.now() - asked < 2000) return;
    [last, asked] = [counts, Date.now()];
    void ask("jobs", { ...filters, limit: 6 });
  }
  return { node, follow };
}
