// A receiver of webhooks over HTTPS that believes only what npm standardwebhooks verifies.
//
// arguments: certificate, key, port (0: any)
// stdin:     one line, the secret; then it answers 204 to what verifies and 400 to what does not
// stdout:    {"port"}, then a line for each request: {"id", "event"} or {"refused"}
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { Webhook } from "standardwebhooks";

const [cert, key, port] = process.argv.slice(2);
const say = (line) => console.log(JSON.stringify(line));
const secret = new Promise((resolve) => createInterface(process.stdin).once("line", resolve));

const server = createServer({ cert: readFileSync(cert), key: readFileSync(key) }, async (request, response) => {
  const body = await text(request);
  try {
    const event = new Webhook(await secret).verify(body, request.headers);
    say({ id: request.headers["webhook-id"], event });
    response.writeHead(204).end();
  } catch (error) {
    say({ refused: String(error) });
    response.writeHead(400).end();
  }
});
server.listen(Number(port), "127.0.0.1", () => say({ port: server.address().port }));
