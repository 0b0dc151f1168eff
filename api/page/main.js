// Which view is shown, and how it is kept up to date.
import {ask} from './dialog.js';
import {el, show} from './dom.js';
import {letter, letterGroups, letterList} from './letters.js';
import {lookup} from './lookup.js';
import {overview} from './overview.js';
import {pipeline} from './pipeline.js';
import {hasKey, setKey, watch} from './server.js';

const main = document.getElementById('main');
const connection = document.getElementById('connection');
let view = null;
let timer = null;
let watching = null;
let statistics = null;
let asking = false;

/** The view of an address: #/, #/pipelines/NAME, #/letters?…, #/letters/list?…, #/letters/ID, #/events/ID. */
function viewOf(hash) {
  const [place, query] = hash.replace(/^#\/?/, '').split('?');
  const [kind, name] = place.split('/').map(decoded);
  const parameters = new URLSearchParams(query);
  if (kind === 'pipelines' && name) return pipeline(name);
  if (kind === 'letters' && name === 'list') return letterList(parameters);
  if (kind === 'letters' && name) return letter(name);
  if (kind === 'letters') return letterGroups(parameters);
  if (kind === 'events') return lookup(name);
  return overview();
}

/** What somebody wrote by hand may be no percent-encoding. */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Whether a link of the navigation leads to the view that is open, or to one above it. */
function isAbove(link) {
  const place = location.hash.split('?')[0];
  if (link.pathname !== location.pathname) return false;
  return link.hash === '#/' ? ['', '#/'].includes(place) || place.startsWith('#/pipelines/') : `${place}/`.startsWith(`${link.hash}/`);
}

async function run(work) {
  const its = view;
  try {
    await work();
    if (its === view) document.getElementById('view-error')?.remove();
  } catch (error) {
    if (its !== view) return;
    if (error.status === 401) await askKey();
    document.getElementById('view-error')?.remove();
    main.prepend(el('p', {class: 'error', role: 'alert', id: 'view-error'}, error.message));
  }
}

function open() {
  clearTimeout(timer);
  view = viewOf(location.hash);
  document.title = `${view.title} – Millrace`;
  show(main, view.node);
  for (const link of document.querySelectorAll('nav a')) {
    if (isAbove(link)) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  if (statistics && view.take) view.take(statistics);
  if (view.begin) run(view.begin);
  if (view.every) repeat(view, ...view.every);
}

async function repeat(its, ms, work) {
  if (its !== view) return;
  if (!document.hidden) await run(work);
  if (its === view) timer = setTimeout(() => repeat(its, ms, work), ms);
}

function connect() {
  watching?.abort();
  watching = new AbortController();
  watch(watching.signal, (document) => {
    statistics = document;
    if (view.take) view.take(document);
  }, (state, why, error) => {
    const text = state === 'live' ? 'live' : `connection lost: ${why} Trying again.`;
    if (connection.textContent !== text) connection.textContent = text;
    connection.className = state;
    if (error?.status === 401) askKey();
  });
}

async function askKey() {
  if (asking) return;
  asking = true;
  const filled = await ask('Key', 'The key of the API. It is kept for this tab only.', 'Use it', [{name: 'key', label: 'Key'}]);
  asking = false;
  if (!filled) return;
  setKey(filled.key);
  if (!hasKey()) connection.textContent = 'no key';
  connect();
  open();
}

document.querySelector('.skip').addEventListener('click', (event) => {
  event.preventDefault(); // an address of its own would be another view
  main.focus();
});
document.getElementById('key').addEventListener('click', askKey);
window.addEventListener('hashchange', () => {
  open();
  main.focus();
});
open();
connect();
