/**
 * Notifications for React, made from the page's own React, so that there is only one:
 *
 *   import * as React from "react";
 *   import { create } from "/notify/client/latest/react.js";
 *   export const { useNotifications, NotificationList, NotificationBell } = create(React);
 */
import { sharedClient } from "./client.js";
import { Inbox } from "./inbox.js";
import "./elements.js";

const NOTHING = { notifications: [], unread: 0, connection: "idle", status: "loading", error: undefined, hasMore: false };

/**
 * @param React the page's React, or what has its names (Preact's compat)
 * @param options `client`, or `base` of the page's shared one
 */
export function create(React, options = {}) {
  const { createElement, useCallback, useEffect, useMemo, useRef, useSyncExternalStore } = React;
  const client = () => options.client ?? sharedClient(options.base);

  /** The inbox as it changes: `query` as of `client.list`. */
  function useNotifications(query = {}) {
    const key = JSON.stringify(query);
    const known = useRef({ key, state: NOTHING }); // of the question that was asked last
    const inbox = useRef(null);
    const subscribe = useCallback(
      (changed) => {
        const source = client();
        const take = () => {
          const { items, status, error, nextCursor } = made;
          const state = {
            notifications: items, unread: source.unread ?? 0, connection: source.connection,
            status, error, hasMore: nextCursor !== null,
          };
          known.current = { key, state };
          changed();
        };
        const made = new Inbox(source, JSON.parse(key), take);
        inbox.current = made;
        made.open();
        const stop = source.watch({ onCount: take });
        source.addEventListener("connection", take);
        return () => {
          made.close();
          inbox.current = null;
          stop();
          source.removeEventListener("connection", take);
        };
      },
      [key],
    );
    const current = () => (known.current.key === key ? known.current.state : NOTHING);
    const state = useSyncExternalStore(subscribe, current, () => NOTHING);
    return useMemo(
      () => ({
        ...state,
        markAsRead: (id) => client().markAsRead(id),
        markAllAsRead: (what) => client().markAllAsRead(what),
        archive: (id) => client().archive(id),
        remove: (id) => client().delete(id),
        more: () => inbox.current?.more(),
      }),
      [state],
    );
  }

  function wrapped(name) {
    return function Wrapped({ onOpen, ...rest }) {
      const node = useRef(null);
      useEffect(() => {
        if (options.client) node.current.client = options.client;
      }, []);
      useEffect(() => {
        const { current } = node;
        if (!onOpen) return undefined;
        current.addEventListener("open", onOpen);
        return () => current.removeEventListener("open", onOpen);
      }, [onOpen]);
      const whose = options.client ? { manual: "" } : options.base ? { base: String(options.base) } : {};
      const given = Object.entries(rest).map(([key, value]) => [key, value === true ? "" : value]);
      return createElement(name, { ref: node, ...whose, ...Object.fromEntries(given.filter(([, value]) => value !== false)) });
    };
  }

  return { useNotifications, NotificationList: wrapped("notification-list"), NotificationBell: wrapped("notification-bell") };
}
