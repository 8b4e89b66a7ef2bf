//! Idle Detection, where the browser has it: the SDK uses it once it is granted, and the console asks.

import { signal } from "@preact/signals";

interface Detector {
  requestPermission(): Promise<PermissionState>;
}

export const idleDetection = signal<PermissionState | "missing">("missing");
const detector = (globalThis as unknown as { IdleDetector?: Detector }).IdleDetector;

if (detector && isSecureContext) {
  navigator.permissions.query({ name: "idle-detection" as PermissionName }).then(
    (status) => {
      idleDetection.value = status.state;
      status.onchange = () => (idleDetection.value = status.state);
    },
    // A browser that does not know the name does not have the thing.
    () => undefined,
  );
}

export async function requestIdleDetection(): Promise<void> {
  if (detector) idleDetection.value = await detector.requestPermission();
}
