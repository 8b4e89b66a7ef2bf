//! Runs before the first paint, on its own and blocking, so that a chosen theme does not flash.

try {
  const theme: unknown = JSON.parse(localStorage.getItem("belfry.preferences") ?? "{}").theme;
  if (theme === "light" || theme === "dark") document.documentElement.dataset["theme"] = theme;
} catch {
  // No storage, or nothing of ours in it: the system's theme.
}
