//! A secret that is shown this once: a link, a key, a token. Closed by its button alone.

import { Button } from "belfry-ui/controls.tsx";
import { Dialog } from "belfry-ui/dialog.tsx";
import { CopyBox, Points } from "belfry-ui/parts.tsx";
import type { JSX } from "preact";
import { text } from "../text.ts";

interface ShownOnceProps {
  readonly title: string;
  readonly lead: string;
  readonly points?: readonly string[];
  readonly value: string;
  readonly name: string;
  readonly copyLabel: string;
  readonly onClose: () => void;
}

export function ShownOnce({ title, lead, points = [], value, name, copyLabel, onClose }: ShownOnceProps): JSX.Element {
  return (
    <Dialog title={title} onClose={onClose} firm>
      <p>{lead}</p>
      {points.length > 0 ? <Points items={points} /> : null}
      <CopyBox value={value} name={name} label={copyLabel} />
      <div class="buttons end"><Button onClick={onClose}>{text.done}</Button></div>
    </Dialog>
  );
}
