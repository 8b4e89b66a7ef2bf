//! One notification. Every field of it is what a site chose to send.

import { useSignal } from "@preact/signals";
import { Icon } from "belfry-ui/icons.tsx";
import { now } from "belfry-ui/now.ts";
import { Hostile } from "belfry-ui/parts.tsx";
import { manyLines, oneLine } from "belfry-ui/rules/hostile.ts";
import { siteLabel } from "belfry-ui/rules/site.ts";
import { ago, wholeTime } from "belfry-ui/rules/times.ts";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { spotlight } from "../address.ts";
import type { Item } from "../model.ts";
import { destination, picture } from "../rules/destination.ts";
import { text } from "../text.ts";
import { useModel } from "./context.ts";

/** On screen this long, with the page in sight and focused, it counts as seen. */
const SEEN_AFTER_MS = 2000;
/** Text that can be longer than what is shown at first. */
const LONG_CHARS = 160;

interface ItemRowProps {
  item: Item;
  muted: boolean;
  marks: boolean;
  onDismiss: ((ids: readonly string[]) => void) | null;
}

export function ItemRow({ item, muted, marks, onDismiss }: ItemRowProps): JSX.Element {
  const row = useRef<HTMLLIElement>(null);
  const whole = useSignal(false);
  const words = text.inbox;
  const isShown = spotlight.value === item.id;
  useSeen(row, item, marks && !muted);
  useEffect(() => {
    if (isShown) row.current?.scrollIntoView({ block: "center" });
  }, [isShown]);

  const title = oneLine(item.title) || siteLabel(item.site);
  const body = manyLines(item.body);
  const image = picture(item.icon);
  const isLong = body.length > LONG_CHARS || body.split("\n").length > 3;
  const content = (
    <div class="item-body">
      <div class="item-line">
        <h3>{item.seen ? null : <span class="hidden">{words.unseen}: </span>}<bdi dir="auto">{title}</bdi></h3>
        <time dateTime={new Date(item.sent).toISOString()} title={wholeTime(item.sent)}>{ago(item.sent, now.value)}</time>
        {item.urgency === "high" ? <span class="chip warn">{words.urgent}</span> : null}
        {muted ? <span class="chip">{words.muted}</span> : null}
        {item.name ? <span class="chip"><Hostile max={40}>{item.name}</Hostile></span> : null}
      </div>
      {body ? <p class={`text ${whole.value ? "" : "clamped"}`}><bdi dir="auto">{body}</bdi></p> : null}
      <Links item={item} onOpen={onDismiss} more={isLong ? { whole: whole.value, turn: () => (whole.value = !whole.value) } : null} />
    </div>
  );
  return (
    <li ref={row} class={`item ${item.seen ? "" : "unseen"} ${isShown ? "arrived" : ""}`} data-id={item.id}>
      {image ? <div class="with-picture"><img class="picture" src={image} alt="" width={44} height={44} decoding="async" />{content}</div> : content}
      {onDismiss ? (
        <button type="button" class="icon-button" aria-label={words.dismissNamed(oneLine(title, 60))} title={words.dismiss} onClick={() => { moveFocus(row.current); onDismiss([item.id]); }}>
          <Icon name="cross" size={18} />
        </button>
      ) : null}
    </li>
  );
}

interface LinksProps {
  item: Item;
  onOpen: ((ids: readonly string[]) => void) | null;
  more: { whole: boolean; turn: () => void } | null;
}

function Links({ item, onOpen, more }: LinksProps): JSX.Element | null {
  const model = useModel();
  const words = text.inbox;
  const links = [{ title: "", url: item.url }, ...item.actions]
    .map((link) => ({ title: oneLine(link.title, 40), to: destination(link.url, item.site) }))
    .filter((link) => link.to !== null);
  if (links.length === 0 && !more) return null;
  return (
    <div class="links">
      {links.map((link, at) => (
        <a
          key={at}
          class="button quiet slim"
          href={link.to!.href}
          target="_blank"
          rel="noopener noreferrer"
          referrerPolicy="no-referrer"
          onClick={() => (onOpen ? void model.actions.markSeen([item.id]) : undefined)}
        >
          <Icon name="open" size={16} />
          <span>
            {link.title ? <bdi dir="auto">{link.title}</bdi> : words.open}
            {link.to!.elsewhere ? <span class="leads"> · {words.leadsTo} <bdi dir="ltr">{link.to!.elsewhere}</bdi></span> : null}
          </span>
        </a>
      ))}
      {more ? <button type="button" class="button quiet slim" aria-expanded={more.whole} onClick={more.turn}>{more.whole ? words.less : words.more}</button> : null}
    </div>
  );
}

function useSeen(row: { current: HTMLLIElement | null }, item: Item, marks: boolean): void {
  const model = useModel();
  useEffect(() => {
    const element = row.current;
    if (!element || item.seen || !marks) return;
    let inSight = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const weigh = () => {
      clearTimeout(timer);
      if (inSight && document.visibilityState === "visible" && document.hasFocus())
        timer = setTimeout(() => void model.actions.markSeen([item.id]).catch(() => undefined), SEEN_AFTER_MS);
    };
    const watch = new IntersectionObserver((entries) => {
      inSight = entries.some((entry) => entry.isIntersecting);
      weigh();
    }, { threshold: 0.6 });
    watch.observe(element);
    addEventListener("focus", weigh);
    addEventListener("blur", weigh);
    document.addEventListener("visibilitychange", weigh);
    return () => {
      clearTimeout(timer);
      watch.disconnect();
      removeEventListener("focus", weigh);
      removeEventListener("blur", weigh);
      document.removeEventListener("visibilitychange", weigh);
    };
  }, [item.id, item.seen, marks]);
}

/** The next thing to act on, when this row is about to go: its neighbour's dismiss, else the page. */
function moveFocus(row: HTMLElement | null): void {
  const near = row?.nextElementSibling ?? row?.previousElementSibling;
  const next = near?.querySelector<HTMLElement>(".icon-button") ?? document.querySelector<HTMLElement>("main h1");
  next?.focus();
}
