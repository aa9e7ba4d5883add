/**
 * Progress for React, made from the page's own React, so that there is only one:
 *
 *   import * as React from "react";
 *   import { create } from "/progress/client/latest/react.js";
 *   export const { useProgress, ProgressBar } = create(React);
 */
import { isFinal, sharedClient } from "./client.js";

const NOTHING = { progress: undefined, error: undefined };

/**
 * @param React the page's React, or what has its names (Preact's compat)
 * @param options `client`, or `base` of the page's shared one
 */
export function create(React, options = {}) {
  const { createElement, useCallback, useMemo, useRef, useSyncExternalStore } = React;
  const client = () => options.client ?? sharedClient(options.base);

  /**
   * The newest state of an operation; nothing is watched while `id` is null or undefined.
   * `patience`: seconds to wait for an operation that does not exist yet.
   */
  function useProgress(id, { patience = 0 } = {}) {
    const known = useRef({ id, state: NOTHING }); // of the operation that was watched last
    const subscribe = useCallback(
      (changed) => {
        if (id === null || id === undefined) return () => {};
        if (known.current.id !== id) known.current = { id, state: NOTHING };
        const take = (state) => {
          known.current = { id, state };
          changed();
        };
        return client().watch(
          id,
          (progress) => take({ progress, error: undefined }),
          (error) => take({ progress: known.current.state.progress, error }),
          { patience },
        );
      },
      [id, patience],
    );
    const current = () => (known.current.id === id ? known.current.state : NOTHING);
    const snapshot = useSyncExternalStore(subscribe, current, () => NOTHING);
    return useMemo(() => {
      const state = snapshot.progress;
      return {
        ...state,
        id,
        operation: state,
        progress: state?.progress ?? 0,
        status: state?.status ?? "pending",
        stage: state?.stage,
        isKnown: state !== undefined,
        isFinal: state !== undefined && isFinal(state),
        trouble: snapshot.error,
        cancel: () => client().cancel(id),
        refresh: () => client().refresh(id),
      };
    }, [snapshot, id]);
  }

  /** A bar of the page's own style: `value` 0 to 100, undefined while nothing is known. */
  function ProgressBar({ value, label, className = "", ...rest }) {
    const share = value === undefined ? undefined : Math.min(100, Math.max(0, value));
    const shown = share === undefined ? {} : { "aria-valuenow": Math.floor(share) };
    const bar = {
      role: "progressbar", "aria-valuemin": 0, "aria-valuemax": 100, "aria-label": label ?? "Progress",
      ...shown, className: `progress-bar ${className}`.trim(), ...rest, style: { ...TRACK, ...rest.style },
    };
    const motion = isStill() ? "none" : FILL.transition;
    const style = { ...FILL, transition: motion, width: `${share ?? 0}%` };
    const fill = { className: "progress-bar-fill", style };
    return createElement("div", bar, createElement("div", fill));
  }

  return { useProgress, ProgressBar };
}

function isStill() {
  return globalThis.matchMedia?.("(prefers-reduced-motion: reduce)").matches ?? false;
}

const TRACK = {
  height: "var(--progress-height, 8px)",
  borderRadius: 99,
  overflow: "hidden",
  background: "var(--progress-track, light-dark(#e6ebf1, #2b3442))",
};
const FILL = {
  height: "100%",
  borderRadius: 99,
  background: "var(--progress-accent, light-dark(#2563eb, #6ea8fe))",
  transition: "width .35s ease-out",
};
