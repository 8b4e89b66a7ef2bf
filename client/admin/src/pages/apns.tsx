//! Apple's push service: whether it is set up, and whether it works.

import { Button, Fault, useAction } from "belfry-ui/controls.tsx";
import { Empty, PageHead } from "belfry-ui/parts.tsx";
import { say } from "belfry-ui/toasts.tsx";
import type { JSX } from "preact";
import { Ago, Fact, Shown } from "../parts/lists.tsx";
import { useRead } from "../read.ts";
import { count } from "../rules/numbers.ts";
import { text } from "../text.ts";
import { useMayWrite, useModel } from "./context.ts";

export function ApnsPage(): JSX.Element {
  const model = useModel();
  const mayWrite = useMayWrite();
  const action = useAction();
  const words = text.apns;
  const reading = useRead(() => model.reads.apns(), []);
  return (
    <div class="page">
      <PageHead title={words.title} lead={words.lead} />
      <Shown reading={reading}>
        {(apns) => (!apns.configured ? (
          <div class="card"><Empty icon="phone" title={words.missingTitle}>{words.missingBody} {apns.devices > 0 ? words.waiting(apns.devices) : ""}</Empty></div>
        ) : (
          <section class="card padded" aria-label={words.title}>
            <dl class="facts-list">
              <Fact name={words.title}><span class="chip good">{words.ready}</span></Fact>
              <Fact name={words.bundles}><code>{apns.bundleIds.join(", ")}</code></Fact>
              <Fact name={words.devices}>{count(apns.devices)}</Fact>
              <Fact name={words.last}>{apns.lastResult ? <><span class={`chip ${apns.lastResult.ok ? "good" : "bad"}`}>{apns.lastResult.ok ? words.ok : words.failed}</span> {apns.lastResult.detail} <Ago at={apns.lastResult.at} /></> : text.never}</Fact>
            </dl>
            {mayWrite ? (
              <div class="setting">
                <span class="hint">{words.testLead}</span>
                <Button busy={action.busy} onClick={() => void action.run(async () => say(await model.actions.testApns()))}>{words.test}</Button>
              </div>
            ) : null}
            {action.fault ? <Fault>{action.fault.message}</Fault> : null}
          </section>
        ))}
      </Shown>
    </div>
  );
}
