// The main job, from the account to the revocation, as a user and a site live it.
import assert from "node:assert/strict";
import { Console, subscribe } from "./console.mjs";
import { press, see, text } from "./sees.mjs";
import { inBrowsers } from "./stand.mjs";

/** Seconds are for machines under load; what it took is printed. */
const SEEN_WITHIN_MS = 5000;

inBrowsers("a user is notified on each of their devices until they revoke", {}, async (stand) => {
  const { server, site } = stand;
  const host = site.origin;

  const first = await stand.profile("first");
  let a = await Console.open(first, server);
  await a.signUp();

  const sitePage = await subscribe(stand, first);
  assert.equal((await site.subscriptions()).length, 1);

  await a.page.bringToFront();
  const sent = performance.now();
  const answer = await site.send({ title: "Hello", body: "Encrypted all the way" });
  assert.equal(answer.status, 201);
  await a.sees("Hello");
  const took = Math.round(performance.now() - sent);
  stand.t.diagnostic(`${stand.kind}: from the site's post to the decrypted notification on the page ${took} ms`);
  assert.ok(took < SEEN_WITHIN_MS, `${took} ms`);
  await text(a.page, "Encrypted all the way");

  await a.page.close();
  for (const title of ["One", "Two", "Three"]) assert.equal((await site.send({ title })).status, 201);
  a = await Console.open(first, server);
  await a.shows("Three", "Two", "One", "Hello");

  const second = await stand.profile("second");
  const b = await Console.open(second, server);
  await b.signIn();
  await see(b.page, "heading", "Link this browser");
  await a.linkDevice(await b.linkCode());
  await b.isConnected();
  await b.shows("Three", "Two", "One", "Hello");
  await a.go("Inbox");
  await site.send({ title: "For both" });
  await Promise.all([a.sees("For both"), b.sees("For both")]);

  await a.dismiss("Two");
  await Promise.all([a.seesNoMore("Two"), b.seesNoMore("Two")]);
  await b.shows("For both", "Three", "One", "Hello");

  await a.revoke(host);
  await sitePage.bringToFront();
  await press(sitePage, "button", "Send");
  await text(sitePage, "410: the user took the permission back");
  assert.deepEqual(await site.subscriptions(), []);
  await b.shows();

  assert.deepEqual([...first.complaints(), ...second.complaints()], []);
});

inBrowsers("with a pinned key only what the site sealed is shown", {}, async (stand) => {
  const { server, site } = stand;
  const profile = await stand.profile();
  const console = await Console.open(profile, server);
  await console.signUp();
  await subscribe(stand, profile, { sealed: true });
  await console.page.bringToFront();
  await site.send({ title: "Not sealed" }, { sealed: false });
  await site.send({ title: "Sealed" });
  await console.shows("Sealed");
  await text(console.page, "1 notification could not be opened on this device");
});
