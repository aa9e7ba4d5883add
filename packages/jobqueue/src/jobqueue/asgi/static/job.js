// One job: all that is known of it, and what can be done to it.

import { asking, query } from "./api.js";
import { badge, button, el, keyed, mark, say, setBadge } from "./dom.js";
import { age, between, duration, time } from "./format.js";

const LABELS = { retry: "Retry", cancel: "Cancel", remove: "Remove" };
const FACTS = [
  ["Queue", (job) => job.queue],
  ["Attempts", (job) => `${job.attempts} of ${job.maxAttempts}`],
  ["Priority", (job) => job.priority],
  ["Worker", (job) => job.worker ?? "–"],
  ["Waited", (job) => duration(between(job.scheduledAt ?? job.createdAt, job.startedAt))],
  ["Ran", (job) => duration(between(job.startedAt, job.completedAt ?? job.failedAt))],
];
const TIMES = [
  ["Created", "createdAt"],
  ["Due", "scheduledAt"],
  ["Last started", "startedAt"],
  ["Completed", "completedAt"],
  ["Failed", "failedAt"],
];

export function job(app, params) {
  const id = params.get("id") ?? "";
  const name = el("h1", { class: "wrap" }, "…");
  const status = badge("pending");
  const actions = el("div", { class: "row" });
  const bar = el("progress", { max: 100, value: 0, hidden: true, "aria-label": "progress" });
  const facts = new Map(FACTS.map(([label]) => [label, el("dd")]));
  const times = new Map(TIMES.map(([, key]) => [key, el("dd")]));
  const parents = el("ul", { class: "brief" });
  const [data, result, headers, error] = ["Data", "Result", "Headers", "Error"].map(block);
  error.node.classList.add("alarm");
  const family = el("section", { class: "card", hidden: true }, el("h2", {}, "Depends on"), parents);
  const missing = el("section", { class: "card", hidden: true }, el("p", { class: "soft center" }, "There is no such job (any more)."));
  const whole = el(
    "div",
    { hidden: true },
    el("div", { class: "head" }, el("div", {}, name, el("p", { class: "soft mono wrap" }, id)), el("div", { class: "row" }, status, actions)),
    bar,
    el("div", { class: "pair" }, list("Facts", [...facts]), list("Times", TIMES.map(([label, key]) => [label, times.get(key)]))),
    error.node, data.node, result.node, family, headers.node,
  );
  const node = el("div", {}, whole, missing);
  let last = null;
  let final = false;
  let when = 0;
  const ask = asking(node, fill, refused);

  function load() {
    when = Date.now();
    return ask("job", { id });
  }

  function refused(problem) {
    if (problem.status === 404) {
      [whole.hidden, missing.hidden, final] = [true, false, true];
    } else {
      app.toast(problem.message, "bad");
      last = null;
    }
  }

  function fill(found) {
    [whole.hidden, missing.hidden] = [false, true];
    final = ["completed", "failed", "cancelled"].includes(found.status);
    say(name, found.name);
    setBadge(status, found.status);
    bar.hidden = found.progress <= 0 || final;
    bar.value = found.progress;
    for (const [label, value] of FACTS) say(facts.get(label), value(found));
    for (const [, key] of TIMES) {
      say(times.get(key), found[key] ? `${time(found[key])} (${age(found[key])})` : "–");
      mark(times.get(key), "title", found[key]);
    }
    error.show(found.error);
    data.show(JSON.stringify(found.data, null, 2));
    result.show(found.status === "completed" ? JSON.stringify(found.result, null, 2) : null);
    headers.show(Object.keys(found.headers).length ? JSON.stringify(found.headers, null, 2) : null);
    family.hidden = !found.dependsOn.length;
    keyed(parents, found.dependsOn, (each) => each, (each) => el("li", {}, el("a", { class: "mono wrap", href: `#/job${query({ id: each })}` }, each)));
    keyed(actions, found.actions, (each) => each, (each) => act(each, found));
  }

  function act(action, found) {
    const kind = { retry: "", cancel: "quiet", remove: "quiet" }[action];
    return button(LABELS[action], async () => {
      if (!(await app.act(action, found))) return;
      if (action !== "remove") await load();
      else if (node.isConnected) location.hash = "#/jobs"; // else one has gone elsewhere meanwhile
    }, kind);
  }

  function show() {
    const counts = JSON.stringify(app.live.state?.total ?? null);
    const changes = counts !== last || !final;
    if (ask.busy || (last !== null && (!changes || Date.now() - when < 1000))) return;
    last = counts;
    load();
  }
  show();
  return { node, show, title: "Job" };
}

function list(title, pairs) {
  return el("section", { class: "card" }, el("h2", {}, title), el("dl", {}, pairs.map(([label, value]) => el("div", {}, el("dt", {}, label), value))));
}

/** A section of preformatted text with a button that copies it. */
function block(title) {
  const text = el("pre", { tabindex: 0, "aria-label": title });
  const copy = button("Copy", () => navigator.clipboard?.writeText(text.textContent), "quiet small");
  const node = el("section", { class: "card", hidden: true }, el("div", { class: "head" }, el("h2", {}, title), copy), text);
  const show = (value) => {
    node.hidden = value === null || value === undefined;
    say(text, value ?? "");
  };
  return { node, show };
}
