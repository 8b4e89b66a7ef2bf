//! The model that the pages are drawn from, by context, so that no page makes its own.

import { createContext } from "preact";
import { useContext } from "preact/hooks";
import type { Model } from "../model.ts";

const Context = createContext<Model | null>(null);
export const ModelProvider = Context.Provider;

export function useModel(): Model {
  const model = useContext(Context);
  if (!model) throw new Error("a page is drawn outside of the model");
  return model;
}

/** A viewer sees everything and can change nothing; the server decides it, the page leaves the buttons out. */
export function useMayWrite(): boolean {
  return useModel().session.value?.role === "admin";
}
