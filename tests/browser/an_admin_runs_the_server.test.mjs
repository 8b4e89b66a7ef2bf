// The life of an admin, from the link in the server's log on: who may not come in, what holds at once,
// and that all of it can be read afterwards and not be rewritten.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { promisify } from "node:util";
import { ADMIN_PASSWORD, Dashboard } from "./dashboard.mjs";
import { within } from "./browsers.mjs";
import { Person, Poster, post } from "./people.mjs";
import { aria, press, see, text, type, until } from "./sees.mjs";
import { inBrowsers } from "./stand.mjs";

const SITE = "https://news.example";
const HOST = "news.example";
const sitePage = `sites/${encodeURIComponent(SITE)}`;

/** What a banned user's connection may outlive the ban by. */
const WITHIN_MS = 1000;

/** Room for a site at full speed. */
const ROOMY = { LIMITS__PERMISSION_PER_MINUTE: "6000000", LIMITS__PERMISSION_BURST: "1000000", LIMITS__UNPROVEN_PER_SECOND: "100000", LIMITS__UNPROVEN_ADDRESS_PER_SECOND: "100000" };

/** Only in Chromium: what is tried here is the server and our own page, and none of it is a browser's own. */
const IN = { only: "chromium", site: false, settings: ROOMY };

inBrowsers("the set-up link makes the first admin, once", IN, async (stand) => {
  const { server } = stand;
  const profile = await stand.profile();
  const { page } = await Dashboard.setUp(profile, server);
  assert.ok(!page.url().includes("setup"), page.url());

  const other = await stand.profile("other");
  const second = await Dashboard.open(other, server, await server.setupLink());
  await type(second.page, "User name", "mallory");
  await type(second.page, "Password", ADMIN_PASSWORD);
  await press(second.page, "button", "Become the admin");
  await text(second.page, "This link has expired or was used.");

  assert.deepEqual([...profile.complaints(), ...other.complaints()], []);
});

inBrowsers("a site that posts at full speed is blocked from the next request on", IN, async (stand) => {
  const { server } = stand;
  const profile = await stand.profile();
  const dashboard = await Dashboard.setUp(profile, server);
  const ada = await Person.make(server, "ada");
  const endpoint = await ada.approves(SITE);
  const other = await ada.approves("https://quiet.example");

  const poster = new Poster(endpoint);
  await until("it posts", () => poster.posts.some(({ status }) => status === 201));
  await dashboard.go(sitePage, HOST);
  await dashboard.block(HOST, "Floods its users");
  const blocked = performance.now();
  await until("a post after the block is answered", () => poster.posts.some(({ begun }) => begun > blocked));
  await poster.stop();

  const after = poster.posts.filter(({ begun }) => begun > blocked).map(({ status }) => status);
  assert.deepEqual([...new Set(after)], [403]);
  assert.equal((await post(other)).status, 201, "another site of the same user");

  await dashboard.page.locator(aria("button", "Lift")).click();
  await text(dashboard.page, `${HOST} is no longer blocked`);
  assert.equal((await post(endpoint)).status, 201);
  assert.deepEqual(profile.complaints(), []);
});

inBrowsers("a banned user's live connection ends within a second, and the user is told why", IN, async (stand) => {
  const { server } = stand;
  const profile = await stand.profile();
  const dashboard = await Dashboard.setUp(profile, server);
  const ada = await Person.make(server, "ada");
  const device = await ada.connects();
  const closed = once(device, "close").then(() => performance.now());

  await dashboard.go(`users/${ada.id}`, "ada");
  await press(dashboard.page, "button", "Block ada");
  await text(dashboard.page, "1 live connection ends within a second.");
  await type(dashboard.page, "Reason", "Shares stolen endpoints");
  const submitted = performance.now();
  await dashboard.page.locator("dialog button[type=submit]").click();
  const took = (await within(closed, "the connection ends")) - submitted;
  stand.t.diagnostic(`from the press to the end of the connection ${Math.round(took)} ms`);
  assert.ok(took < WITHIN_MS, `${took} ms`);

  const answer = await ada.request("GET", "/v1/me");
  assert.equal(answer.status, 403);
  assert.match((await answer.json()).detail, /Shares stolen endpoints/);
  assert.deepEqual(profile.complaints(), []);
});

inBrowsers("a lowered quota is answered with 429 and its numbers", IN, async (stand) => {
  const { server } = stand;
  const profile = await stand.profile();
  const dashboard = await Dashboard.setUp(profile, server);
  const ada = await Person.make(server, "ada");
  const endpoint = await ada.approves(SITE);
  assert.equal((await post(endpoint)).status, 201);

  await dashboard.go(sitePage, HOST);
  await dashboard.ownLimits({ "Of a permission, per minute": "3", "Of a permission, at once": "2" });
  const { problem } = await until("a post is refused", async () => {
    const answer = await post(endpoint);
    return answer.status === 429 && answer;
  });
  assert.equal(problem.scope, "permission");
  assert.equal(problem.limit, 2, "at once");
  assert.equal(problem.used, 2);
  assert.ok(Date.parse(problem.resets) > Date.now() - 1000, problem.resets);
  assert.deepEqual(profile.complaints(), []);
});

inBrowsers("a viewer looks and changes nothing", IN, async (stand) => {
  const { server } = stand;
  const profile = await stand.profile();
  const dashboard = await Dashboard.setUp(profile, server);
  const ada = await Person.make(server, "ada");
  await ada.approves(SITE);
  await dashboard.createUser("vera", "viewer");

  const hers = await stand.profile("viewer");
  const viewer = await Dashboard.open(hers, server);
  await viewer.signIn("vera");
  await see(viewer.page, "heading", "Overview");
  const writing = async (who) => (await who.buttons()).filter((name) => /^(Block|Change|Register|Create|Invite|Make|Import|Lift|Edit|End|Remove|Reset|Disconnect)/.test(name));
  assert.deepEqual((await writing(dashboard)).sort(), ["Create a user", "Invite link"]);
  for (const [where, heading] of [["sites", "Sites"], [sitePage, HOST], ["users", "Users"], [`users/${ada.id}`, "ada"], ["bans", "Bans"], ["limits", "Limits and retention"], ["audit", "Audit"], ["tokens", "Tokens"]]) {
    await viewer.go(where, heading);
    assert.deepEqual(await writing(viewer), [], where);
  }
  for (const [method, path, body] of [
    ["POST", "/bans", { kind: "site", value: SITE, reason: "", ends: null }],
    ["PUT", "/limits", { "limits.site_per_second": 1 }],
    ["PUT", `/users/${ada.id}/role`, { role: "admin" }],
    ["PUT", `/sites/${encodeURIComponent(SITE)}/limits`, { site_per_second: 1 }],
    ["POST", `/users/${ada.id}/disconnect`],
    ["POST", "/tokens", { name: "mine", role: "admin", ends: null }],
  ]) {
    const { status, problem } = await viewer.asks(method, path, body);
    assert.equal(status, 403, `${method} ${path}`);
    assert.match(problem.type, /viewer$/);
  }
  assert.deepEqual([...profile.complaints(), ...hers.complaints()], []);
});

inBrowsers("the audit log has each act, and shows a row that was tampered with", IN, async (stand) => {
  const { server } = stand;
  const profile = await stand.profile();
  const dashboard = await Dashboard.setUp(profile, server);
  const { page } = dashboard;
  const ada = await Person.make(server, "ada");
  await ada.approves(SITE);
  await dashboard.go(sitePage, HOST);
  await dashboard.block(HOST, "Floods its users");
  await dashboard.ownLimits({ "Notifications per second": "5" });
  await dashboard.createUser("vera", "viewer");

  await dashboard.go("audit", "Audit");
  for (const act of ["Set the server up", "Blocked", "Changed a site’s limits", "Created a user"]) await text(page, act);
  await press(page, "button", "Verify the chain");
  await text(page, "each fits to the one before it.");

  const row = await page.$$eval("tr[data-id]", (rows) => rows.find((one) => one.innerText.includes("Blocked")).dataset.id);
  await tamper(server, `UPDATE audit SET actor = 'mallory' WHERE n = ${Number(row)}`);
  await press(page, "button", "Verify the chain");
  await text(page, `Row ${row} does not fit to the one before it`);
  assert.deepEqual(profile.complaints(), []);
});

/** What somebody with the server's disk could do, behind the program's back. */
async function tamper(server, sql) {
  const program = "import sqlite3, sys; db = sqlite3.connect(sys.argv[1], timeout=10); changed = db.execute(sys.argv[2]).rowcount; db.commit(); print(changed)";
  const { stdout } = await promisify(execFile)("python3", ["-c", program, join(server.data, "directory.sqlite"), sql]);
  assert.equal(stdout.trim(), "1");
}
