// One pipeline: what it does now and did in the last hour, its partitions, workers and lanes; pause and resume.
import {chart} from './charts.js';
import {ask, guarded} from './dialog.js';
import {badge, el, facts, milliseconds, moment, rate, refresh, seconds, table, whole} from './dom.js';
import {digest, drain} from './overview.js';
import {get, path, post} from './server.js';

const KEPT_S = 3600;

function charts() {
  return {
    rate: chart('Events per second', [{label: 'settled', format: rate}, {label: 'failed tries', format: rate}]),
    latency: chart('From the producer to the row',
      [{label: 'p50', format: milliseconds}, {label: 'p95', format: milliseconds}, {label: 'p99', format: milliseconds}]),
    lag: chart('Lag in events', [{label: 'lag', format: whole}]),
  };
}

/** The minutes of the history, then what came by the second since. */
function draw(plots, minutes, live) {
  const begin = live.length ? live[0].at : Infinity;
  const past = minutes.filter((m) => m.at < begin);
  plots.rate.set([...past.map((m) => [m.at, m.events_per_s, m.failures_per_s]), ...live.map((p) => [p.at, p.events_per_s, p.failures_per_s])]);
  plots.latency.set([...past.map((m) => [m.at, m.p50, m.p95, m.p99]), ...live.map((p) => [p.at, p.p50, p.p95, p.p99])]);
  plots.lag.set([...past.map((m) => [m.at, m.lag]), ...live.map((p) => [p.at, p.lag === null ? null : Number(p.lag)])]);
}

function minute(m) {
  const down = !m.up;
  return {at: Date.parse(m.minute) / 1000 + 60, events_per_s: down ? null : m.events_per_s, failures_per_s: down ? null : Number(m.failed) / 60,
    p50: m.p50_ms, p95: m.p95_ms, p99: m.p99_ms, lag: m.lag === null ? null : Number(m.lag)};
}

const partitions = [
  ['Partition', (t) => `${t.topic} ${t.partition}`],
  ['State', (t) => [badge(t.state, t.state !== 'stopped'), t.error ? ` ${t.error} ${t.hint || ''}` : ''], 'text'],
  ['Next offset', (t) => whole(t.next_offset), 'number'],
  ['End', (t) => whole(t.end_offset), 'number'],
  ['Lag', (t) => whole(t.lag), 'number'],
  ['Behind', (t) => seconds(t.behind_s), 'number'],
  ['Time to drain', (t) => drain(t.lag, t.drained_per_s, t.drained_in_s), 'number'],
  ['Retrying', (t) => whole(t.retrying), 'number'],
  ['Parked', (t) => whole(t.parked), 'number'],
  ['Settled', (t) => moment(t.settled_at)],
];
const workers = [
  ['Worker', (w) => w.number],
  ['State', (w) => badge(w.state, !['backoff', 'stopped'].includes(w.state))],
  ['Process', (w) => w.pid ?? '–', 'number'],
  ['Batches', (w) => whole(w.batches), 'number'],
  ['Last error', (w) => (w.last_error ? [w.last_error, ' ', moment(w.last_error_at)] : 'none'), 'text'],
];
const lanes = [
  ['Lane', (l) => l.lane_id],
  ['Segments', (l) => `${l.segments_used} of ${l.segments}`, 'number'],
  ['Bytes', (l) => whole(l.bytes), 'number'],
  ['Batches that wait', (l) => whole(l.staged), 'number'],
  ['Messages that wait', (l) => whole(l.staged_events), 'number'],
];

function now(p) {
  return facts([
    ['Events/s', rate(p.events_per_s)], ['Busy workers', rate(p.busy)], ['p50, p95, p99', [p.p50, p.p95, p.p99].map(milliseconds).join(', ')],
    ['Lag', whole(p.lag)], ['Behind', seconds(p.behind)], ['Time to drain', drain(p.lag, p.drained_per_s, p.drained_in)],
    ['Written', whole(p.totals.written)], ['Filtered', whole(p.totals.filtered)], ['Superseded', whole(p.totals.superseded)],
    ['Retrying', whole(p.retrying)], ['Parked behind these', whole(p.parked)], ['Dead letters, open', whole(p.open_letters)],
    ['In staging', whole(p.staging.waiting)], ['Events a batch', p.batches.events_per_batch === null ? '–' : whole(Math.round(p.batches.events_per_batch))],
  ], 'tiles');
}

const types = [
  ['Type', (t) => t.type, 'text'],
  ['Events', (t) => whole(t.events), 'number'],
  ['Written', (t) => whole(t.written), 'number'],
  ['Filtered', (t) => whole(t.filtered), 'number'],
  ['Failed', (t) => whole(t.failed), 'number'],
  ['Dead letters made', (t) => whole(t.dead_lettered), 'number'],
];

const windows = [
  ['Window', (w) => w.name, 'text'],
  ['Kept', (w) => w.kind],
  ['Groups', (w) => `${whole(w.groups)} of ${whole(w.max_groups)}`, 'number'],
  ['Closed up to', (w) => (w.watermark ? moment(w.watermark) : 'not known yet')],
  ['Held back by', (w) => (w.held_topic ? `${w.held_topic} ${w.held_by}: ${w.held_why}` : 'nothing'), 'text'],
  ['Late rows', (w) => whole(w.late), 'number'],
  ['From the future', (w) => whole(w.skewed), 'number'],
  ['In no window', (w) => whole(w.outside), 'number'],
];

function breaker(b) {
  if (!b || b.state === 'closed') return null;
  return el('section', {class: 'findings', 'aria-label': 'Breaker'}, el('h2', {}, `The breaker is ${b.state}`),
    facts([['SQLSTATE', b.sqlstate], ['Since', moment(b.since)], ['Next probe', moment(b.next_probe_at)]]));
}

/** A view, see overview(). */
export function pipeline(name) {
  const figures = el('div', {'aria-label': 'Now', role: 'region'});
  const state = el('div', {});
  const byType = el('div', {});
  const windowed = el('div', {});
  const about = el('div', {});
  const trouble = el('div', {'aria-live': 'polite'});
  const plots = charts();
  const live = [];
  let minutes = [];

  async function look() {
    const [p, parts] = await Promise.all([get(path`/pipelines/${name}`), get(path`/pipelines/${name}/state`)]);
    refresh(about, facts([['Status', badge(p.status, p.status === 'running')], ['Reason', p.reason], ['Hint', p.hint], ['Topic', p.topic],
      ['Target', p.target], ['Version', p.version], ['Owner', p.owner]]),
      el('details', {}, el('summary', {}, 'Definition'), el('h3', {}, 'Fields'), el('pre', {}, p.fields || 'none'), el('h3', {}, 'Transform'), el('pre', {}, p.transform)));
    refresh(state, table('Partitions', partitions, parts.partitions), table('Workers', workers, parts.workers), table('Lanes', lanes, parts.lanes));
  }

  async function history() {
    minutes = (await get(path`/pipelines/${name}/history`)).map(minute);
    draw(plots, minutes, live);
  }

  async function verb(what, question) {
    if (!await ask(`${question} ${name}?`, what === 'pause'
      ? 'The batch in flight is finished; events wait in Kafka until the pipeline is resumed.' : 'It goes on where it stopped.', question)) return;
    await post(path`/pipelines/${name}/` + what);
    await look();
  }

  history().catch(() => {}); // without it the charts begin now
  return {
    title: name,
    node: el('div', {}, el('h1', {}, name), trouble,
      el('p', {class: 'actions'}, el('button', {type: 'button', onclick: () => guarded(trouble, () => verb('pause', 'Pause'))}, 'Pause'),
        el('button', {type: 'button', onclick: () => guarded(trouble, () => verb('resume', 'Resume'))}, 'Resume'),
        el('a', {href: `#/letters?pipeline=${encodeURIComponent(name)}`}, 'Its dead letters')),
      about, figures, el('div', {class: 'charts'}, plots.rate.node, plots.latency.node, plots.lag.node), byType, windowed, state),
    every: [5000, look],
    take(statistics) {
      const found = statistics.pipelines.find((p) => p.name === name);
      if (!found) return;
      const p = digest(found);
      p.at = Date.now() / 1000;
      if (live.length === 0 || p.at - live[live.length - 1].at >= 0.9) live.push(p);
      while (live.length > KEPT_S) live.shift();
      refresh(figures, breaker(found.breaker), now(p));
      refresh(byType, found.types.length ? table('Events by type', types, found.types) : null);
      refresh(windowed, found.windows.length ? table('Windows', windows, found.windows) : null);
      draw(plots, minutes, live);
    },
  };
}
