// Requests to the application that this page came from.

export class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export const get = (path, params = {}) => ask(`api/${path}${query(params)}`, {});

// The header is what pages of other sites cannot send without asking first.
export const post = (path, body) =>
  ask(`api/${path}`, {
    method: "POST",
    headers: { "content-type": "application/json", "x-jobqueue": "1" },
    body: JSON.stringify(body),
  });

/**
 * Return a function that asks, and gives `taken` the answer or `refused` the reason why there is none:
 * not if it has asked anew since, or if `node`, which would show it, is gone from the page.
 */
export function asking(node, taken, refused) {
  let turn = 0;
  const ask = async (path, params) => {
    const mine = (turn += 1);
    const isLate = () => mine !== turn || !node.isConnected;
    ask.busy = true;
    try {
      const found = await get(path, params);
      if (!isLate()) taken(found);
    } catch (error) {
      if (!isLate()) refused(error);
    } finally {
      if (mine === turn) ask.busy = false;
    }
  };
  return ask;
}

export function query(params) {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(params))
    for (const each of [value].flat()) if (each !== null && each !== undefined && each !== "") search.append(name, each);
  const text = search.toString();
  return text ? `?${text}` : "";
}

async function ask(url, options) {
  let response;
  try {
    response = await fetch(url, { ...options, credentials: "same-origin", cache: "no-store" });
  } catch {
    throw new Refusal(0, "the server does not answer");
  }
  const text = await response.text();
  let value = null;
  try {
    value = JSON.parse(text, exact);
  } catch {
    if (response.ok) throw new Refusal(response.status, "the answer is not JSON");
  }
  if (!response.ok) throw new Refusal(response.status, value?.error ?? `the server answered ${response.status}`);
  return value;
}

// Whole numbers beyond 2**53 (ids, say) keep their digits where the browser can tell them.
function exact(_key, value, context) {
  const lost = typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value);
  return lost && context?.source && JSON.rawJSON ? JSON.rawJSON(context.source) : value;
}
