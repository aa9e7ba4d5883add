export type ExportStatus = "pending" | "processing" | "completed" | "failed" | "cancelled";
/** The formats that are built in; applications may register others. */
export type ExportFormat =
  | "txt" | "json" | "jsonl" | "csv" | "tsv" | "xlsx" | "srt" | "vtt" | "docx" | "pdf" | "html" | "md"
  | (string & {});

export interface ExportSource {
  /** Others have a loader on the server. */
  type: "transcript" | "summary" | "rag" | "custom" | (string & {});
  id: string;
  /** The data itself, in place of a loader on the server. */
  data?: any;
}

export interface ExportOptions {
  template?: string;
  includeMetadata?: boolean;
  filename?: string;
  /** Seconds until the download link expires. */
  ttl?: number;
}

/** An export. What is absent is undefined. */
export interface ExportJob {
  id: string;
  status: ExportStatus;
  format: ExportFormat;
  source: ExportSource;
  /** 0 to 100. */
  progress: number;
  downloadUrl?: string;
  expiresAt?: Date;
  error?: string;
  createdAt: Date;
  completedAt?: Date;
  filename?: string;
  contentType?: string;
  /** Bytes. */
  size?: number;
  sha256?: string;
  pages?: number;
  records?: number;
  /** What the format had to change. */
  warnings: string[];
  attempts: number;
  /** What was attached when it was started, and the server's `correlation_id`. */
  metadata: Record<string, any>;
}

export interface ExportPage {
  items: ExportJob[];
  nextCursor: string | null;
}

export interface ListQuery {
  status?: ExportStatus;
  /** 1 to 1000; 50. */
  limit?: number;
  cursor?: string | null;
  signal?: AbortSignal;
}

export interface CallOptions {
  signal?: AbortSignal;
}

export interface FileOptions extends CallOptions {
  onProgress?(received: number, total: number | undefined): void;
}

export interface ClientOptions {
  /** A bearer token, or what returns one; asked at each request. Cookies need none. */
  token?: string | null | (() => string | null | Promise<string | null>);
  /** As of `fetch`; `include` for cookies of another origin. */
  credentials?: "omit" | "same-origin" | "include";
  /** In the order in which they are tried. */
  transports?: ("sse" | "poll")[];
  /** Milliseconds of the first pause between attempts; 300. */
  retryMin?: number;
  /** Milliseconds of the longest; 20,000. */
  retryMax?: number;
  /** Milliseconds of silence after which a stream counts as broken; 60,000. */
  silence?: number;
  /** Milliseconds between two looks, where no stream gets through; 1,000. */
  pollInterval?: number;
  /** How often a request without an answer is sent; 5. */
  tries?: number;
}

export declare class ExporterClientError extends Error {
  constructor(code: ExporterClientError["code"], message: string, status?: number);
  readonly code:
    | "unauthorized" | "not_found" | "conflict" | "expired" | "limited" | "invalid" | "blocked" | "failed";
  /** Of HTTP; 0 where there was no answer. */
  readonly status: number;
}

/** Starts, follows and downloads the exports of one user. */
export declare class ExporterClient {
  /** @param base where the application is mounted; by default where the script came from */
  constructor(base?: string | URL, options?: ClientOptions);
  /** Start an export; repeated on a bad network it still starts once. */
  start(
    source: ExportSource,
    format: ExportFormat,
    options?: ExportOptions,
    more?: CallOptions & {
      idempotencyKey?: string;
      /** Facts of your own to keep with the job; 64 KiB of JSON at most. */
      metadata?: Record<string, any>;
    },
  ): Promise<ExportJob>;
  get(id: string, options?: CallOptions): Promise<ExportJob>;
  list(query?: ListQuery): Promise<ExportPage>;
  /** Whether it was not too late. */
  cancel(id: string): Promise<boolean>;
  /** Run a failed or cancelled export again. */
  retry(id: string): Promise<ExportJob>;
  delete(id: string): Promise<boolean>;
  formats(): Promise<ExportFormat[]>;
  /** Call back now and at each change until its end; returns a function that ends it. */
  follow(
    id: string,
    onChange: (job: ExportJob) => void,
    more?: { onEnd?(job: ExportJob): void; onTrouble?(error: ExporterClientError): void },
  ): () => void;
  /** Resolves once the export has ended, however it ended; rejects with an `AbortError` after {@link close}. */
  wait(id: string, options?: CallOptions & { onChange?(job: ExportJob): void }): Promise<ExportJob>;
  /** The address of the file, for a plain link where cookies sign in; `inline` to look at it. */
  fileUrl(id: string, options?: { inline?: boolean }): string;
  /** The file, whole and checked, resumed where the connection breaks. */
  blob(id: string, options?: FileOptions): Promise<Blob>;
  /** Save the file as the browser saves downloads; resolves to its name. */
  download(id: string, options?: FileOptions & { filename?: string }): Promise<string>;
  /** End all following and waiting. */
  close(): void;
}

export declare function isFinal(job: ExportJob): boolean;
export declare function fromJSON(data: any): ExportJob;
