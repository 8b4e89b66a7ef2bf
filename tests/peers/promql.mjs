// Judges the queries of alert rules and of a dashboard by Prometheus' own grammar, and by the table of
// metrics: promql.mjs METRICS.md ALERTS.yml DASHBOARD.json. Prints what is wrong, a line each.
import { readFileSync } from 'node:fs'
import { parser } from '@prometheus-io/lezer-promql'
import { parse as parseYaml } from 'yaml'

const [metricsFile, alertsFile, dashboardFile] = process.argv.slice(2)
const problems = []

/** Documented metrics: their type and their labels. */
const metrics = new Map()
for (const line of readFileSync(metricsFile, 'utf8').split('\n')) {
  if (!line.startsWith('| `belfry_')) continue
  const [, name, type, labels] = line.split('|').map((cell) => cell.trim().replaceAll('`', ''))
  metrics.set(name, { type, labels: labels.split(', ').filter(Boolean) })
}

/** What every scrape adds, and what a histogram's buckets have. */
const ADDED = ['instance', 'job']

/** A sample's metric, and what of it the sample is. */
function metricOf(sample) {
  if (metrics.has(sample)) return { ...metrics.get(sample), part: '' }
  const [, name, part] = /^(.*)_(bucket|sum|count)$/.exec(sample) ?? []
  const found = metrics.get(name)
  return found?.type === 'histogram' ? { ...found, part } : undefined
}

/** Parses a query and says what its selectors name, each with what is around it. */
function judge(where, query) {
  const text = query
    .replaceAll('$__rate_interval', '5m')
    .replaceAll('$instance', '.*')
  const wrong = (what) => problems.push(`${where}: ${what}: ${query}`)
  const known = new Set(ADDED)
  const grouped = []
  let selectors = 0
  parser.parse(text).iterate({
    enter(node) {
      const said = text.slice(node.from, node.to)
      if (node.type.isError) wrong(`not PromQL at ${node.from}`)
      if (node.name === 'GroupingLabels') {
        grouped.push(...node.node.getChildren('LabelName').map((label) => text.slice(label.from, label.to)))
      }
      if (node.name !== 'VectorSelector') return
      selectors += 1
      const identifier = node.node.getChild('Identifier')
      const sample = identifier && text.slice(identifier.from, identifier.to)
      if (sample === 'up') return
      const metric = sample && metricOf(sample)
      if (!metric) return wrong(`there is no metric ${sample ?? said}`)
      metric.labels.forEach((label) => known.add(label))
      if (metric.part === 'bucket') known.add('le')
      const inRange = node.node.parent?.name === 'MatrixSelector'
      const grows = metric.type === 'counter' || metric.part
      if (grows && !inRange) wrong(`${sample} only ever grows: ask for its rate`)
      if (metric.type === 'histogram' && !metric.part) wrong(`${sample} is a histogram`)
      const matchers = node.node.getChild('LabelMatchers')?.getChildren('UnquotedLabelMatcher') ?? []
      for (const matcher of matchers) {
        const name = matcher.getChild('LabelName')
        const label = text.slice(name.from, name.to)
        if (![...ADDED, ...metric.labels].includes(label)) wrong(`${sample} has no label ${label}`)
      }
    },
  })
  if (selectors === 0) wrong('it asks for nothing')
  for (const label of grouped) if (!known.has(label)) wrong(`nothing has the label ${label}`)
}

const named = new Set()
for (const { rules } of parseYaml(readFileSync(alertsFile, 'utf8')).groups) {
  for (const { alert, expr, labels, annotations } of rules) {
    if (named.has(alert)) problems.push(`${alert} is there twice`)
    named.add(alert)
    judge(alert, expr)
    if (!['critical', 'warning'].includes(labels?.severity)) problems.push(`${alert}: no severity`)
    for (const text of ['summary', 'description']) {
      if (!annotations?.[text]) problems.push(`${alert}: no ${text}`)
    }
  }
}

const dashboard = JSON.parse(readFileSync(dashboardFile, 'utf8'))
const ids = new Set()
const shown = new Set()
for (const { id, title, type, targets, gridPos } of dashboard.panels) {
  if (ids.has(id)) problems.push(`${title}: the id ${id} is there twice`)
  ids.add(id)
  for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
    for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
      if (x >= 24 || shown.has(`${x},${y}`)) problems.push(`${title} lies over another, at ${x},${y}`)
      shown.add(`${x},${y}`)
    }
  }
  if (type !== 'row' && !targets?.length) problems.push(`${title} shows nothing`)
  for (const { expr } of targets ?? []) judge(title, expr)
}
for (const { name, expr } of dashboard.annotations.list) judge(name, expr)

console.log(problems.join('\n'))
console.log(JSON.stringify({ alerts: [...named], panels: ids.size }))
process.exitCode = problems.length ? 1 : 0
