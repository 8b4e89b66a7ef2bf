import type { Model } from "../model.ts";
export function openModel(_options: { connect?: boolean } = {}): Promise<Model> {
  throw new Error("not yet");
}
