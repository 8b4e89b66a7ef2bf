import type { Model } from "../model.ts";
export function openModel(): Promise<Model> { return Promise.reject(new Error("not yet")); }
