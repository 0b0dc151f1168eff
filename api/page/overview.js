// All pipelines, and what is wrong.
import {badge, el, milliseconds, rate, refresh, seconds, table, whole} from './dom.js';
import {get} from './server.js';

const over = (list, s) => (list || []).find((r) => r.over_s === s) || {};

/** What the tables and charts show of a pipeline's statistics. */
export function digest(p) {
  const latency = (p.latency || []).find((l) => l.over_s === 60 && l.stage === 'produced_to_visible') || {};
  return {name: p.name, events_per_s: over(p.rates, 10).events_per_s, failures_per_s: over(p.rates, 10).failures_per_s,
    busy: over(p.rates, 60).busy_workers, p50: latency.p50_ms, p95: latency.p95_ms, p99: latency.p99_ms,
    lag: p.lag.records, behind: p.lag.seconds, drained_in: p.lag.drained_in_s, drained_per_s: p.lag.drained_per_s,
    retrying: p.retries.waiting, parked: p.retries.parked, open_letters: p.dead_letters.open, breaker: p.breaker.state, totals: p.totals,
    staging: p.staging, batches: p.batches};
}

/** When a lag will be gone: seconds, null while it grows or its rate is not known yet. */
export function drain(lag, per_s, in_s) {
  if (lag === '0') return 'drained';
  if (in_s !== null) return seconds(in_s);
  return per_s === null ? '–' : 'grows';
}

function columns(status) {
  return [
    ['Pipeline', (p) => el('a', {href: `#/pipelines/${encodeURIComponent(p.name)}`, id: `to-${p.name}`}, p.name), 'text'],
    ['Status', (p) => {
      const s = status.get(p.name);
      return s ? [badge(s.status, s.status === 'running'), s.reason ? ` ${s.reason}` : ''] : '…';
    }],
    ['Events/s', (p) => rate(p.events_per_s), 'number'],
    ['Visible after (p99)', (p) => milliseconds(p.p99), 'number'],
    ['Lag', (p) => whole(p.lag), 'number'],
    ['Behind', (p) => seconds(p.behind), 'number'],
    ['Time to drain', (p) => drain(p.lag, p.drained_per_s, p.drained_in), 'number'],
    ['Retrying', (p) => whole(p.retrying), 'number'],
    ['Dead letters, open', (p) => el('a', {href: `#/letters?pipeline=${encodeURIComponent(p.name)}`, id: `letters-${p.name}`}, whole(p.open_letters)), 'number'],
    ['Breaker', (p) => badge(p.breaker || 'closed', !p.breaker || p.breaker === 'closed')],
  ];
}

function findings(list) {
  if (list.length === 0) return el('p', {class: 'quiet'}, 'Nothing is wrong.');
  return el('section', {class: 'findings', 'aria-label': 'What is wrong'}, el('h2', {}, 'What is wrong'),
    el('ul', {}, list.map((f) => el('li', {}, badge(f.severity, f.severity === 'info'), ' ', el('strong', {}, f.what), ` ${f.detail || ''}`,
      f.command ? el('pre', {}, f.command) : ''))));
}

/** A view: its node, and what to do with new statistics. */
export function overview() {
  const list = el('div', {}, el('p', {class: 'quiet'}, 'waiting for statistics'));
  const wrong = el('div', {'aria-live': 'polite'});
  const status = new Map();
  let latest = null;

  function draw() {
    if (latest) refresh(list, table('Pipelines', columns(status), latest.map(digest), 'there is none yet'));
  }

  async function look() {
    for (const p of await get('/pipelines')) status.set(p.name, p);
    draw();
    refresh(wrong, findings(await get('/doctor')));
  }

  return {
    title: 'Pipelines',
    node: el('div', {}, el('h1', {}, 'Pipelines'), wrong, list),
    every: [5000, look],
    take(statistics) {
      latest = statistics.pipelines;
      draw();
    },
  };
}
