// Serves built pages as the server does, with the same headers, and passes everything else on to a
// belfry that runs beside it. For development and for looking at pages; never for use.

import { readFile } from "node:fs/promises";
import { createServer, request } from "node:http";
import { connect } from "node:net";
import { extname, join, normalize } from "node:path";
import { pipeline } from "node:stream";

const CSP = [
  "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data:", "connect-src 'self'", "font-src 'self'",
  "manifest-src 'self'", "worker-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
  "require-trusted-types-for 'script'", "trusted-types belfry",
].join("; ");
const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml", ".png": "image/png", ".webmanifest": "application/manifest+json" };
const PASSED_ON = /^\/(v1|push|mqtt|sdk|healthz|readyz|metrics|openapi\.json|docs|admin)(\/|$|\?)/;
const CONSOLE = { "/": "/index.html", "/consent": "/consent.html" };

function headers(path) {
  return {
    "Content-Type": TYPES[extname(path)] ?? "application/octet-stream",
    "Content-Security-Policy": CSP,
    "Cross-Origin-Opener-Policy": path === "/consent.html" ? "unsafe-none" : "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": path.includes("/assets/") ? "public, max-age=31536000, immutable" : "no-cache",
  };
}

/**
 * `upstream`: host and port of a belfry, or null where there is none. `pages`: addresses without an
 * extension, and their files; whatever lies under `base` is looked for in `dist`. Answers the server, listening.
 */
export function serve({ dist, upstream, port, pages = CONSOLE, base = "" }) {
  const server = createServer(async (req, res) => {
    const path = normalize(new URL(req.url, "http://x").pathname);
    const own = base && path.startsWith(`${base}/`) ? path.slice(base.length) : base ? null : path;
    const file = pages[path] ?? own;
    const asks = PASSED_ON.test(req.url) && !pages[path] && (own === null || base === "" || own.startsWith("/v1/"));
    if (asks || file === null) return upstream ? passOn(req, res, upstream) : res.writeHead(503).end();
    try {
      const body = await readFile(join(dist, file));
      res.writeHead(200, headers(file)).end(body);
    } catch {
      res.writeHead(404).end();
    }
  });
  server.on("upgrade", (req, socket, head) => {
    if (!upstream) return socket.destroy();
    const [host, upstreamPort] = upstream.split(":");
    const far = connect(Number(upstreamPort), host, () => {
      const lines = [`${req.method} ${req.url} HTTP/1.1`];
      for (let at = 0; at < req.rawHeaders.length; at += 2) lines.push(`${req.rawHeaders[at]}: ${req.rawHeaders[at + 1]}`);
      far.write(`${lines.join("\r\n")}\r\n\r\n`);
      far.write(head);
      socket.pipe(far).pipe(socket);
    });
    far.on("error", () => socket.destroy());
    socket.on("error", () => far.destroy());
  });
  return new Promise((resolve) => server.listen(port, "127.0.0.1", () => resolve(server)));
}

function passOn(req, res, upstream) {
  const [host, port] = upstream.split(":");
  const far = request({ host, port, path: req.url, method: req.method, headers: req.headers }, (answer) => {
    res.writeHead(answer.statusCode, answer.headers);
    // A feed that breaks off there breaks off here too.
    pipeline(answer, res, () => undefined);
  });
  far.on("error", () => res.writeHead(502).end());
  req.pipe(far);
}
