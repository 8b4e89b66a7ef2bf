// The whole backend of a site that notifies: it hands out its keys, takes subscriptions, and sends.
// Everything is in memory, so it forgets all when it stops.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";
import { Sender } from "./sender.mjs";
import { Subscriptions } from "./subscriptions.mjs";

/** Far more than a subscription or a notification is. */
const BODY_BYTES_MAX = 16 * 1024;

const sender = new Sender();
const subscriptions = new Subscriptions();

const file = (url, type) => ({ body: readFileSync(url), type });
const local = (path) => new URL(path, import.meta.url);
const FILES = {
  "/": file(local("public/index.html"), "text/html; charset=utf-8"),
  "/page.js": file(local("public/page.js"), "text/javascript; charset=utf-8"),
  "/page.css": file(local("public/page.css"), "text/css; charset=utf-8"),
  // A copy of our own: a script from elsewhere could do all that this page can.
  "/belfry.js": file(fileURLToPath(import.meta.resolve("@belfry/site/site.js")), "text/javascript; charset=utf-8"),
};

// As strict as a policy gets; the script needs no exception.
const HEADERS = {
  "Content-Security-Policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; " +
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
  // Not `same-origin`, which would cut the consent window off from this page.
  "Cross-Origin-Opener-Policy": "same-origin-allow-popups",
  "Referrer-Policy": "no-referrer",
  "X-Content-Type-Options": "nosniff",
  "Cache-Control": "no-cache",
};

const ROUTES = {
  "GET /keys": () => ({
    applicationServerKey: sender.applicationServerKey,
    siteKey: sender.siteKey,
    // Where the site belongs to one server, such as a company's own; else the user is asked.
    server: process.env.BELFRY_SERVER ?? null,
  }),
  "GET /subscriptions": () => subscriptions.list(),
  "POST /subscriptions": ({ subscription, sealed }) => subscriptions.add(subscription, sealed === true),
  "POST /send": async ({ id, notification, options }) => {
    const entry = subscriptions.get(id);
    const answer = await sender.send(entry, notification, options);
    // 410: the user took the permission back. 404: there is no such endpoint. Neither ever comes back.
    const gone = answer.status === 410 || answer.status === 404;
    if (gone) subscriptions.drop(id);
    return { ...answer, dropped: gone };
  },
};

async function answer(request) {
  const path = new URL(request.url, "http://site.invalid").pathname;
  if (request.method === "GET" && FILES[path]) return { status: 200, ...FILES[path] };
  const route = ROUTES[`${request.method} ${path}`];
  if (!route) return json(404, { error: "There is no such page" });
  if (request.method === "POST" && request.headers["content-type"] !== "application/json") {
    // A form of another site can post here, but not with this type.
    return json(415, { error: "Send application/json" });
  }
  try {
    return json(200, await route(request.method === "POST" ? await read(request) : undefined));
  } catch (error) {
    return json(400, { error: error.message });
  }
}

async function read(request) {
  const chunks = [];
  let bytes = 0;
  for await (const chunk of request) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX) throw new Error("That is too much");
    chunks.push(chunk);
  }
  return JSON.parse(Buffer.concat(chunks).toString());
}

function json(status, value) {
  return { status, type: "application/json", body: JSON.stringify(value) };
}

const server = createServer(async (request, response) => {
  const { status, type, body } = await answer(request);
  response.writeHead(status, { ...HEADERS, "Content-Type": type }).end(body);
});

server.listen(Number(process.env.PORT ?? 3000), "127.0.0.1", () => {
  console.log(`The example site is at http://localhost:${server.address().port}`);
});
