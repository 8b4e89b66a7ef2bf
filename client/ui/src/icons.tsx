//! The icons: strokes of one width on a grid of 24, drawn here.

import type { JSX } from "preact";

const PATHS = {
  inbox: "M4 13.5 6.6 5.8A2 2 0 0 1 8.5 4.5h7a2 2 0 0 1 1.9 1.3L20 13.5M4 13.5V18a2 2 0 0 0 2 2h12a2 2 0 0 0 2-2v-4.5M4 13.5h4.5a1 1 0 0 1 1 1 2.5 2.5 0 0 0 5 0 1 1 0 0 1 1-1H20",
  site: "M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17ZM3.8 12h16.4M12 3.5c2.4 2.3 3.5 5.2 3.5 8.5s-1.1 6.2-3.5 8.5C9.6 18.2 8.5 15.3 8.5 12s1.1-6.2 3.5-8.5Z",
  device: "M4 6.5a2 2 0 0 1 2-2h9M4 6.5V15M2.5 18.5h9M4 15h7.5M16 9h4a1.5 1.5 0 0 1 1.5 1.5v8A1.5 1.5 0 0 1 20 20h-4a1.5 1.5 0 0 1-1.5-1.5v-8A1.5 1.5 0 0 1 16 9Zm1.5 8.5h1",
  key: "M14.5 9.5a4.5 4.5 0 1 1-3.1-4.3 4.5 4.5 0 0 1 3.1 4.3Zm-1.3 3.2L20.5 20M17 16.5l2-2M10 9.5h.01",
  settings: "M4 7h9m4 0h3M4 12h3m4 0h9M4 17h7m4 0h5M15 5v4M9 10v4M13 15v4",
  search: "M11 4.5a6.5 6.5 0 1 1 0 13 6.5 6.5 0 0 1 0-13Zm4.7 11.2L20 20",
  cross: "M6 6l12 12M18 6 6 18",
  check: "M5 12.5 10 17.5 19.5 7",
  bell: "M12 4a5.5 5.5 0 0 0-5.5 5.5v3.2L4.8 16.5h14.4l-1.7-3.8V9.5A5.5 5.5 0 0 0 12 4Zm-2 15.2a2 2 0 0 0 4 0",
  mute: "M7 8.2a5.5 5.5 0 0 1 10.5 1.3v3.2l.9 2M6.5 10v2.7l-1.7 3.8H16M10 19.2a2 2 0 0 0 4 0M4 4l16 16",
  plus: "M12 5v14M5 12h14",
  warn: "M12 4.5 21 19.5H3Zm0 5.5v4.5m0 2.5h.01",
  shield: "M12 3.5 5 6v5.5c0 4.3 2.9 7.4 7 9 4.1-1.6 7-4.7 7-9V6Zm-3 8.5 2.2 2.2L15.2 10",
  away: "M19.5 14.5A8 8 0 0 1 9.5 4.5a8 8 0 1 0 10 10Z",
  cloudOff: "M7 18.5h9.5M6.5 9.2A4.8 4.8 0 0 0 7 18.5M9.8 6.2a5.5 5.5 0 0 1 8 4.3 4 4 0 0 1 2 6.7M4 4l16 16",
  out: "M13.5 5.5H18a1 1 0 0 1 1 1v11a1 1 0 0 1-1 1h-4.5M4.5 12h10m-3.5-3.5L14.5 12 11 15.5",
  open: "M13.5 5H19v5.5M19 5l-8.5 8.5M17 14v4a1 1 0 0 1-1 1H6a1 1 0 0 1-1-1V8a1 1 0 0 1 1-1h4",
  copy: "M9 9V5.5A1.5 1.5 0 0 1 10.5 4h8A1.5 1.5 0 0 1 20 5.5v8a1.5 1.5 0 0 1-1.5 1.5H15M5.5 9h8A1.5 1.5 0 0 1 15 10.5v8a1.5 1.5 0 0 1-1.5 1.5h-8A1.5 1.5 0 0 1 4 18.5v-8A1.5 1.5 0 0 1 5.5 9Z",
  back: "M11 6l-6 6 6 6M5.5 12H19",
  link: "M10 14a4 4 0 0 0 6 .4l3-3a4 4 0 0 0-5.7-5.7L12 7M14 10a4 4 0 0 0-6-.4l-3 3a4 4 0 0 0 5.7 5.7L12 17",
  archive: "M4.5 4.5h15v4h-15ZM6 8.5V18a1.5 1.5 0 0 0 1.5 1.5h9A1.5 1.5 0 0 0 18 18V8.5M10 12.5h4",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name, size = 20 }: { name: IconName; size?: number }): JSX.Element {
  return (
    <svg width={size} height={size} viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width={size > 30 ? 1.4 : 1.75} stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}
