// The figures are read every few seconds, while the page is looked at.
const PAUSE = 3_000;
const $ = (id) => document.getElementById(id);
const make = (tag, text, attributes = {}) => Object.assign(document.createElement(tag), { textContent: text ?? "", ...attributes });

const time = (seconds) => {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 0.01) return `${(1000 * seconds).toFixed(1)} ms`;
  if (seconds < 1) return `${Math.round(1000 * seconds)} ms`;
  return seconds < 90 ? `${seconds.toFixed(1)} s` : `${Math.round(seconds / 60)} min`;
};
const share = (value) => `${Math.round(100 * value)} %`;

function cards(now) {
  const { cache, queue, latencies, search, exports, notifications, processes } = now;
  return [
    ["Cache", share(cache.hit_rate), "hit rate", [["hits", cache.hits], ["misses", cache.misses], ["values in memory", cache.keys],
      ["hears of changes elsewhere", cache.told_of_changes ? "yes" : "no"]]],
    ["Queue", queue.waiting, "waiting", [["running", queue.running], ["done", queue.completed], ["failed", queue.failed, queue.failed > 0],
      ["cancelled", queue.cancelled], ["oldest has waited", time(queue.oldest)]]],
    ["Latencies", time(latencies.run_p50), "to run a job", [["95 % of jobs within", time(latencies.run_p95)], ["waiting", time(latencies.wait_p50)],
      ["a search", time(latencies.search)], ["a progress write", time(latencies.progress_write)]]],
    ["Processes", processes.length, "running", processes.map((each) => [`${each.name} ${each.pid}`,
      each.up === undefined ? `${each.restarts} restarts` : `up ${time(each.up)}`]).concat([["workers seen by the queue", queue.workers]])],
    ["Search", search.segments, "segments", [["searches", search.searches]]],
    ["Hand-outs", exports.completed, "files made here", [["failed", exports.failed, exports.failed > 0],
      ["notifications", notifications.stored], ["pages listening", notifications.listening]]],
  ];
}

function draw(now) {
  $("cards").replaceChildren(...cards(now).map(([title, figure, unit, rows]) => {
    const card = make("section", "", { className: "figures" });
    const big = make("p", String(figure), { className: "big" });
    big.append(" ", make("small", unit));
    const list = make("dl");
    for (const [name, value, isBad] of rows) list.append(make("dt", name), make("dd", String(value), { className: isBad ? "bad" : "" }));
    card.append(make("h3", title), big, list);
    return card;
  }));
}

async function look() {
  try {
    const answer = await fetch("/api/status");
    if (!answer.ok) throw new Error(`The studio answered ${answer.status}.`);
    draw(await answer.json());
    $("problem").hidden = true;
  } catch {
    $("problem").textContent = "The studio does not answer; the figures are old.";
    $("problem").hidden = false;
  }
}

async function watch() {
  if (document.visibilityState === "visible") await look();
  setTimeout(watch, PAUSE);
}

watch();
