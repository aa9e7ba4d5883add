import type { Notification, NotifyClient, NotifyClientError } from "./client.js";

/** The words that people read. */
export declare const words: Record<string, any>;

declare class NotifyElement extends HTMLElement {
  /** The client that it watches by; the page's shared one unless it is set. */
  client: NotifyClient;
}

/** `<notification-bell toast>`. */
export declare class NotificationBellElement extends NotifyElement {
  readonly open: boolean;
  show(): void;
  hide(): void;
}

/** `<notification-list filters="all unread archived">`. */
export declare class NotificationListElement extends NotifyElement {
  /** Put the keyboard's focus on the newest notification. */
  focusFirst(): void;
}

declare global {
  interface HTMLElementTagNameMap {
    "notification-bell": NotificationBellElement;
    "notification-list": NotificationListElement;
  }
  interface HTMLElementEventMap {
    notification: CustomEvent<Notification>;
    open: CustomEvent<{ notification: Notification }>;
    trouble: CustomEvent<NotifyClientError>;
  }
}
