import type { Connection, ListQuery, Notification, NotifyClient, NotifyClientError } from "./client.js";

export interface UsedNotifications {
  /** Newest first. */
  notifications: Notification[];
  /** The server's count. */
  unread: number;
  connection: Connection;
  status: "loading" | "ready" | "failed";
  error: NotifyClientError | undefined;
  hasMore: boolean;
  markAsRead(id: string): Promise<void>;
  markAllAsRead(what?: { before?: Date; category?: string }): Promise<void>;
  archive(id: string): Promise<void>;
  remove(id: string): Promise<void>;
  more(): Promise<void> | undefined;
}

export interface NotificationListProps {
  /** Words out of `all unread archived`. */
  filters?: string;
  category?: string;
  type?: string;
  limit?: number;
  theme?: "light" | "dark";
  /** Before a link is followed; `preventDefault()` leaves it to your router. */
  onOpen?(event: CustomEvent<{ notification: Notification }>): void;
}

export interface NotificationBellProps extends Pick<NotificationListProps, "filters" | "theme" | "onOpen"> {
  toast?: boolean;
}

export interface Made {
  useNotifications(query?: ListQuery): UsedNotifications;
  NotificationList(props: NotificationListProps): any;
  NotificationBell(props: NotificationBellProps): any;
}

/** What is used of React 18 and newer. */
export interface ReactLike {
  createElement: any;
  useCallback: any;
  useEffect: any;
  useMemo: any;
  useRef: any;
  useSyncExternalStore: any;
}

/** Make the hook and the components from the page's React. */
export declare function create(React: ReactLike, options?: { client?: NotifyClient; base?: string | URL }): Made;
