import assert from "node:assert/strict";
import { test } from "node:test";
import { serverOrigin } from "../src/origin.js";

test("a server is an https origin, or this machine", () => {
  const check = (text: string, expected: string) => assert.equal(serverOrigin(text), expected, text);
  check("https://push.example.org", "https://push.example.org");
  check("  push.example.org ", "https://push.example.org");
  check("PUSH.example.org:8443", "https://push.example.org:8443");
  check("https://push.example.org/consent?a#b", "https://push.example.org");
  check("https://ada:secret@push.example.org", "https://push.example.org");
  check("localhost:8080", "http://localhost:8080");
  check("http://127.0.0.1:8080", "http://127.0.0.1:8080");
  check("[::1]:8080", "http://[::1]:8080");
  check("https://localhost", "https://localhost");
});

test("whatever else is typed is refused", () => {
  const check = (text: string) => assert.throws(() => serverOrigin(text), { name: "BelfryError", code: "server" }, text);
  check("");
  check("http://push.example.org");
  check("http://localhost.example.org");
  check("http://127.0.0.2");
  check("javascript:alert(1)");
  check("javascript://localhost/%0aalert(1)");
  check("data:text/html,a");
  check("ftp://push.example.org");
  check("file:///etc/passwd");
  check("two words");
  check("https://");
});
