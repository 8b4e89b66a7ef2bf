//! What pages are made of besides controls: marks, empty states, notices, skeletons, pictures of
//! codes and counts. What a site sent is put into `bdi`, so that its direction ends where it ends.

import { useSignal } from "@preact/signals";
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { encodeQR } from "qr";
import { siteLabel } from "./rules/site.ts";
import { oneLine } from "./rules/hostile.ts";
import { points } from "./rules/line.ts";
import { text } from "./text.ts";
import { Button } from "./controls.tsx";
import { Icon, type IconName } from "./icons.tsx";

const HUES = 8;

export function SiteMark({ site, small = false }: { site: string; small?: boolean }): JSX.Element {
  const label = siteLabel(site).replace(/^(http:\/\/|www\.)/, "");
  let hash = 0;
  for (const char of label) hash = (hash * 31 + (char.codePointAt(0) ?? 0)) % 9973;
  return (
    <span class={`mark hue-${hash % HUES} ${small ? "small" : ""}`} aria-hidden="true">
      {Array.from(label)[0] ?? "?"}
    </span>
  );
}

/** The site's address, which nothing else stands in for. */
export function SiteName({ site }: { site: string }): JSX.Element {
  return <bdi dir="ltr">{siteLabel(site)}</bdi>;
}

export function Hostile({ children, max }: { children: string; max?: number }): JSX.Element {
  return <bdi dir="auto">{oneLine(children, max)}</bdi>;
}

/** The heading of a page: takes the focus when the page opens, so that a screen reader says it. */
export function PageHead({ title, lead, children }: { title: string; lead?: ComponentChildren; children?: ComponentChildren }): JSX.Element {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    if (document.activeElement === document.body || document.activeElement?.closest("nav")) heading.current?.focus({ preventScroll: true });
  }, []);
  return (
    <div class="page-head">
      <div>
        <h1 ref={heading} tabIndex={-1}>{title}</h1>
        {lead ? <p class="soft">{lead}</p> : null}
      </div>
      {children}
    </div>
  );
}

export function Empty({ icon, title, children, actions }: { icon: IconName; title: string; children?: ComponentChildren; actions?: ComponentChildren }): JSX.Element {
  return (
    <div class="empty">
      <span class="art"><Icon name={icon} size={38} /></span>
      <h2>{title}</h2>
      {children ? <p>{children}</p> : null}
      {actions ? <div class="buttons">{actions}</div> : null}
    </div>
  );
}

export function Notice({ look = "", icon, children, live = false }: { look?: "" | "warn" | "bad"; icon: IconName; children: ComponentChildren; live?: boolean }): JSX.Element {
  return (
    <div class={`notice ${look}`} role={live ? "status" : undefined}>
      <Icon name={icon} />
      <div>{children}</div>
    </div>
  );
}

export function Points({ items, icon = "check", look = "" }: { items: readonly ComponentChildren[]; icon?: IconName; look?: string }): JSX.Element {
  return (
    <ul class={`points ${look}`}>
      {items.map((item, at) => (
        <li key={at}>
          <Icon name={icon} size={18} />
          <span>{item}</span>
        </li>
      ))}
    </ul>
  );
}

export function SkeletonRows({ rows = 3 }: { rows?: number }): JSX.Element {
  return (
    <div class="card" role="status">
      <span class="hidden">{text.loading}</span>
      <ul class="rows" aria-hidden="true">
        {Array.from({ length: rows }, (_, at) => (
          <li key={at} class="stack">
            <div class="skeleton short" />
            <div class="skeleton long" />
          </li>
        ))}
      </ul>
    </div>
  );
}

const WIDTH = 120;
const HEIGHT = 28;

export function Sparkline({ counts, label }: { counts: readonly number[]; label: string }): JSX.Element {
  const line = points(counts, WIDTH, HEIGHT);
  const none = counts.every((count) => count === 0);
  return (
    <svg class={`sparkline ${none ? "none" : ""}`} viewBox={`-1 -1 ${WIDTH + 2} ${HEIGHT + 2}`} role="img" aria-label={label} preserveAspectRatio="none">
      {none ? null : <polygon class="area" points={`0,${HEIGHT} ${line} ${WIDTH},${HEIGHT}`} />}
      <polyline points={line} fill="none" stroke="currentColor" stroke-width="1.75" stroke-linejoin="round" stroke-linecap="round" vector-effect="non-scaling-stroke" />
    </svg>
  );
}

export function QrCode({ value, label }: { value: string; label: string }): JSX.Element {
  const rows = encodeQR(value, "raw", { ecc: "medium", border: 1 });
  const path = rows.flatMap((row, y) => row.map((dark, x) => (dark ? `M${x} ${y}h1v1h-1z` : ""))).join("");
  return (
    <div class="qr">
      <svg viewBox={`0 0 ${rows.length} ${rows.length}`} role="img" aria-label={label} shape-rendering="crispEdges">
        <path d={path} fill="#000" />
      </svg>
    </div>
  );
}

/** A link code in its groups; what is copied has the hyphens. */
export function CodeGroups({ code, label }: { code: string; label: string }): JSX.Element {
  return (
    <p class="code-groups" role="group" aria-label={label} data-code={code}>
      {code.split("-").map((group, at) => <span key={at}>{group}</span>)}
    </p>
  );
}

export function CopyBox({ value, name, label }: { value: string; name: string; label: string }): JSX.Element {
  return (
    <div class="stack">
      <pre class="copy-box" tabIndex={0} aria-label={name}>{value}</pre>
      <div class="buttons"><CopyButton value={value} label={label} look="primary" /></div>
    </div>
  );
}

/** Says itself that it copied: in a dialog there is nowhere else to say it. */
export function CopyButton({ value, label, look }: { value: string; label: string; look: string }): JSX.Element {
  const copied = useSignal(false);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(value);
      copied.value = true;
      setTimeout(() => (copied.value = false), COPIED_STAYS_MS);
    } catch {
      // No clipboard here: the text is there to be selected.
      const box = document.querySelector(".copy-box, .code-groups");
      if (box) getSelection()?.selectAllChildren(box);
    }
  };
  return (
    <>
      <Button look={look} icon={copied.value ? "check" : "copy"} aria-label={copied.value ? undefined : label} onClick={() => void copy()}>{copied.value ? text.copied : text.copy}</Button>
      <span class="hidden" role="status">{copied.value ? text.copied : ""}</span>
    </>
  );
}

const COPIED_STAYS_MS = 2500;
