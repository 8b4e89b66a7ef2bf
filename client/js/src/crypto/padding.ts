/** ISO/IEC 7816-4: a byte 0x80, then zeros to a multiple of the block. */
import type { Bytes } from "./bytes.ts";

/** At least one byte is added. */
export function pad(text: Uint8Array, block: number): Bytes {
  const padded = new Uint8Array((Math.floor(text.length / block) + 1) * block);
  padded.set(text);
  padded[text.length] = 0x80;
  return padded;
}

/** `null` if it is not padded so, or with more than it needs: one text has one padded form. */
export function unpad(padded: Bytes, block: number): Bytes | null {
  let end = padded.length - 1;
  while (end >= 0 && padded[end] === 0) end--;
  if (padded[end] !== 0x80 || padded.length % block !== 0 || padded.length - end > block) return null;
  return padded.subarray(0, end);
}
