/** Where an operation or a stage is. */
export type ProgressStatus = "pending" | "processing" | "completed" | "failed" | "cancelled";

export interface ProgressStage {
  name: string;
  status: ProgressStatus;
  /** 0 to 100. */
  progress: number;
  startedAt?: Date;
  completedAt?: Date;
  /** Its part of the whole, beside the other stages'. */
  weight: number;
  current?: number;
  total?: number;
  skipped: boolean;
}

export interface ProgressError {
  message: string;
  /** The class of the exception. */
  type?: string;
}

export interface ChildCounts {
  total: number;
  completed: number;
  failed: number;
  cancelled: number;
}

export interface LogLine {
  at: Date;
  level: "debug" | "info" | "warning" | "error";
  message: string;
  stage?: string;
}

/** An operation. What is absent is undefined. */
export interface Progress {
  id: string;
  status: ProgressStatus;
  /** 0 to 100. */
  progress: number;
  stage?: string;
  stages?: ProgressStage[];
  error?: ProgressError;
  metadata: Record<string, any>;
  createdAt: Date;
  updatedAt: Date;
  completedAt?: Date;
  startedAt?: Date;
  /** Rises with every change. */
  version: number;
  /** Rises when the operation is restarted or taken over. */
  epoch: number;
  kind?: string;
  userId?: string;
  parentId?: string;
  /** Units done, and in all. */
  current?: number;
  total?: number;
  message?: string;
  result?: any;
  /** Units a second. */
  rate?: number;
  /** Seconds left. */
  eta?: number;
  /** Why it failed, if its worker fell silent. */
  reason?: "stalled";
  cancelRequested: boolean;
  children?: ChildCounts;
  logs: LogLine[];
}

export type Connection = "idle" | "connecting" | "live" | "retrying" | "offline" | "refused";
export type Transport = "websocket" | "sse" | "poll";

export interface ClientOptions {
  /** A bearer token, or what returns one; asked at each connection. Cookies need none. */
  token?: string | null | (() => string | null | Promise<string | null>);
  /** As of `fetch`; `include` for cookies of another origin. */
  credentials?: "omit" | "same-origin" | "include";
  /** In the order in which they are tried. */
  transports?: Transport[];
  /** Milliseconds of the first pause between attempts; 300. */
  retryMin?: number;
  /** Milliseconds of the longest; 20,000. */
  retryMax?: number;
  /** Milliseconds between rounds of polling; 2,000. */
  pollInterval?: number;
  /** Milliseconds without a sign of life after which a connection counts as dead; 65,000. */
  silence?: number;
}

export interface ListQuery {
  status?: ProgressStatus | ProgressStatus[];
  kind?: string;
  parentId?: string;
  limit?: number;
  cursor?: string | null;
}

export interface ProgressPage {
  items: Progress[];
  nextCursor: string | null;
}

export declare class ProgressClientError extends Error {
  constructor(code: ProgressClientError["code"], message: string, status?: number);
  readonly code: "unauthorized" | "not_found" | "conflict" | "limited" | "failed";
  /** Of HTTP; 0 where there was no answer. */
  readonly status: number;
}

/** Watches operations of one application over one connection. Emits `connection`. */
export declare class ProgressClient extends EventTarget {
  /** @param base where the application is mounted; by default where the script came from */
  constructor(base?: string | URL, options?: ClientOptions);
  readonly connection: Connection;
  readonly transport: Transport;
  /**
   * Call back with the current state and each newer one, to the end; returns what ends it.
   * `patience`: seconds to wait for an operation that does not exist yet.
   */
  watch(
    id: string,
    onProgress: (progress: Progress) => void,
    onError?: (error: ProgressClientError) => void,
    options?: { patience?: number },
  ): () => void;
  subscribe(id: string, callback: (progress: Progress) => void): () => void;
  /** Ask again about an operation that has ended: it may have been restarted. */
  refresh(id: string): void;
  /** The newest known state of an operation that is watched. */
  peek(id: string): Progress | undefined;
  get(id: string): Promise<Progress>;
  list(query?: ListQuery): Promise<ProgressPage>;
  /** Ask the worker to stop. */
  cancel(id: string): Promise<Progress>;
  close(): void;
}

/** The client of an application that all elements and hooks of the page share. */
export declare function sharedClient(base?: string | URL, options?: ClientOptions): ProgressClient;
export declare function isFinal(progress: Pick<Progress, "status">): boolean;
export declare function fromJSON(data: any): Progress;
