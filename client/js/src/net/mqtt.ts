/** MQTT 5.0 over WebSocket by mqtt.js, which is loaded when it is first needed. */
import type { IClientOptions, IConnackPacket, IDisconnectPacket, MqttClient } from "mqtt";
import { DialFailed, type Dial, type DialOptions, type Ending, type Wire } from "./wire.ts";

/** The server keeps a session no longer. */
const SESSION_EXPIRY_SECONDS = 30 * 24 * 60 * 60;
/** mqtt.js looks every half of it, and timers of a page in the background run once a minute: then it still comes in time. */
const KEEP_ALIVE_SECONDS = 60;
const CONNECT_MS = 15_000;
/** Each is stored before it is acknowledged, so a few at a time are enough. */
const RECEIVE_MAXIMUM = 32;
const PACKET_BYTES_MAX = 64 * 1024;

function settings(options: DialOptions): IClientOptions {
  return {
    protocolVersion: 5,
    clientId: options.clientId,
    username: options.username,
    password: options.password,
    clean: options.clean,
    keepalive: KEEP_ALIVE_SECONDS,
    // When to connect again is decided in line.ts.
    reconnectPeriod: 0,
    connectTimeout: CONNECT_MS,
    resubscribe: false,
    // The other choice begins a worker from a blob: URL, which a strict Content-Security-Policy forbids.
    timerVariant: "native",
    properties: { sessionExpiryInterval: SESSION_EXPIRY_SECONDS, receiveMaximum: RECEIVE_MAXIMUM, maximumPacketSize: PACKET_BYTES_MAX },
  };
}

function takeMessages(client: MqttClient, onMessage: DialOptions["onMessage"]): void {
  client.handleMessage = (packet, done) => {
    const payload = typeof packet.payload === "string" ? new TextEncoder().encode(packet.payload) : new Uint8Array(packet.payload);
    onMessage({ topic: packet.topic, payload, retained: packet.retain }).then(
      () => {
        done();
      },
      () => {
        // Not acknowledged: it comes again on the next connection.
        client.end(true);
      },
    );
  };
}

function wire(client: MqttClient, sessionPresent: boolean, ended: Promise<Ending>): Wire {
  const orEnded = <T>(work: Promise<T>): Promise<T> =>
    Promise.race([
      work,
      ended.then((ending) => {
        throw new DialFailed(ending);
      }),
    ]);
  return {
    sessionPresent,
    ended,
    async subscribe(filters) {
      const map = Object.fromEntries(filters.map(({ filter, qos, noLocal }) => [filter, { qos, nl: noLocal === true }]));
      const granted = await orEnded(client.subscribeAsync(map));
      const refused = granted.find(({ qos }) => qos > 2);
      if (refused !== undefined) throw new Error(`the filter ${refused.topic} is refused (0x${refused.qos.toString(16)})`);
    },
    async unsubscribe(filters) {
      if (filters.length > 0) await orEnded(client.unsubscribeAsync(filters));
    },
    async publish(topic, payload, options = {}) {
      // mqtt.js takes any Uint8Array, but its types name only Node's.
      const bytes = payload as string | Buffer;
      const properties = options.expirySeconds === undefined ? {} : { properties: { messageExpiryInterval: options.expirySeconds } };
      await orEnded(client.publishAsync(topic, bytes, { qos: 1, retain: options.retain === true, ...properties }));
    },
    async end() {
      await client.endAsync();
    },
  };
}

/** Connects. */
export const dialMqtt: Dial = async (options) => {
  const { connect } = await import("mqtt").then((module) => ("connect" in module ? module : (module as { default: typeof import("mqtt") }).default));
  const client = connect(options.url, settings(options));
  takeMessages(client, options.onMessage);
  let code: number | null = null;
  let opened = false;
  const ended = new Promise<Ending>((resolve) => {
    client.on("error", (error) => {
      if (!opened && "code" in error && typeof error.code === "number") code = error.code;
      client.end(true);
    });
    client.on("disconnect", (packet: IDisconnectPacket) => {
      code = packet.reasonCode ?? 0;
    });
    client.on("close", () => {
      client.end(true);
      resolve({ why: code === null ? "lost" : opened ? "disconnected" : "refused", code });
    });
  });
  return new Promise<Wire>((resolve, reject) => {
    client.on("connect", (packet: IConnackPacket) => {
      opened = true;
      resolve(wire(client, packet.sessionPresent, ended));
    });
    void ended.then((ending) => {
      reject(new DialFailed(ending));
    });
  });
};
