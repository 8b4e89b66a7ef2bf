// Pages of other parties: sites that ask in the wrong way, and frames that should stay empty. It counts
// what is fetched from it.
import { createServer } from "node:http";
import { once } from "node:events";

/** Says nothing by itself; the test makes it speak. */
const SILENT = `<!doctype html><meta charset="utf-8"><title>Stranger</title><link rel="icon" href="data:,">
<h1>A stranger's page</h1><button id="open">Open</button>
<script>
  window.heard = [];
  addEventListener("message", ({ origin, data }) => heard.push({ origin, data }));
  document.getElementById("open").onclick = () => (window.consent = window.open(window.address, "_blank", "popup,width=480,height=720"));
</script>`;

export class Strangers {
  static async start() {
    const strangers = new Strangers();
    strangers.fetched = [];
    strangers.server = createServer((request, response) => {
      const { pathname, searchParams } = new URL(request.url, "http://stranger.invalid");
      strangers.fetched.push(pathname);
      const html =
        pathname === "/frames"
          ? `<!doctype html><title>Frames</title><iframe src="${searchParams.get("of")}"></iframe>`
          : SILENT;
      response.writeHead(200, { "Content-Type": "text/html" }).end(html);
    });
    strangers.server.listen(0, "127.0.0.1");
    await once(strangers.server, "listening");
    strangers.port = strangers.server.address().port;
    return strangers;
  }

  /** Of a host that leads here: `localhost`, `127.0.0.1`, or `site.test`, which is not taken for this machine. */
  origin(host = "localhost") {
    return `http://${host}:${this.port}`;
  }

  stop() {
    this.server.closeAllConnections();
    this.server.close();
  }
}
