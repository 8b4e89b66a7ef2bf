//! What the pages do, by `/admin/v1`. Each act says what it changed, so that what shows it reads again
//! without waiting for the feed.

import { setupToken } from "../address.ts";
import { Failure, type Actions, type Ban, type Changed, type Link, type SecondFactor } from "../model.ts";
import { text } from "../text.ts";
import { Refusal, type Http } from "./http.ts";
import { createPasskey, getPasskey } from "./passkeys.ts";
import { banBody, endBody } from "./reads.ts";

/** What the actions ask of the model around them. */
export interface Around {
  changed(what: readonly Changed[]): void;
  /** Reads who is there, and draws what fits. */
  enter(): Promise<void>;
  left(): void;
  retry(): void;
}

const path = (part: string) => encodeURIComponent(part);

interface Challenge {
  readonly challenge: string;
  readonly passkey?: unknown;
}

export function actions(http: Http, around: Around): Actions {
  /** Of the sign-in under way. */
  let pending: Challenge | null = null;
  const acting = (what: readonly Changed[]) => async <Answer>(work: Promise<Answer>): Promise<Answer> => {
    const answer = await work;
    around.changed(what);
    return answer;
  };
  const [ofSites, ofUsers, ofBans, ofLimits, ofTokens, ofAccount] = [acting(["sites", "audit"]), acting(["users", "audit"]), acting(["bans", "sites", "users", "audit"]), acting(["limits", "audit"]), acting(["tokens", "audit"]), acting(["account", "audit"])];

  return {
    async signIn(username, password) {
      const answer = await http.json<{ needs: readonly SecondFactor[] } & Partial<Challenge>>("POST", "/sign-in", { username, password });
      if (answer.needs.length === 0) {
        await around.enter();
        return [];
      }
      pending = { challenge: answer.challenge ?? "", passkey: answer.passkey };
      return answer.needs;
    },
    async signInWithCode(code) {
      await http.json("POST", "/sign-in/totp", { challenge: pending?.challenge, code });
      pending = null;
      await around.enter();
    },
    async signInWithPasskey() {
      const offer = pending?.passkey ? pending : await http.json<Challenge>("POST", "/sign-in/passkey/options", {});
      const credential = await getPasskey(offer.passkey);
      await http.json("POST", "/sign-in/passkey", { challenge: offer.challenge, credential });
      pending = null;
      await around.enter();
    },
    signInAgain: (password) => http.json("POST", "/sign-in/again", { password }),
    async setUp(username, password) {
      try {
        await http.json("POST", "/setup", { token: setupToken.peek(), username, password });
      } catch (error) {
        if (error instanceof Refusal && error.problem.status === 410) throw new Failure("refused", text.setUp.gone);
        throw error;
      }
      await around.enter();
    },
    async signOut() {
      await http.json("POST", "/sign-out", {});
      around.left();
    },
    retry: () => around.retry(),

    setSiteLimits: (site, limits) => ofSites(http.json("PUT", `/sites/${path(site)}/limits`, limits)),
    registerSite: async (site) => void (await ofSites(http.json("POST", "/sites", { site }))),
    unregisterSite: (site) => ofSites(http.json("DELETE", `/sites/${path(site)}`)),
    verifySite: (site) => ofSites(http.json("POST", `/sites/${path(site)}/verify`, {})),
    registerVapid: (site, key) => ofSites(http.json("PUT", `/sites/${path(site)}/vapid/${path(key)}`, {})),
    forgetVapid: (site, key) => ofSites(http.json("DELETE", `/sites/${path(site)}/vapid/${path(key)}`)),
    makeApiKey: async (site, name) => (await ofSites(http.json<{ key: string }>("POST", `/sites/${path(site)}/api-keys`, { name }))).key,
    endApiKey: (site, id) => ofSites(http.json("DELETE", `/sites/${path(site)}/api-keys/${path(id)}`)),

    createUser: async (username, password, role) => void (await ofUsers(http.json("POST", "/users", { username, password, role }))),
    makeInvite: (ends) => ofUsers(http.json<Link>("POST", "/invites", { ends: endBody(ends) })),
    makeReset: (user) => ofUsers(http.json<Link>("POST", `/users/${path(user)}/reset`, {})),
    endLink: (id) => ofUsers(http.json("DELETE", `/links/${path(id)}`)),
    setRole: (user, role) => ofUsers(http.json("PUT", `/users/${path(user)}/role`, { role })),
    setUserLimits: (user, limits) => ofUsers(http.json("PUT", `/users/${path(user)}/limits`, limits)),
    disconnect: async (user) => (await ofUsers(http.json<{ connections: number }>("POST", `/users/${path(user)}/disconnect`, {}))).connections,

    ban: (draft) => ofBans(http.json<Ban>("POST", "/bans", banBody(draft))),
    changeBan: async (id, { reason, ends }) => void (await ofBans(http.json("PATCH", `/bans/${path(id)}`, { reason, ends: endBody(ends) }))),
    liftBan: (id) => ofBans(http.json("DELETE", `/bans/${path(id)}`)),
    importBans: (csv, dry) => (dry ? http.csv("/bans/import?dry_run=true", csv) : ofBans(http.csv("/bans/import", csv))),

    setLimits: (limits) => ofLimits(http.json("PUT", "/limits", limits)),
    testApns: async () => (await http.json<{ detail: string }>("POST", "/apns/test", {})).detail,
    verifyAudit: () => http.json("POST", "/audit/verify", {}),
    makeToken: async (name, role, ends) => (await ofTokens(http.json<{ token: string }>("POST", "/tokens", { name, role, ends: endBody(ends) }))).token,
    endToken: (id) => ofTokens(http.json("DELETE", `/tokens/${path(id)}`)),

    changePassword: (before, after) => ofAccount(http.json("PUT", "/account/password", { old: before, new: after })),
    offerTotp: () => http.json("POST", "/account/totp", {}),
    confirmTotp: (code) => ofAccount(http.json("POST", "/account/totp/confirm", { code })),
    endTotp: () => ofAccount(http.json("DELETE", "/account/totp")),
    async addPasskey(name) {
      const offer = await http.json<Challenge>("POST", "/account/passkeys/options", {});
      const credential = await createPasskey(offer.passkey);
      await ofAccount(http.json("POST", "/account/passkeys", { challenge: offer.challenge, name, credential }));
    },
    endPasskey: (id) => ofAccount(http.json("DELETE", `/account/passkeys/${path(id)}`)),
    endSession: (id) => ofAccount(http.json("DELETE", `/sessions/${path(id)}`)),
    async signOutEverywhere() {
      await http.json("DELETE", "/sessions");
      around.left();
    },
  };
}
