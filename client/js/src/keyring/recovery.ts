/** The recovery phrase and the wrap for it: docs/keys.md, *Recovery*. */
import { entropyToMnemonic, mnemonicToEntropy } from "@scure/bip39";
import { wordlist } from "@scure/bip39/wordlists/english.js";
import { base64url, concat, randomBytes, sameBytes, utf8, type Bytes } from "../crypto/bytes.ts";
import { hkdf, hmacSha256 } from "../crypto/hash.ts";
import { DeviceKey } from "../crypto/device-key.ts";
import { openBox, readWrapPayload, sealBox, type Unreadable, type WrapPayload } from "./format.ts";

const PHRASE_BYTES = 16;
const PROOF_BYTES = 32;

/** What a phrase comes to. */
export interface RecoveryKeys {
  key: DeviceKey;
  /** The key of the proof. */
  proof: Bytes;
}

/** Twelve words of BIP 39. */
export function makePhrase(entropy: Bytes = randomBytes(PHRASE_BYTES)): string {
  return entropyToMnemonic(entropy, wordlist);
}

/** Reads twelve words; `null` if they are not a phrase. Case and spaces do not matter. */
export function readPhrase(words: string): RecoveryKeys | null {
  let entropy: Uint8Array;
  try {
    entropy = mnemonicToEntropy(words.trim().toLowerCase().split(/\s+/).join(" "), wordlist);
  } catch {
    return null;
  }
  return entropy.length === PHRASE_BYTES ? recoveryKeys(entropy) : null;
}

export function recoveryKeys(entropy: Uint8Array): RecoveryKeys {
  return {
    key: DeviceKey.fromSecret(hkdf(entropy, undefined, "belfry recovery key", 32)),
    proof: hkdf(entropy, undefined, "belfry recovery proof", 32),
  };
}

/** Boxes the keyring key for the recovery key, with the proof in front that whoever made it knew the keyring. */
export function sealRecoveryWrap(payload: WrapPayload, from: DeviceKey, to: Bytes, proofKey: Bytes, nonce?: Bytes): Promise<Bytes> {
  const json = utf8(JSON.stringify(payload));
  const proof = hmacSha256(proofKey, concat(from.publicKey, json));
  return sealBox(concat(proof, json), from, to, nonce);
}

/** Opens it, or says why not; `without-proof`: whoever made it did not know the keyring. */
export async function openRecoveryWrap(wrap: Bytes, keys: RecoveryKeys): Promise<{ sender: string; payload: WrapPayload } | Unreadable | "without-proof"> {
  const opened = await openBox(wrap, keys.key);
  if (typeof opened === "string") return opened;
  if (opened.payload.length < PROOF_BYTES) return "without-proof";
  const json = opened.payload.subarray(PROOF_BYTES);
  const proof = hmacSha256(keys.proof, concat(opened.sender, json));
  if (!sameBytes(proof, opened.payload.subarray(0, PROOF_BYTES))) return "without-proof";
  const payload = readWrapPayload(json);
  return payload === null ? "malformed" : { sender: base64url(opened.sender), payload };
}
