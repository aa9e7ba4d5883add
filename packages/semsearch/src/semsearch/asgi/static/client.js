// The search for web pages: no build step, no dependency. See client.d.ts for the types.
//
//   import { createSearchClient, highlightParts } from "/search/client.js";
//   const search = createSearchClient({ url: "/search/" });
//   const hits = await search.search({ query: "tides", facets: ["language"] });

/** An answer that is no success; `status` is 0 where the server was not reached. */
export class SearchError extends Error {
  constructor(message, status) {
    super(message);
    this.name = "SearchError";
    this.status = status;
  }
}

/** Make a client of the application mounted at `url`; `headers` (or a function) go with each call. */
export function createSearchClient({ url = "./", headers = {}, credentials = "same-origin" } = {}) {
  const base = new URL(url.endsWith("/") ? url : `${url}/`, document.baseURI);

  async function ask(path, { body, signal } = {}) {
    const more = typeof headers === "function" ? await headers() : headers;
    const options = { credentials, signal, headers: { accept: "application/json", ...more } };
    if (body !== undefined) {
      options.method = "POST";
      options.body = JSON.stringify(body);
      options.headers["content-type"] = "application/json";
      options.headers["x-semsearch"] = "1";
    }
    let response;
    try {
      response = await fetch(new URL(path, base), options);
    } catch {
      signal?.throwIfAborted();
      throw new SearchError("the search cannot be reached", 0);
    }
    const found = await response.json().catch(() => null);
    signal?.throwIfAborted(); // it may be given up while the answer comes
    if (response.ok && !found) throw new SearchError("the answer broke off", 0);
    if (!response.ok) throw new SearchError(found?.error ?? `the search answered ${response.status}`, response.status);
    return found;
  }

  return {
    /** The hits of a query (a text, or an object with its options), best first. */
    async search(query, { signal } = {}) {
      const body = typeof query === "string" ? { query } : query;
      const { hits, ...rest } = await ask("api/search", { body, signal });
      return Object.assign(hits, rest);
    },
    /** The documents nearest to one, without itself. */
    async findSimilar(documentId, limit = 10, { filters, signal } = {}) {
      return (await ask("api/similar", { body: { documentId, limit, filters }, signal })).hits;
    },
    /** A whole document. */
    get: (id, { signal } = {}) => ask(`api/document?id=${encodeURIComponent(id)}`, { signal }),
    getStats: ({ signal } = {}) => ask("api/stats", { signal }),
    getConfig: ({ signal } = {}) => ask("api/config", { signal }),
    /** Say that a hit was opened; `queryId` is that of its results. */
    async recordClick(queryId, documentId) {
      return (await ask("api/click", { body: { queryId, documentId } })).known;
    },
  };
}

const ENTITIES = { "&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": '"', "&#x27;": "'" };

/** Cut a highlighted passage into texts, so that a page needs no HTML to show it. */
export function highlightParts(passage) {
  return passage
    .split(/(<mark>.*?<\/mark>)/s)
    .filter((part) => part)
    .map((part) => {
      const match = part.startsWith("<mark>");
      const inner = match ? part.slice(6, -7) : part;
      return { match, text: inner.replace(/&(?:amp|lt|gt|quot|#x27);/g, (found) => ENTITIES[found]) };
    });
}
