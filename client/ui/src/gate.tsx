//! The frame of what comes before the pages with a navigation: sign-in, linking, set-up.

import type { ComponentChildren, JSX } from "preact";
import { text } from "./text.ts";

const LOGO = "/logo.svg";

interface GateProps {
  children: ComponentChildren;
  foot?: ComponentChildren;
  roomy?: boolean;
  look?: string;
  logo?: string;
}

export function Gate({ children, foot, roomy = false, look = "", logo = LOGO }: GateProps): JSX.Element {
  return (
    <div class={`gate ${roomy ? "roomy" : ""} ${look}`}>
      <header>
        <span class="brand"><img src={logo} alt="" width={44} height={44} />{text.brand}</span>
      </header>
      <main id="main" tabIndex={-1}>
        <div class="card">{children}</div>
      </main>
      {foot ? <footer class="soft small">{foot}</footer> : null}
    </div>
  );
}

export function Splash({ logo = LOGO }: { logo?: string }): JSX.Element {
  return (
    <div class="splash" role="status">
      <img src={logo} alt={text.loading} width={72} height={72} />
    </div>
  );
}
