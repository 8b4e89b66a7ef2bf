// A device on npm mqtt (mqtt.js). README.md has its argument and its output.
import mqtt from "mqtt";

const plan = JSON.parse(process.argv[2]);
const version5 = plan.protocolVersion === 5;
let connected = false;
let subscribed = plan.filters.length === 0;
let received = 0;
let leaving = false;

const client = mqtt.connect(plan.url, {
  protocolVersion: plan.protocolVersion,
  clientId: plan.clientId,
  username: plan.username,
  password: plan.password,
  clean: plan.clean,
  keepalive: 30,
  connectTimeout: 10_000,
  reconnectPeriod: 0,
  resubscribe: false,
  properties: version5
    ? { sessionExpiryInterval: plan.sessionExpiry ?? 0, receiveMaximum: plan.receiveMaximum ?? 65_535 }
    : undefined,
});

client.on("connect", ({ sessionPresent }) => {
  print({ event: "connected", sessionPresent });
  connected = true;
  if (plan.filters.length > 0) client.subscribe(plan.filters, { qos: 1 }, () => {});
  leaveWhenDone();
});

client.on("packetreceive", (packet) => {
  if (packet.cmd !== "suback") return;
  print({ event: "subscribed", granted: packet.granted });
  subscribed = true;
  leaveWhenDone();
});

// The library sends the PUBACK when `acknowledge` is called: exactly what is printed is
// acknowledged, and what still comes while leaving stays owed.
client.handleMessage = ({ topic, payload, qos, dup, retain, properties }, acknowledge) => {
  if (leaving) return;
  print({ event: "message", topic, payload: payload.toString(), qos, dup, retain, properties });
  received += 1;
  acknowledge();
  leaveWhenDone();
};

client.on("disconnect", ({ reasonCode }) => print({ event: "disconnect", reasonCode }));
client.on("error", (error) => {
  if (!leaving) fail(error.message, error.code);
});
client.on("close", () => {
  if (!leaving) fail("the server closed the connection");
  process.exit(0);
});

function leaveWhenDone() {
  if (leaving || !connected || !subscribed || received < plan.count) return;
  leaving = true;
  client.end();
}

function fail(message, code) {
  print({ event: "error", message, code });
  process.exit(1);
}

function print(line) {
  console.log(JSON.stringify(line));
}
