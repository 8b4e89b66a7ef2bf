/**
 * The page's side of the consent protocol. The window at `<server>/consent` says that it is ready, the
 * page asks, the window answers once. Whatever does not come from that very window *and* from the
 * server's origin is not for us: another window may say anything, and so may another page that the
 * window was led to.
 */
import { BelfryError } from "./errors.js";
import { isSecure } from "./origin.js";

/** What `PushSubscription.toJSON()` gives, with the key of the encoding `crypto-box` beside. */
export interface Subscription {
  endpoint: string;
  expirationTime: number | null;
  keys: { p256dh: string; auth: string; x25519?: string };
}

export interface Request {
  applicationServerKey?: string;
  siteKey?: string;
  name?: string;
}

export interface Consent {
  window: Window;
  answer: Promise<Subscription>;
}

/** No event tells that a window of another origin was closed. */
const LOOK_MS = 400;

const SIZE = "popup,width=480,height=720";

/** Opens the window. `known` is called when it first answers as a Belfry server does. */
export function openConsent(page: Window, server: string, request: Request, patienceMs: number, known: () => void): Consent {
  const opened = page.open(`${server}/consent`, "_blank", SIZE);
  if (!opened) {
    throw new BelfryError("blocked", "The browser blocked the window; call subscribe() from a click");
  }
  return { window: opened, answer: converse(page, opened, server, request, patienceMs, known) };
}

function converse(
  page: Window,
  opened: Window,
  server: string,
  request: Request,
  patienceMs: number,
  known: () => void,
): Promise<Subscription> {
  return new Promise((resolve, reject) => {
    let closedFor = 0;
    const looking = page.setInterval(() => {
      closedFor = opened.closed ? closedFor + 1 : 0;
      // Its last message may still be on its way at the first look.
      if (closedFor > 1) fail("closed", "The user closed the window");
    }, LOOK_MS);
    const waiting = page.setTimeout(() => {
      // An approval that nobody hears would leave a permission that no site has.
      opened.close();
      fail("timeout", "The user did not answer in time");
    }, patienceMs);
    const leaving = () => opened.close();
    page.addEventListener("message", hear);
    page.addEventListener("pagehide", leaving);

    function hear(event: MessageEvent): void {
      if (event.source !== opened || event.origin !== server) return;
      const said: unknown = event.data;
      if (!isRecord(said)) return;
      if (said.belfry === "ready") {
        // Again after a reload of the window, which has forgotten what it was asked.
        known();
        opened.postMessage({ belfry: "subscribe", ...request }, server);
      } else if (said.belfry === "subscription") {
        if (isSubscription(said.subscription)) settle(() => resolve(said.subscription as Subscription));
        else fail("failed", "The server answered with something that is no subscription");
      } else if (said.belfry === "declined") {
        fail("declined", "The user declined");
      } else if (said.belfry === "error") {
        fail("failed", typeof said.reason === "string" ? said.reason : "The server could not do it");
      }
    }

    function fail(code: BelfryError["code"], message: string): void {
      settle(() => reject(new BelfryError(code, message)));
    }

    function settle(outcome: () => void): void {
      page.clearInterval(looking);
      page.clearTimeout(waiting);
      page.removeEventListener("message", hear);
      page.removeEventListener("pagehide", leaving);
      outcome();
    }
  });
}

function isSubscription(value: unknown): value is Subscription {
  return (
    isRecord(value) &&
    typeof value.endpoint === "string" &&
    isEndpoint(value.endpoint) &&
    isRecord(value.keys) &&
    typeof value.keys.p256dh === "string" &&
    typeof value.keys.auth === "string"
  );
}

function isEndpoint(text: string): boolean {
  try {
    return isSecure(new URL(text));
  } catch {
    return false;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
