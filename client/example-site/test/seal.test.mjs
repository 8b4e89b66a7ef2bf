import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { sealFor, SiteKey } from "../seal.mjs";

test("the example of docs/encryption.md comes out to the byte", () => {
  const page = readFileSync(new URL("../../../docs/encryption.md", import.meta.url), "utf8");
  const examples = [...page.matchAll(/```json\n(.*?)```/gs)].map(([, text]) => JSON.parse(text));
  const example = examples.find(({ encoding }) => encoding === "crypto-box");
  const siteKey = new SiteKey(new Uint8Array(Buffer.from(example.siteSecret, "base64url")));
  assert.equal(siteKey.public, example.siteKey);
  const body = sealFor(example.x25519Public, siteKey, example.text, new Uint8Array(24).fill(3));
  assert.equal(body.toString("base64url"), example.body);
});
