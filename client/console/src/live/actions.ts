//! What pages can ask for, over the SDK: each is one call, and then what it changed is read again.

import { BelfryError, type Belfry } from "@belfry/client";
import { Failure, type Actions } from "../model.ts";
import { text } from "../text.ts";
import { told } from "./failure.ts";
import { testSender } from "./test-notification.ts";

/** How the model reads what an action changed. */
export interface Reads {
  readonly sites: () => Promise<void>;
  readonly devices: () => Promise<void>;
  readonly items: () => Promise<void>;
  readonly account: () => Promise<void>;
  readonly older: () => Promise<void>;
  readonly keyring: () => void;
  /** Answers what went wrong, in words. */
  readonly everything: () => Promise<string | null>;
  /** Waits a little for the connection. */
  readonly online: () => Promise<void>;
  /** A reading whose failure is the page's trouble, not the action's. */
  readonly quietly: (read: () => Promise<void>) => Promise<void>;
}

export function actionsOver(belfry: Belfry, reads: Reads): Actions {
  const then = async (work: Promise<unknown>, ...after: (() => Promise<void>)[]) => {
    await work;
    for (const read of after) await reads.quietly(read);
  };
  const { sites, devices } = reads;
  const test = testSender(belfry);
  const json = (subscription: unknown) => JSON.stringify(subscription, null, 2);
  return {
    signInOffer: () => told(async () => {
      const { registration, oidc } = await belfry.providers();
      return { open: registration, oidc };
    }),
    signUp: (username, password, invite) => told(() => belfry.signUp({ username, password, ...(invite ? { invite } : {}) })),
    signIn: (username, password, replace) => told(() => belfry.signIn({ username, password, replace: replace ?? false })),
    signInAgain: (password) => told(() => belfry.confirmPassword(password)),
    signOut: (forget) => told(() => belfry.signOut({ forget })),
    changePassword: (before, after) => told(async () => {
      try {
        await belfry.changePassword(before, after);
      } catch (error) {
        throw error instanceof BelfryError && error.code === "wrong-credentials" ? new Failure("refused", text.failure.wrongOldPassword) : error;
      }
    }),
    eraseAccount: () => told(() => belfry.eraseAccount()),
    resetPassword: (token, password) => told(async () => {
      try {
        await belfry.resetPassword({ token, password });
      } catch (error) {
        throw error instanceof BelfryError && error.problem?.status === 410 ? new Failure("refused", text.reset.gone) : error;
      }
    }),

    offerLink: () => told(async () => {
      await reads.online();
      const offer = await belfry.linking.offer();
      const done = told(() => offer.done);
      // A page that left does not hear how it ends.
      done.catch(() => undefined);
      return { code: offer.code, address: offer.qr, expires: offer.expires, done, cancel: () => offer.cancel() };
    }),
    recover: (phrase) => told(() => belfry.recovery.use(phrase)),
    readLinkRequest: (code) => told(async () => {
      await reads.online();
      const request = await belfry.linking.read(code);
      return {
        name: request.name,
        kind: request.kind,
        fingerprint: request.fingerprint,
        approve: () => told(() => then(request.confirm(), devices)),
        decline: () => told(() => request.decline()),
      };
    }),

    refresh: () => told(async () => {
      await reads.account();
      const trouble = await reads.everything();
      if (trouble) throw new Failure("other", trouble);
    }),
    readSites: () => reads.quietly(sites),
    markSeen: (ids) => told(() => belfry.inbox.markSeen([...ids])),
    dismiss: (ids) => told(() => belfry.inbox.dismiss([...ids])),
    loadOlder: () => told(() => reads.older()),

    approve: (site, name, keys = {}) => told(async () => {
      const { applicationServerKey, siteKey } = keys;
      const made = await belfry.permissions.approve(site, {
        ...(name ? { name } : {}),
        ...(applicationServerKey ? { applicationServerKey } : {}),
        ...(siteKey ? { siteKey } : {}),
      });
      void reads.quietly(sites);
      return json(made);
    }),
    renew: (permission) => told(async () => {
      const made = await belfry.permissions.renew(permission);
      await reads.quietly(sites);
      return json(made);
    }),
    setMuted: (permission, muted) => told(() => then(muted ? belfry.permissions.mute(permission) : belfry.permissions.allow(permission), sites)),
    setReceipts: (permission, receipts) => told(() => then(belfry.permissions.setReceipts(permission, receipts), sites)),
    renameSite: (permission, name) => told(() => then(belfry.permissions.rename(permission, name), sites)),
    revoke: (permission) => told(() => then(belfry.permissions.revoke(permission), sites, reads.items)),
    sendTest: (title, body, onPost) => told(() => test(title, body, onPost)),

    renameDevice: (id, name) => told(() => then(belfry.devices.rename(id, name), devices)),
    setUrgencyMin: (id, urgency) => told(() => then(belfry.devices.setUrgencyMin(id, urgency), devices)),
    removeDevice: (id) => told(() => then(belfry.devices.remove(id), devices, sites)),

    makeRecoveryPhrase: () => told(() => belfry.recovery.make()),
    checkKeyring: () => told(async () => {
      await belfry.keyring.refresh();
      reads.keyring();
      await devices();
    }),
    setQuietHours: (hours) => told(async () => {
      await belfry.keyring.setSetting("quietHours", hours);
      reads.keyring();
    }),
    setAwayGrace: (seconds) => told(async () => {
      await belfry.setAwayGrace(seconds);
      await reads.account();
    }),
  };
}
