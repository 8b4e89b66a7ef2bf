/** Devices of one user on a server that may lie. */
import assert from "node:assert/strict";
import { Belfry, MemoryStore, sealAes128gcm, type Store, type SubscriptionJson } from "../src/index.ts";
import { fromBase64url, utf8, type Bytes } from "../src/crypto/bytes.ts";
import { FakeServer } from "./fake-server.ts";

export const key = (text: string | undefined): Bytes => fromBase64url(text) ?? assert.fail(`no key: ${text}`);

export class World {
  readonly server = new FakeServer();
  readonly open: Belfry[] = [];
  now = 1_795_600_000_000;

  async device(name: string, store: Store = new MemoryStore()): Promise<Belfry> {
    const belfry = await Belfry.open({
      server: "https://belfry.example", store, deviceName: name, deviceKind: "browser",
      platform: { fetch: this.server.fetch, dial: this.server.dial, tabs: null, now: () => this.now++, random: () => 0 },
    });
    this.open.push(belfry);
    return belfry;
  }

  async signedIn(name: string, store?: Store): Promise<Belfry> {
    const belfry = await this.device(name, store);
    await belfry.signIn({ username: "ada", password: this.server.password });
    if (belfry.connection !== "online") await belfry.next("connection", (connection) => connection === "online");
    return belfry;
  }

  /** What follows a connection is read before the test goes on. */
  async ready(name: string, store?: Store): Promise<Belfry> {
    const belfry = await this.signedIn(name, store);
    assert.equal(belfry.state.name, "ready");
    await belfry.keyring.refresh();
    return belfry;
  }

  async link(linked: Belfry, unlinked: Belfry): Promise<void> {
    const offer = await unlinked.linking.offer();
    await (await linked.linking.read(offer.code)).confirm();
    await offer.done;
  }

  async send(subscription: SubscriptionJson, site: string, text: string, lie: Record<string, unknown> = {}): Promise<string> {
    const body = await sealAes128gcm(utf8(text), key(subscription.keys.p256dh), key(subscription.keys.auth));
    return this.server.notify({ permission: this.permission(site), site, encoding: "aes128gcm", body, ...lie });
  }

  permission(site: string): string {
    return this.server.permissions.find((permission) => permission.site === site)?.permission_id ?? assert.fail(`no permission of ${site}`);
  }

  async close(): Promise<void> {
    await Promise.all(this.open.map((belfry) => belfry.close()));
  }
}

/** Titles as they stand in the inbox. */
export async function titles(belfry: Belfry): Promise<string[]> {
  return (await belfry.inbox.list()).map(({ content }) => content.title);
}
