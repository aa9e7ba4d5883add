/** The search for web pages: what a page may do. Indexing stays on the server. */

export type Scalar = string | number | boolean | null;

/** Equality, a list for any of several, operators, and `$and`, `$or`, `$not` of whole filters. */
export interface Filters {
  [nameOrOperator: string]: Scalar | Scalar[] | Filters | Filters[];
}

export interface SearchQuery {
  query: string;
  filters?: Filters | null;
  /** 1 to 1000; 10. */
  limit?: number;
  /** 0 to 1, of hits that matched no word. */
  threshold?: number;
  hybrid?: boolean;
  rerank?: boolean;
  queryExpansion?: boolean;
  /** 0 to 10000. */
  offset?: number;
  /** Names of metadata whose values are counted. */
  facets?: string[];
  highlight?: boolean;
  fusion?: "minmax" | "rrf";
  /** The share of the vectors, 0 to 1. */
  alpha?: number;
  /** How much hits should differ from each other, 0 to 1. */
  diversity?: number;
}

export interface SearchResult {
  id: string;
  /** 0 to 1; orders the hits of this query only. */
  score: number;
  /** The first 2,000 characters; see {@link SearchClient.get} for all of it. */
  content: string;
  metadata: Record<string, any>;
  /** HTML, everything escaped but `<mark>`; see {@link highlightParts}. */
  highlights?: string[] | null;
  scores: { dense?: number; bm25?: number; rerank?: number };
}

export interface FacetValue {
  value: Scalar;
  count: number;
}

export interface SearchResults extends Array<SearchResult> {
  facets: Record<string, FacetValue[]>;
  total: number;
  /** Seconds. */
  took: number;
  /** Whether one side was missing. */
  degraded: boolean;
  queryId: string;
}

export interface SearchDocument {
  id: string;
  content: string;
  metadata: Record<string, any>;
}

export interface SearchStats {
  documents: number;
  searches: number;
  /** Seconds. */
  avgLatency: number;
  p95Latency: number;
  cacheHitRate: number;
  embeddingCacheHitRate: number;
}

export interface CallOptions {
  signal?: AbortSignal;
}

export interface SearchClient {
  search(query: string | SearchQuery, options?: CallOptions): Promise<SearchResults>;
  findSimilar(documentId: string, limit?: number, options?: CallOptions & { filters?: Filters }): Promise<SearchResult[]>;
  get(id: string, options?: CallOptions): Promise<SearchDocument>;
  getStats(options?: CallOptions): Promise<SearchStats>;
  getConfig(options?: CallOptions): Promise<{ title: string; facets: string[] }>;
  recordClick(queryId: string, documentId: string): Promise<boolean>;
}

export interface ClientOptions {
  /** Where the application is mounted; beside the page. */
  url?: string;
  headers?: Record<string, string> | (() => Record<string, string> | Promise<Record<string, string>>);
  credentials?: "omit" | "same-origin" | "include";
}

export class SearchError extends Error {
  /** 0 where the server was not reached, or its answer broke off. */
  readonly status: number;
}

export function createSearchClient(options?: ClientOptions): SearchClient;

export function highlightParts(passage: string): { match: boolean; text: string }[];
