import type { Progress, ProgressClient, ProgressClientError } from "./client.js";

/** The words that people read. */
export interface ProgressWords {
  pending: string;
  processing: string;
  completed: string;
  failed: string;
  cancelled: string;
  stalled: string;
  cancel: string;
  cancelling: string;
  reconnecting: string;
  offline: string;
  unauthorized: string;
  not_found: string;
  limited: string;
  failedToAsk: string;
  more(count: number): string;
  failedParts(count: number): string;
  parts(done: number, total: number): string;
  left(text: string): string;
}

/** `<progress-tracker operation="…">`. */
export declare class ProgressTrackerElement extends HTMLElement {
  static words: ProgressWords;
  /** The client that it watches by; the page's shared one unless it is set. */
  client: ProgressClient;
  /** The newest state; set it to show one without a connection. */
  progress: Progress | undefined;
  /** Ask again: the operation may have been restarted. */
  refresh(): void;
}

declare global {
  interface HTMLElementTagNameMap {
    "progress-tracker": ProgressTrackerElement;
  }
  interface HTMLElementEventMap {
    trouble: CustomEvent<ProgressClientError>;
    end: CustomEvent<Progress>;
  }
}
