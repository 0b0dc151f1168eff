// Dead letters: kinds of failure, the letters of a kind, one letter; replay and discard, each with a preview.
import {ask, guarded} from './dialog.js';
import {badge, count, el, facts, moment, refresh, show, table, whole} from './dom.js';
import {get, getPage, path, post} from './server.js';

const key = (value) => encodeURIComponent(value);

const groups = [
  ['Failure', (g) => el('a', {href: `#/letters/list?pipeline=${key(g.pipeline)}&fingerprint=${key(g.fingerprint)}`}, g.message || g.fingerprint), 'text'],
  ['Pipeline', (g) => g.pipeline, 'text'],
  ['Stage', (g) => g.stage],
  ['SQLSTATE', (g) => [g.sqlstate, g.condition ? ` ${g.condition}` : '']],
  ['Open', (g) => whole(g.open), 'number'],
  ['All', (g) => whole(g.count), 'number'],
  ['Last', (g) => moment(g.last_at)],
];

/** A view of the kinds of failure. */
export function letterGroups(parameters) {
  const list = el('div', {}, el('p', {class: 'quiet'}, 'loading'));
  const only = parameters.get('pipeline');

  return {
    title: 'Dead letters',
    node: el('div', {}, el('h1', {}, only ? `Dead letters of ${only}` : 'Dead letters'), only ? el('p', {}, el('a', {href: '#/letters'}, 'Of all pipelines')) : '', list),
    every: [10000, async () => {
      const all = await get('/dead-letters/groups');
      refresh(list, table('Kinds of failure', groups, all.filter((g) => !only || g.pipeline === only), 'there is none'));
    }],
  };
}

const letters = [
  ['Letter', (l) => el('a', {href: `#/letters/${key(l.id)}`}, `${l.topic}:${l.partition}:${l.offset}`), 'text'],
  ['State', (l) => badge(l.state, l.state !== 'open')],
  ['Key', (l) => l.key ?? 'none', 'text'],
  ['Message', (l) => l.message, 'text'],
  ['Tries', (l) => l.attempts, 'number'],
  ['Failed', (l) => moment(l.failed_at)],
];

/** What is being replayed ends soon: looks again as long as it is shown. */
function follow(node, letters, look) {
  if (letters.some((l) => l.state === 'replaying')) setTimeout(() => node.isConnected && look().catch(() => {}), 2000);
}

/** A view of the letters of a kind, or of a pipeline. */
export function letterList(parameters) {
  const pipeline = parameters.get('pipeline') ?? '';
  const fingerprint = parameters.get('fingerprint');
  const list = el('div', {}, el('p', {class: 'quiet'}, 'loading'));
  const trouble = el('div', {'aria-live': 'polite'});
  const query = `/dead-letters?limit=100&pipeline=${key(pipeline)}${fingerprint === null ? '' : `&fingerprint=${key(fingerprint)}`}`;
  let shown = [];
  let next = query;

  async function more() {
    const page = await getPage(next);
    shown = shown.concat(page.items);
    next = page.next;
    show(list, table('Letters', letters, shown, 'there is none'),
      next ? el('button', {type: 'button', id: 'more', onclick: () => guarded(trouble, more)}, 'More') : '');
    follow(list, page.items, again);
  }

  function again() {
    shown = [];
    next = query;
    return more();
  }

  const title = fingerprint === null ? `Dead letters of ${pipeline}` : 'Dead letters of a kind';
  return {
    title,
    node: el('div', {}, el('h1', {}, title), el('p', {}, el('a', {href: '#/letters'}, 'All kinds')), trouble,
      actions(fingerprint === null ? {pipeline, all: true} : {pipeline, fingerprint}, trouble, again), list),
    begin: more,
  };
}

/** Buttons for replay and discard of a selection: {pipeline, ids} or {pipeline, fingerprint}. */
function actions(selection, trouble, done) {
  async function preview(verb) {
    return count((await post(`/dead-letters/${verb}`, {...selection, dry_run: true})).count, 'dead letter');
  }
  async function replay() {
    const which = await preview('replay');
    if (!await ask(`Replay ${which}?`, 'They go through the pipeline again; what fails again stays a dead letter.', 'Replay')) return;
    const {count: sent} = await post('/dead-letters/replay', selection);
    await done();
    show(trouble, el('p', {role: 'status'}, `Being replayed: ${count(sent, 'dead letter')}.`));
  }
  async function discard() {
    const which = await preview('discard');
    const filled = await ask(`Discard ${which}?`, 'They stay in the table, and are not tried again unless they are replayed.', 'Discard',
      [{name: 'reason', label: 'Reason', required: true}]);
    if (!filled) return;
    const {count: ended} = await post('/dead-letters/discard', {...selection, reason: filled.reason});
    await done();
    show(trouble, el('p', {role: 'status'}, `Discarded: ${count(ended, 'dead letter')}.`));
  }
  return el('p', {class: 'actions'}, el('button', {type: 'button', id: 'replay', onclick: () => guarded(trouble, replay)}, 'Replay'),
    el('button', {type: 'button', id: 'discard', onclick: () => guarded(trouble, discard)}, 'Discard'));
}

function timeline(l) {
  const tries = Array.isArray(l.history) ? l.history : [];
  return el('section', {'aria-label': 'Timeline'}, el('h2', {}, 'Timeline'), el('ol', {},
    tries.map((t) => el('li', {}, moment(t.at), ' ', t.sqlstate || '', ' ', t.message || '')),
    el('li', {}, moment(l.failed_at), ` dead after ${count(l.attempts, 'try', 'tries')}`),
    l.published_at ? el('li', {}, moment(l.published_at), ` published to the dead-letter topic, partition ${l.dlq_partition}, offset ${l.dlq_offset}`) : '',
    l.state === 'open' ? '' : el('li', {}, moment(l.changed_at), ` ${l.state}`)));
}

/** A view of one letter. */
export function letter(id) {
  const body = el('div', {}, el('p', {class: 'quiet'}, 'loading'));
  const trouble = el('div', {'aria-live': 'polite'});

  async function look() {
    const l = await get(path`/dead-letters/${id}`);
    const selection = {pipeline: l.pipeline, ids: [l.id]};
    async function edit() {
      const filled = await ask('Edit and replay', 'What you write here is processed instead; the original is kept.', 'Replay',
        [{name: 'payload', label: 'Payload', value: l.edited_payload ?? l.payload ?? '', long: true}]);
      if (!filled) return;
      await post('/dead-letters/replay', {...selection, payload: filled.payload});
      await look();
      show(trouble, el('p', {role: 'status'}, 'It is being replayed with the edited payload.'));
    }
    show(body, el('h1', {}, `${l.topic}:${l.partition}:${l.offset}`),
      actions(selection, trouble, look),
      el('p', {class: 'actions'}, el('button', {type: 'button', id: 'edit', onclick: () => guarded(trouble, edit)}, 'Edit and replay'),
        el('a', {href: `#/events/${key(`${l.topic}:${l.partition}:${l.offset}`)}`}, 'The event')),
      facts([['State', badge(l.state, l.state !== 'open')], ['Pipeline', l.pipeline], ['Version', l.version], ['Stage', l.stage],
        ['SQLSTATE', [l.sqlstate, l.condition ? ` ${l.condition}` : '']], ['Message', l.message], ['Detail', l.detail], ['Hint', l.hint],
        ['Constraint', l.constraint_name], ['Column', l.column_name], ['Key', l.key], ['Produced', moment(l.kafka_ts)], ['Replays', l.replay_count]]),
      el('h2', {}, 'Payload'), el('pre', {id: 'payload'}, l.payload ?? 'none'),
      l.edited_payload ? [el('h2', {}, 'Edited payload'), el('pre', {}, l.edited_payload)] : '',
      el('h2', {}, 'Headers'), el('pre', {}, l.headers ? JSON.stringify(l.headers, null, 1) : 'none'), timeline(l));
    follow(body, [l], look);
  }

  return {title: `Dead letter ${id}`, node: el('div', {}, el('p', {}, el('a', {href: '#/letters'}, 'All kinds')), trouble, body), begin: look};
}
