export type NotificationType = "info" | "success" | "warning" | "error";
/** The four that every application knows; others have the names of their adapters. */
export type NotificationChannel = "in-app" | "email" | "push" | "sms";

/** A notification. What is absent is undefined. */
export interface Notification {
  id: string;
  type: NotificationType;
  title: string;
  message: string;
  timestamp: Date;
  read: boolean;
  userId: string;
  category?: string;
  actionUrl?: string;
  actionLabel?: string;
  metadata?: Record<string, any>;
  channels?: NotificationChannel[];
  archived: boolean;
  priority: "normal" | "critical";
  /** Its place in the user's sequence. */
  seq: number;
  expiresAt?: Date;
}

/** Something that happened in the inbox. */
export interface InboxEvent {
  seq: number;
  kind: "created" | "read" | "archived" | "deleted" | "allRead";
  /** Unread notifications after it. */
  unread: number;
  at: Date;
  notificationId?: string;
  /** As it is now; undefined if it is gone. */
  notification?: Notification;
  /** Of `allRead`. */
  category?: string;
  /** Of `allRead`. */
  before?: Date;
}

export interface QuietHours {
  /** `22:00`. */
  start: string;
  end: string;
  timezone?: string | null;
  /** 0 is Monday. */
  weekdays?: number[] | null;
}

export interface NotificationPreferences {
  channels?: NotificationChannel[] | null;
  categories: Record<string, any>;
  quietHours?: QuietHours | QuietHours[];
  /** Channels that are off, whatever else is said. */
  muted?: NotificationChannel[];
  [more: string]: any;
}

export interface NotificationFilters {
  unreadOnly?: boolean;
  type?: NotificationType;
  category?: string;
  since?: Date;
  before?: Date;
  /** `false` leaves archived ones out, `true` shows only them. */
  archived?: boolean | "any";
}

export interface ListQuery extends NotificationFilters {
  /** 1 to 500; 50. */
  limit?: number;
  cursor?: string | null;
}

export interface NotificationPage {
  items: Notification[];
  nextCursor: string | null;
  unread: number;
  /** A place that the page is not older than. */
  seq: number;
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
  /** Milliseconds of silence after which a socket is asked whether it lives; 25,000. */
  silence?: number;
  /** Whether the tabs of a user share one connection; true. */
  shared?: boolean;
  /**
   * Where the socket is, below `base` or as a whole path; by default where the server says, which
   * is its setting `websocket.path`. For proxies that show it elsewhere.
   */
  socketPath?: string;
}

export interface Watcher {
  onEvent?(event: InboxEvent): void;
  onCount?(unread: number): void;
  /** What is known is void: another user signed in, or this one was erased. */
  onReset?(): void;
  onTrouble?(error: NotifyClientError): void;
}

export declare class NotifyClientError extends Error {
  constructor(code: NotifyClientError["code"], message: string, status?: number);
  readonly code: "unauthorized" | "not_found" | "limited" | "invalid" | "failed";
  /** Of HTTP; 0 where there was no answer. */
  readonly status: number;
}

/** Watches one user's inbox. Emits `connection`. */
export declare class NotifyClient extends EventTarget {
  /** @param base where the application is mounted; by default where the script came from */
  constructor(base?: string | URL, options?: ClientOptions);
  readonly connection: Connection;
  readonly transport: Transport;
  /** Whether this tab holds the connection that all tabs of the user share. */
  readonly isLeader: boolean;
  /** The server's count; undefined before it is known. */
  readonly unread: number | undefined;
  readonly userId: string | undefined;
  readonly seq: number | undefined;
  watch(watcher: Watcher): () => void;
  /** Call back with each notification that comes, if the user is `userId`. */
  subscribe(userId: string | null | undefined, callback: (notification: Notification) => void): () => void;
  /** Begin anew, after somebody signed in. */
  reconnect(): void;
  list(query?: ListQuery): Promise<NotificationPage>;
  getUserNotifications(userId: string, filters?: NotificationFilters): Promise<Notification[]>;
  get(id: string): Promise<Notification>;
  markAsRead(id: string, userId?: string): Promise<void>;
  markAllAsRead(what?: { before?: Date; category?: string }): Promise<void>;
  archive(id: string): Promise<void>;
  delete(id: string): Promise<void>;
  getPreferences(): Promise<NotificationPreferences>;
  setPreferences(userId: string | undefined, preferences: NotificationPreferences): Promise<NotificationPreferences>;
  /** Ask the user, subscribe this browser and hand the subscription to `save`. Call it from a click. */
  enablePush(vapidKey: string, save?: (subscription: PushSubscriptionJSON) => unknown): Promise<PushSubscriptionJSON>;
  disablePush(forget?: (subscription: PushSubscriptionJSON) => unknown): Promise<boolean>;
  close(): void;
}

/** The client of an application that all elements and hooks of the page share. */
export declare function sharedClient(base?: string | URL, options?: ClientOptions): NotifyClient;
export declare function subscribe(
  userId: string | null | undefined,
  callback: (notification: Notification) => void,
): () => void;
export declare function safeUrl(text: string, base?: string): string | undefined;
export declare function fromJSON(data: any): Notification;
