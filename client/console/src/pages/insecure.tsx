//! What a plain http address takes away, and what to do about it.

import { Button } from "belfry-ui/controls.tsx";
import { Gate } from "belfry-ui/gate.tsx";
import { Points } from "belfry-ui/parts.tsx";
import type { JSX } from "preact";
import { localhostAddress, losses, type Surroundings } from "../rules/safety.ts";
import { text } from "../text.ts";

export function InsecurePage({ at, onGoOn }: { at: Surroundings; onGoOn: () => void }): JSX.Element {
  const words = text.insecure;
  return (
    <Gate roomy>
      <div class="section-head">
        <h1>{words.title}</h1>
        <p class="soft">{words.lead}</p>
      </div>
      <div class="stack">
        <h2>{words.lost}</h2>
        <Points items={losses(at).map((loss) => words.losses[loss])} icon="cross" look="bad" />
      </div>
      <div class="stack">
        <h2>{words.fix}</h2>
        <Points
          items={[
            <>{words.fixLocal} <a href={localhostAddress(at)}>{localhostAddress(at)}</a></>,
            words.fixTls,
            words.fixProxy,
          ]}
        />
      </div>
      <div class="buttons"><Button onClick={onGoOn}>{words.goOn}</Button></div>
    </Gate>
  );
}
