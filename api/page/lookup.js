// An event by its id or its Kafka coordinate: the row, and what became of it.
import {badge, el, facts, moment, show} from './dom.js';
import {get, getExact, path, Problem} from './server.js';

function row(event) {
  return el('section', {'aria-label': 'Row'}, el('h2', {}, 'Row'),
    facts(Object.entries(event).map(([name, value]) => [name, value !== null && typeof value === 'object' ? JSON.stringify(value) : value])));
}

function status(list) {
  return list.map((s) => el('section', {'aria-label': `Status in ${s.pipeline}`}, el('h2', {}, `In pipeline ${s.pipeline}`),
    facts([['Status', badge(s.status, !['dead', 'lost', 'retrying'].includes(s.status))], ['Since', moment(s.since)], ['Tries that failed', s.attempt],
      ['Next try', s.next_try && moment(s.next_try)], ['Reason', s.detail?.reason]]),
    el('ol', {}, (s.detail?.timeline || []).map((t) => el('li', {}, moment(t.at), ' ', t.what || '', ' ', t.message || '')))));
}

/** A view, with the event of that id if there is one. */
export function lookup(id) {
  const found = el('div', {'aria-live': 'polite'});
  const input = el('input', {id: 'event-id', name: 'id', required: true, value: id || '', autocomplete: 'off', spellcheck: 'false'});
  const form = el('form', {onsubmit: (e) => {
    e.preventDefault();
    location.hash = `#/events/${encodeURIComponent(input.value.trim())}`;
  }}, el('label', {for: 'event-id'}, 'Id, or topic:partition:offset'), input, el('button', {type: 'submit'}, 'Look up'));

  /** What may be refused without spoiling the rest: null, and why. */
  async function maybe(request, ask = getExact) {
    try {
      return await ask(request);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      return error;
    }
  }

  async function look() {
    const [event, its] = await Promise.all([maybe(`/events?id=${encodeURIComponent(id)}`), maybe(path`/events/${id}/status`, get)]);
    const byCoordinate = event instanceof Problem || event.length === 0 ? await maybe(path`/events/${id}`) : event[0];
    show(found,
      byCoordinate instanceof Problem ? el('p', {class: 'quiet'}, `Row: ${byCoordinate.message}`) : row(byCoordinate),
      its instanceof Problem ? el('p', {class: 'quiet'}, `Status: ${its.message}`) : status(Array.isArray(its) ? its : its.pipelines || [its]));
  }

  return {title: id ? `Event ${id}` : 'Look up an event', node: el('div', {}, el('h1', {}, 'Look up an event'), form, found), begin: id ? look : null};
}
