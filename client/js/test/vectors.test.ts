/** The vectors that the Rust SDK made: what one seals the other opens, and both judge alike. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { openAes128gcm } from "../src/body/aes128gcm.ts";
import { openCryptoBox } from "../src/body/crypto-box.ts";
import { base64url, fromBase64url, fromUtf8, utf8, type Bytes } from "../src/crypto/bytes.ts";
import { DeviceKey, fingerprintOf } from "../src/crypto/device-key.ts";
import { openKeyring, openWrap, sealBox, sealKeyring, type KeyringContents } from "../src/keyring/format.ts";
import { judge, judgeLinked, judgeRecovered, type Judgement } from "../src/keyring/judge.ts";
import { linkCode, linkKeys, openLinkAnswer, openLinkRequest, readLinkCode, sealLinkMessage, type LinkAnswerPayload } from "../src/keyring/link.ts";
import { canonicalJson, mergeKeyrings, sameContents } from "../src/keyring/merge.ts";
import { makePhrase, openRecoveryWrap, readPhrase, sealRecoveryWrap } from "../src/keyring/recovery.ts";

type Texts = Record<string, string>;
type Expected = { taken: KeyringContents; keyringKey: string } | { refused: string };
interface Vectors {
  fingerprints: Texts[];
  keyrings: { name: string; keyring: KeyringContents; keyringKey: string; sealed: string }[];
  wraps: Texts[];
  phrases: { good: (Texts & { alsoRead: string[]; wrap: Texts })[]; refused: string[] };
  links: { good: (Texts & { alsoRead: string[] })[]; refused: Texts[] };
  linkMessages: { request: Texts; answer: Texts };
  merges: { name: string; local: KeyringContents; remote: KeyringContents; merged: KeyringContents; differsFromRemote: boolean; now: number }[];
  judgements: { name: string; local: KeyringContents; localKeyringKey: string; deviceSecret: string; sealed: string; wrap: string | null; expected: Expected }[];
  linkJudgements: { name: string; user: string; device: string; deviceSecret: string; answer: LinkAnswerPayload; sealed: string; wrap: string; expected: Expected }[];
  recoveryJudgements: { name: string; user: string; words: string; sealed: string; wrap: string; expected: Expected }[];
  bodies: Texts[];
}

const vectors = JSON.parse(readFileSync(new URL("../../vectors/keys.json", import.meta.url), "utf8")) as Vectors;
const bytes = (text: string | undefined): Bytes => fromBase64url(text) ?? assert.fail(`not base64url: ${text}`);
const device = (secret: string | undefined): DeviceKey => DeviceKey.fromSecret(bytes(secret));

function assertJudged(name: string, judged: Judgement, expected: Expected): void {
  const told = "refused" in judged ? judged : { taken: judged.contents, keyringKey: base64url(judged.key) };
  assert.deepEqual(told, expected, name);
}

test("public keys and fingerprints are the same", () => {
  for (const { secret, key, fingerprint } of vectors.fingerprints) {
    assert.equal(base64url(device(secret).publicKey), key);
    assert.equal(fingerprintOf(key!), fingerprint);
  }
});

test("keyrings that were sealed there open here, and what is sealed here opens", async () => {
  assert.ok(vectors.keyrings.length > 0);
  for (const { name, keyring, keyringKey, sealed } of vectors.keyrings) {
    assert.deepEqual(await openKeyring(bytes(sealed), bytes(keyringKey)), keyring, name);
    const again = await sealKeyring(keyring, bytes(keyringKey));
    assert.deepEqual(await openKeyring(again, bytes(keyringKey)), keyring, name);
    assert.equal((again.length - 1 - 24 - 16) % 1024, 0, "padded");
  }
});

test("wraps are the same to the byte", async () => {
  assert.ok(vectors.wraps.length > 0);
  for (const vector of vectors.wraps) {
    const wrap = await sealBox(utf8(vector["payload"]!), device(vector["senderSecret"]), bytes(vector["recipientKey"]), bytes(vector["nonce"]));
    assert.equal(base64url(wrap), vector["wrap"], vector["name"]);
    const opened = await openWrap(wrap, device(vector["recipientSecret"]));
    assert.deepEqual(opened, { sender: vector["senderKey"], payload: JSON.parse(vector["payload"]!) as unknown });
    const { user, key, epoch, generation } = (opened as { payload: Record<string, unknown> }).payload;
    assert.deepEqual({ user, key, epoch, generation }, { user: vector["user"], key: vector["keyringKey"], epoch: vector["epoch"], generation: vector["generation"] });
  }
});

test("recovery phrases come to the same keys and wraps", async () => {
  for (const { words, entropy, alsoRead, recoveryKey, proofKey, wrap } of vectors.phrases.good) {
    assert.equal(makePhrase(bytes(entropy)), words);
    for (const text of [words!, ...alsoRead]) {
      const keys = readPhrase(text) ?? assert.fail(`not read: ${text}`);
      assert.equal(base64url(keys.key.publicKey), recoveryKey);
      assert.equal(base64url(keys.proof), proofKey);
    }
    const payload = JSON.parse(wrap["payload"]!) as { user: string; epoch: number; generation: number; key: string };
    const sealed = await sealRecoveryWrap(payload, device(wrap["senderSecret"]), bytes(recoveryKey), bytes(proofKey), bytes(wrap["nonce"]));
    assert.equal(base64url(sealed), wrap["wrap"]);
    assert.deepEqual(await openRecoveryWrap(sealed, readPhrase(words!)!), { sender: wrap["senderKey"], payload });
  }
  for (const words of vectors.phrases.refused) assert.equal(readPhrase(words), null, words);
});

test("link codes and what is derived from them are the same, and a slip is noticed", () => {
  for (const { secret, code, place, requestKey, answerKey, alsoRead } of vectors.links.good) {
    assert.equal(linkCode(bytes(secret)), code);
    const keys = linkKeys(bytes(secret));
    assert.deepEqual([keys.place, base64url(keys.request), base64url(keys.answer)], [place, requestKey, answerKey]);
    for (const text of [code!, ...alsoRead]) assert.equal(base64url(readLinkCode(text) ?? assert.fail(text)), secret, text);
  }
  assert.ok(vectors.links.refused.length > 0);
  for (const { text } of vectors.links.refused) assert.equal(readLinkCode(text!), null, text);
});

test("the messages of linking are the same to the byte", () => {
  const { request, answer } = vectors.linkMessages;
  const [asked, answered] = [linkKeys(bytes(request["secret"])).request, linkKeys(bytes(answer["secret"])).answer];
  const [requestPayload, answerPayload] = [openLinkRequest(bytes(request["message"]), asked), openLinkAnswer(bytes(answer["message"]), answered)];
  assert.deepEqual(requestPayload, JSON.parse(request["json"]!));
  assert.deepEqual(answerPayload, JSON.parse(answer["json"]!));
  assert.equal(base64url(sealLinkMessage(requestPayload!, asked, bytes(request["nonce"]))), request["message"]);
  assert.equal(base64url(sealLinkMessage(answerPayload!, answered, bytes(answer["nonce"]))), answer["message"]);
  assert.equal(openLinkRequest(bytes(request["messageThatDoesNotOpen"]), asked), null);
  assert.equal(openLinkAnswer(bytes(answer["messageThatDoesNotOpen"]), answered), null);
});

for (const { name, local, remote, merged, differsFromRemote, now } of vectors.merges) {
  test(`merge: ${name}`, () => {
    const joined = mergeKeyrings(local, remote, now);
    assert.equal(canonicalJson(joined), canonicalJson(merged));
    assert.equal(!sameContents(joined, remote), differsFromRemote);
    assert.equal(canonicalJson(mergeKeyrings(joined, remote, now)), canonicalJson(joined), "merged once more it stays");
  });
}

for (const { name, local, localKeyringKey, deviceSecret, sealed, wrap, expected } of vectors.judgements) {
  test(`judgement: ${name}`, async () => {
    const boxed = wrap === null ? null : bytes(wrap);
    const judged = await judge({ contents: local, key: bytes(localKeyringKey) }, device(deviceSecret), bytes(sealed), () => Promise.resolve(boxed));
    assertJudged(name, judged, expected);
  });
}

for (const { name, user, device: id, deviceSecret, answer, sealed, wrap, expected } of vectors.linkJudgements) {
  test(`linking: ${name}`, async () => {
    assertJudged(name, await judgeLinked({ user, device: id, key: device(deviceSecret) }, answer, bytes(wrap), bytes(sealed)), expected);
  });
}

for (const { name, user, words, sealed, wrap, expected } of vectors.recoveryJudgements) {
  test(`recovery: ${name}`, async () => {
    assertJudged(name, await judgeRecovered(user, readPhrase(words)!, bytes(wrap), bytes(sealed)), expected);
  });
}

test("the bodies of the vectors open", async () => {
  for (const body of vectors.bodies) {
    const text = body["encoding"] === "aes128gcm"
      ? await openAes128gcm(bytes(body["body"]), { p256: bytes(body["p256"]), auth: bytes(body["auth"]) })
      : openCryptoBox(bytes(body["body"]), bytes(body["siteKey"]), bytes(body["x25519"]));
    assert.equal(fromUtf8(text!), body["text"]);
  }
});
