//! One site: what it sends, what it may send, and blocking it.

import { useSignal } from "@preact/signals";
import { Button } from "belfry-ui/controls.tsx";
import { Empty, PageHead, SiteMark, SiteName } from "belfry-ui/parts.tsx";
import { siteLabel } from "belfry-ui/rules/site.ts";
import type { JSX } from "preact";
import { hashOf } from "../address.ts";
import type { BanKind } from "../model.ts";
import { BanDialog, Blocked } from "../parts/ban.tsx";
import { Chart } from "../parts/chart.tsx";
import { Ago, Fact, Shown, Trouble } from "../parts/lists.tsx";
import { OwnLimits } from "../parts/own-limits.tsx";
import { SpanBar, useSpan } from "../parts/span.tsx";
import { useRead } from "../read.ts";
import { count, rate } from "../rules/numbers.ts";
import { text } from "../text.ts";
import { useMayWrite, useModel } from "./context.ts";
import { Keys, shortKey, Vapid } from "./site-keys.tsx";

const words = text.sites;

interface Asking {
  readonly kind: BanKind;
  readonly value: string;
  readonly label: string;
}

export function SitePage({ site }: { site: string }): JSX.Element {
  const model = useModel();
  const mayWrite = useMayWrite();
  const blocking = useSignal<Asking | null>(null);
  const reading = useRead(() => model.reads.site(site), [site], ["sites", "bans", "limits"]);
  const label = siteLabel(site);
  const isBlocked = reading.value?.ban ?? null;
  return (
    <div class="page">
      <a class="back" href={hashOf("sites")}>{words.back}</a>
      <PageHead title={label}>
        {mayWrite && reading.value && !isBlocked ? <Button look="danger-quiet" icon="ban" aria-label={words.blockNamed(label)} onClick={() => (blocking.value = { kind: "site", value: site, label })}>{words.block}</Button> : null}
      </PageHead>
      <Shown reading={reading} missing={<Empty icon="site" title={words.gone}>{words.goneBody}</Empty>}>
        {(detail) => (
          <>
            {detail.ban ? <Blocked ban={detail.ban} mayWrite={mayWrite} /> : null}
            <dl class="card facts-list wide">
              <Fact name={words.site}><span class="named"><SiteMark site={site} small /><SiteName site={site} /></span></Fact>
              <Fact name={words.permissions}>{count(detail.permissions)}</Fact>
              <Fact name={words.accepted}>{count(detail.accepted)}</Fact>
              <Fact name={words.refused}>{count(detail.refused)}</Fact>
              <Fact name={words.lastUsed}><Ago at={detail.lastUsed} /></Fact>
            </dl>
            <Usage site={site} />
            <OwnLimits title={words.quota} lead={words.quotaLead} limits={detail.limits} mayWrite={mayWrite} save={(limits) => model.actions.setSiteLimits(site, limits)} />
            <Keys detail={detail} mayWrite={mayWrite} />
            <Vapid detail={detail} mayWrite={mayWrite} onBlock={mayWrite ? (key) => (blocking.value = { kind: "vapid", value: key, label: shortKey(key) }) : null} />
          </>
        )}
      </Shown>
      {blocking.value ? <BanDialog about={blocking.value} onClose={() => (blocking.value = null)} /> : null}
    </div>
  );
}

function Usage({ site }: { site: string }): JSX.Element {
  const model = useModel();
  const choice = useSpan("day");
  const at = useSignal<number | null>(null);
  const { span } = choice;
  const reading = useRead(() => model.reads.series(["accepted", "refused"], span, site), [site, span.from, span.to]);
  return (
    <section class="page" aria-labelledby="usage">
      <div class="page-head"><h2 id="usage">{words.usage}</h2><SpanBar choice={choice} /></div>
      {reading.fault ? <Trouble fault={reading.fault} again={reading.again} busy={reading.busy} /> : (
        <Chart
          title={words.chart} unit={text.overview.units.perSecond} format={rate} series={reading.value} span={span} longest={choice.longest}
          lines={[{ metric: "accepted", name: words.accepted, colour: 1 }, { metric: "refused", name: words.refused, colour: 4 }]}
          at={at.value} onAt={(time) => (at.value = time)} onSpan={choice.set}
        />
      )}
    </section>
  );
}
