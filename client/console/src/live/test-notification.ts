//! A real notification to oneself: this origin is approved like any site, and posts like any site.

import { sealAes128gcm, type Belfry, type SubscriptionJson } from "@belfry/client";
import { bytesOf } from "belfry-ui/rules/bytes.ts";
import { typedSite } from "belfry-ui/rules/site.ts";
import { Failure } from "../model.ts";
import { text } from "../text.ts";

const TTL_SECONDS = 3600;

/** Posts to itself; a second one goes to the same permission. */
export function testSender(belfry: Belfry): (title: string, body: string, onPost: () => void) => Promise<void> {
  let kept: SubscriptionJson | null = null;
  return async (title, body, onPost) => {
    kept ??= await approveSelf(belfry);
    const p256dh = bytesOf(kept.keys.p256dh);
    const auth = bytesOf(kept.keys.auth);
    if (!p256dh || !auth) throw new Failure("other", text.failure.other);
    const sealed = await sealAes128gcm(new TextEncoder().encode(JSON.stringify({ title, body })), new Uint8Array(p256dh), new Uint8Array(auth));
    onPost();
    const status = await post(kept.endpoint, sealed);
    if (status === 404 || status === 410) kept = null;
    if (status !== 201) throw new Failure("refused", text.welcome.testRefused(status));
  };
}

async function approveSelf(belfry: Belfry): Promise<SubscriptionJson> {
  const origin = typedSite(location.origin) ?? `https://${location.host}`;
  const old = (await belfry.permissions.list()).filter((permission) => permission.site === origin && permission.name === text.welcome.testName);
  const made = await belfry.permissions.approve(origin, { name: text.welcome.testName });
  // Its endpoint was shown once, to a page that is gone: an earlier one is of no more use.
  for (const permission of old) await belfry.permissions.revoke(permission.id).catch(() => undefined);
  return made;
}

async function post(endpoint: string, body: Uint8Array<ArrayBuffer>): Promise<number> {
  // The server may call itself by another name than the one this page was opened under; it is the same.
  const address = new URL(new URL(endpoint).pathname, location.origin);
  try {
    const answer = await fetch(address, {
      method: "POST",
      body,
      headers: { TTL: String(TTL_SECONDS), Urgency: "normal", "Content-Encoding": "aes128gcm", "Content-Type": "application/octet-stream" },
      credentials: "omit",
      referrerPolicy: "no-referrer",
    });
    await answer.text();
    return answer.status;
  } catch {
    throw new Failure("offline", text.failure.offline);
  }
}
