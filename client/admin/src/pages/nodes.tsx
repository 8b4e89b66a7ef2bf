//! The processes that make up the server, and how they are.

import { Empty, PageHead } from "belfry-ui/parts.tsx";
import type { JSX } from "preact";
import type { Node } from "../model.ts";
import { Ago, Fact, Shown } from "../parts/lists.tsx";
import { useRead } from "../read.ts";
import { bytes, count } from "../rules/numbers.ts";
import { text } from "../text.ts";
import { useModel } from "./context.ts";

const words = text.nodes;
const LOOKS = { ok: "good", warning: "warn", failing: "bad" } as const;

export function NodesPage(): JSX.Element {
  const model = useModel();
  const reading = useRead(() => model.reads.nodes(), [], ["nodes"]);
  return (
    <div class="page">
      <PageHead title={words.title} lead={words.lead} />
      <Shown reading={reading}>
        {(nodes) => (nodes.length === 0 ? <Empty icon="node" title={words.emptyTitle}>{words.emptyBody}</Empty> : <>{nodes.map((node) => <NodeCard key={node.id} node={node} />)}</>)}
      </Shown>
    </div>
  );
}

function NodeCard({ node }: { node: Node }): JSX.Element {
  return (
    <section class="card padded" aria-labelledby={`node-${node.id}`} data-id={node.id}>
      <div class="row-title">
        <h2 id={`node-${node.id}`}><code>{node.id}</code></h2>
        <span class={`chip ${node.ready ? "good" : "bad"}`}>{node.ready ? words.ready : words.notReady}</span>
        {node.self ? <span class="chip">{words.self}</span> : null}
      </div>
      <dl class="facts-list">
        <Fact name={words.version}>{node.version}</Fact>
        <Fact name={words.up}><Ago at={node.started} /></Fact>
        <Fact name={words.connections}>{count(node.connections)}</Fact>
        <Fact name={words.memory}>{node.memoryBytes === null ? words.unknown : bytes(node.memoryBytes)}</Fact>
        <Fact name={words.disk}>{node.diskFreeBytes === null ? words.unknown : node.diskBytes === null ? bytes(node.diskFreeBytes) : words.diskOf(bytes(node.diskFreeBytes), bytes(node.diskBytes))}</Fact>
        <Fact name={words.seen}><Ago at={node.seen} /></Fact>
      </dl>
      <h3>{words.checks}</h3>
      <ul class="lines">
        {node.checks.map((check) => (
          <li key={check.name}>
            <div><b>{words.checkNames[check.name] ?? check.name}</b><span class="hint">{check.detail}</span></div>
            <span class={`chip ${LOOKS[check.health]}`}>{words.health[check.health]}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}
