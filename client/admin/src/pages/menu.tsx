//! On a phone: the pages that have no tab.

import { Icon } from "belfry-ui/icons.tsx";
import { Hostile, PageHead } from "belfry-ui/parts.tsx";
import type { JSX } from "preact";
import { hashOf } from "../address.ts";
import { text } from "../text.ts";
import { useModel } from "./context.ts";
import { PAGES } from "./shell.tsx";

export function MenuPage(): JSX.Element {
  const session = useModel().session.value;
  return (
    <div class="page">
      <PageHead title={text.nav.menu} lead={<><Hostile max={64}>{session?.username ?? ""}</Hostile> · {text.roles[session?.role ?? "viewer"]}</>} />
      <ul class="card rows menu">
        {PAGES.slice(4).map(([to, icon]) => <li key={to}><a href={hashOf(to)}><Icon name={icon} size={22} /><span>{text.nav[to]}</span></a></li>)}
        <li><a href="/"><Icon name="open" size={22} /><span>{text.toConsole}</span></a></li>
      </ul>
    </div>
  );
}
