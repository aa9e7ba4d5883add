import type { Progress, ProgressClient, ProgressClientError, ProgressStatus } from "./client.js";

export interface UsedProgress extends Partial<Omit<Progress, "id" | "progress" | "status">> {
  id: string | null | undefined;
  /** 0 to 100; 0 before anything is known. */
  progress: number;
  /** `pending` before anything is known. */
  status: ProgressStatus;
  stage: string | undefined;
  /** The whole operation, once it is known. */
  operation: Progress | undefined;
  isKnown: boolean;
  isFinal: boolean;
  /** Why it cannot be watched: unknown, forbidden, signed out. */
  trouble: ProgressClientError | undefined;
  /** Ask the worker to stop. */
  cancel(): Promise<Progress>;
  /** Ask again: it may have been restarted. */
  refresh(): void;
}

export interface ProgressBarProps {
  /** 0 to 100; undefined while nothing is known. */
  value: number | undefined;
  /** For those who do not see it. */
  label?: string;
  className?: string;
  style?: Record<string, string | number>;
  [attribute: `data-${string}`]: string;
}

export interface Made {
  useProgress(id: string | null | undefined, options?: { patience?: number }): UsedProgress;
  ProgressBar(props: ProgressBarProps): any;
}

/** What is used of React 18 and newer. */
export interface ReactLike {
  createElement: any;
  useCallback: any;
  useMemo: any;
  useRef: any;
  useSyncExternalStore: any;
}

/** Make the hook and the bar from the page's React. */
export declare function create(
  React: ReactLike,
  options?: { client?: ProgressClient; base?: string | URL },
): Made;
