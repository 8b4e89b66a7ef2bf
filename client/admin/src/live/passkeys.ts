//! Passkeys between the server's JSON and the browser. The conversion is done here, since not every
//! browser that has passkeys can do it by itself yet.

import { base64urlOf, bytesOf } from "belfry-ui/rules/bytes.ts";
import { Failure } from "../model.ts";
import { text } from "../text.ts";

type Json = Record<string, unknown>;

/** The credential of a sign-in, as `PublicKeyCredential.toJSON` has it. */
export async function getPasskey(options: unknown): Promise<Json> {
  return ask(() => navigator.credentials.get({ publicKey: decoded(options) as unknown as PublicKeyCredentialRequestOptions }));
}

/** The credential of a new passkey. */
export async function createPasskey(options: unknown): Promise<Json> {
  return ask(() => navigator.credentials.create({ publicKey: decoded(options) as unknown as PublicKeyCredentialCreationOptions }));
}

async function ask(work: () => Promise<Credential | null>): Promise<Json> {
  let credential: Credential | null;
  try {
    credential = await work();
  } catch {
    // Cancelled, timed out, or none there: the browser does not say which, so that no page learns it.
    throw new Failure("refused", text.account.passkeyRefused);
  }
  if (!(credential instanceof PublicKeyCredential)) throw new Failure("refused", text.account.passkeyRefused);
  return encoded(credential);
}

/** Where the options have bytes: the challenge, the user's id, the ids of credentials. */
export function decoded(options: unknown): Json {
  const given = options as Json;
  const inner = (given["publicKey"] ?? given) as Json;
  const listed = (name: string) => (Array.isArray(inner[name]) ? { [name]: (inner[name] as Json[]).map((one) => ({ ...one, id: bytes(one["id"]) })) } : {});
  const user = inner["user"] as Json | undefined;
  return { ...inner, challenge: bytes(inner["challenge"]), ...(user ? { user: { ...user, id: bytes(user["id"]) } } : {}), ...listed("allowCredentials"), ...listed("excludeCredentials") };
}

function bytes(value: unknown): Uint8Array {
  const found = typeof value === "string" ? bytesOf(value.replace(/=+$/, "")) : null;
  if (!found) throw new Failure("other", text.wrong);
  return found;
}

function encoded(credential: PublicKeyCredential): Json {
  const response = credential.response as AuthenticatorAttestationResponse & AuthenticatorAssertionResponse;
  const part = (name: keyof typeof response) => {
    const value = response[name] as unknown;
    return value instanceof ArrayBuffer ? { [name]: base64urlOf(value) } : {};
  };
  return {
    id: credential.id,
    rawId: base64urlOf(credential.rawId),
    type: credential.type,
    authenticatorAttachment: credential.authenticatorAttachment,
    clientExtensionResults: credential.getClientExtensionResults(),
    response: {
      ...part("clientDataJSON"), ...part("attestationObject"), ...part("authenticatorData"), ...part("signature"), ...part("userHandle"),
      // What is new says its key too, so that nobody has to read it out of CBOR.
      ...(typeof response.getPublicKey === "function" ? { publicKey: base64urlOf(response.getPublicKey() ?? new ArrayBuffer(0)), authenticatorData: base64urlOf(response.getAuthenticatorData()) } : {}),
      ...(typeof response.getTransports === "function" ? { transports: response.getTransports() } : {}),
    },
  };
}
