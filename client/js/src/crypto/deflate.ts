/** DEFLATE without a header (RFC 1951), by the platform's streams. */
import { concat, type Bytes } from "./bytes.ts";

async function through(bytes: Bytes, stream: GenericTransformStream, bytesMax: number): Promise<Bytes | null> {
  const writer = (stream.writable as WritableStream<Uint8Array>).getWriter();
  // What it complains about is seen by the reader too.
  const written = writer.write(bytes).then(() => writer.close()).catch(() => undefined);
  const reader = (stream.readable as ReadableStream<Uint8Array>).getReader();
  const parts: Uint8Array[] = [];
  let length = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      length += value.length;
      if (length > bytesMax) {
        await reader.cancel().catch(() => undefined);
        return null;
      }
      parts.push(value);
    }
  } catch {
    return null;
  }
  await written;
  return concat(...parts);
}

/** Compresses. */
export async function deflate(bytes: Bytes): Promise<Bytes> {
  const compressed = await through(bytes, new CompressionStream("deflate-raw"), Infinity);
  if (compressed === null) throw new Error("the platform does not compress");
  return compressed;
}

/** `null` if it is not whole DEFLATE, or comes to more than `bytesMax`. */
export function inflate(bytes: Bytes, bytesMax: number): Promise<Bytes | null> {
  return through(bytes, new DecompressionStream("deflate-raw"), bytesMax);
}
