//! What a browser takes away from a page that came over plain http.

export interface Surroundings {
  readonly secure: boolean;
  readonly subtle: boolean;
  readonly serviceWorker: boolean;
  readonly notifications: boolean;
  readonly hostname: string;
  readonly port: string;
}

export type Loss = "keys-exportable" | "eavesdropping" | "notifications" | "offline" | "install";

export function losses(at: Surroundings): Loss[] {
  if (at.secure) return [];
  const lost: Loss[] = ["eavesdropping"];
  if (!at.subtle) lost.push("keys-exportable");
  lost.push("notifications");
  if (!at.serviceWorker) lost.push("offline", "install");
  return lost;
}

/** The same server under a name that browsers trust, if this browser runs on the server's machine. */
export function localhostAddress(at: Surroundings): string {
  return `http://localhost${at.port ? `:${at.port}` : ""}/`;
}
