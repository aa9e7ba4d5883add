// The page: which view is shown, and what all views share.

import { post } from "./api.js";
import { el, mark, say } from "./dom.js";
import { number, setNow } from "./format.js";
import { job } from "./job.js";
import { jobs } from "./jobs.js";
import { Live } from "./live.js";
import { overview } from "./overview.js";

const byId = (id) => document.getElementById(id);
const WORDS = { live: "live", connecting: "reconnecting…", "signed-out": "signed out" };
const DONE = { retry: "is pending again", cancel: "is cancelled", remove: "is removed" };
const ASKED = {
  cancel: "A worker that runs it is told to stop. It will not complete.",
  remove: "It and its result are deleted. This cannot be undone.",
};
let view = null;
let shown = "";

const app = {
  live: new Live(heard, connection),

  toast(text, kind = "good") {
    const node = el("p", { class: `toast ${kind}` }, text);
    byId("toasts").append(node);
    setTimeout(() => node.remove(), 6000);
  },

  /** Do `work`; say what went wrong, and whether it went well. */
  async attempt(work) {
    try {
      return (await work()) !== false;
    } catch (error) {
      app.toast(error.message, "bad");
      return false;
    }
  },

  /** Do `action` to a job, after asking where it cannot be undone. */
  async act(action, target) {
    if (ASKED[action] && !(await ask(`${action[0].toUpperCase()}${action.slice(1)} ${target.name}?`, ASKED[action]))) return false;
    return app.attempt(async () => {
      const { changed } = await post(`job/${action}`, { id: target.id });
      if (changed) app.toast(`${target.name} ${DONE[action]}`);
      else app.toast("it is in another state by now", "bad");
    });
  },

  async retryFailed(queue) {
    const where = queue === null ? "All dead letters" : `All dead letters of ${queue}`;
    if (!(await ask("Retry failed jobs?", `${where} will be pending again.`, "Retry"))) return false;
    return app.attempt(async () => {
      const { count: retried } = await post("failed/retry", { queue });
      app.toast(`${number(retried)} jobs are pending again`);
    });
  },
};

function ask(title, text, yes = title.split(" ")[0]) {
  const dialog = byId("ask");
  say(byId("ask-title"), title);
  say(byId("ask-text"), text);
  say(byId("ask-yes"), yes);
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((answer) => dialog.addEventListener("close", () => answer(dialog.returnValue === "yes"), { once: true }));
}

function heard({ trouble }) {
  byId("trouble").hidden = !trouble;
  say(byId("trouble"), trouble ?? "");
  const { state } = app.live;
  if (!state) return;
  setNow(state.now);
  byId("failed-count").hidden = state.total.failed === 0;
  say(byId("failed-count"), number(state.total.failed));
  view?.show();
}

function connection(state) {
  mark(byId("connection"), "data-state", state);
  say(byId("connection"), WORDS[state]);
  if (state !== "signed-out") return;
  byId("trouble").hidden = false;
  say(byId("trouble"), "You are not signed in any more. Sign in again, then reload this page.");
}

function route() {
  if (location.hash === shown && view) return;
  const first = !view;
  shown = location.hash;
  const [path, search] = location.hash.replace(/^#\/?/, "").split("?", 2);
  const params = new URLSearchParams(search ?? "");
  if (path === "job") view = job(app, params);
  else if (path === "jobs" || path === "failures") view = jobs(app, params, path === "failures");
  else view = overview(app);
  const active = path === "job" ? "jobs" : path || "overview";
  for (const link of document.querySelectorAll("nav a")) mark(link, "aria-current", link.dataset.view === active ? "page" : null);
  document.title = `${view.title} · jobqueue`;
  byId("main").replaceChildren(view.node);
  view.show();
  if (!first) {
    byId("main").focus({ preventScroll: true });
    scrollTo(0, 0);
  }
}

document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the hash names the view
  byId("main").focus();
});
addEventListener("hashchange", route);
addEventListener("unhandledrejection", (event) => app.toast(String(event.reason?.message ?? event.reason), "bad"));
route();
app.live.start();
