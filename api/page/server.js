// What is asked of the server. The key is sent as a header field, kept for this tab only, and never in an address.

const KEY = 'millrace-key';

export function setKey(key) {
  if (key) sessionStorage.setItem(KEY, key);
  else sessionStorage.removeItem(KEY);
}

export const hasKey = () => sessionStorage.getItem(KEY) !== null;

/** With the key. One that the server does not know is forgotten: sent again and again it would count as guessing. */
async function send(path, options) {
  const key = sessionStorage.getItem(KEY);
  const headers = key ? {...options.headers, Authorization: `Bearer ${key}`} : options.headers;
  const response = await fetch(path, {...options, headers});
  if (response.status === 401 && sessionStorage.getItem(KEY) === key) setKey('');
  return response;
}

/** A refusal by the server: its title, detail and hint in words. */
export class Problem extends Error {
  constructor(status, document) {
    super([document.detail || (document.title && `${document.title}.`), document.hint].filter(Boolean).join(' ') || `The server answered ${status}.`);
    this.status = status;
    this.code = document.code;
  }
}

async function answer(response, parse = JSON.parse) {
  const text = await response.text();
  let document = {};
  try {
    document = parse(text);
  } catch {
    if (response.ok) throw new Error('The answer is not JSON.');
  }
  if (!response.ok) throw new Problem(response.status, document);
  return document;
}

export async function get(path) {
  return answer(await send(path, {headers: {Accept: 'application/json'}}));
}

/** What JavaScript would show otherwise than it was sent becomes a text: whole numbers beyond 2^53, digits behind a double's, zeros at the end. */
function parseExactly(text) {
  return JSON.parse(text.replace(/"(?:[^"\\]|\\.)*"|-?\d[\d.]*(?:[eE][+-]?\d+)?/g,
    (token) => (token[0] === '"' || String(Number(token)) === token ? token : `"${token}"`)));
}

/** With each number as it was sent. */
export async function getExact(path) {
  return answer(await send(path, {headers: {Accept: 'application/json'}}), parseExactly);
}

/** A list's page, and the path of the next one, if there is one. */
export async function getPage(path) {
  const response = await send(path, {headers: {Accept: 'application/json'}});
  const next = /<([^>]*)>; rel="next"/.exec(response.headers.get('Link') || '');
  return {items: await answer(response), next: next ? next[1] : null};
}

export async function post(path, body) {
  return answer(await send(path, {
    method: 'POST', headers: body === undefined ? {} : {'Content-Type': 'application/json'},
    body: body === undefined ? undefined : JSON.stringify(body),
  }));
}

/** Path segments and parameters may hold anything. */
export function path(strings, ...values) {
  return strings.reduce((out, text, i) => out + encodeURIComponent(values[i - 1]) + text);
}

const QUIET_MS = 5000; // without a word from the server for so long, the connection is lost

/**
 * Statistics as they change, until the signal ends it: take(document) with each, state('live' | 'lost', why) when that
 * changes. By server-sent events; a server or proxy that has none is asked every two seconds. Stops while the tab is hidden.
 */
export async function watch(signal, take, state) {
  while (!signal.aborted) {
    await visible(signal);
    try {
      await stream(signal, take, state);
    } catch (error) {
      if (!signal.aborted) state('lost', error.message, error);
    }
    await pause(2000, signal);
  }
}

async function stream(signal, take, state) {
  const own = new AbortController();
  const stop = () => own.abort();
  signal.addEventListener('abort', stop);
  document.addEventListener('visibilitychange', stop);
  let quiet = setTimeout(stop, QUIET_MS);
  try {
    const response = await send('/events/all', {
      headers: {Accept: 'text/event-stream, application/json;q=0.5'}, signal: own.signal});
    const type = response.headers.get('Content-Type') || '';
    if (!response.ok || !type.startsWith('text/event-stream')) {
      take(await answer(response));
      state('live');
      return;
    }
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let rest = ''; ;) {
      const {done, value} = await reader.read();
      if (done) throw new Error('The server ended the stream.');
      clearTimeout(quiet);
      quiet = setTimeout(stop, QUIET_MS);
      const parts = (rest + value).split(/\r?\n\r?\n/);
      rest = parts.pop();
      for (const part of parts) {
        const data = part.split(/\r?\n/).filter((line) => line.startsWith('data:')).map((line) => line.slice(5)).join('\n');
        if (data === '') continue;
        take(JSON.parse(data));
        state('live');
      }
    }
  } catch (error) {
    if (document.hidden) return;
    throw own.signal.aborted && !signal.aborted ? new Error('The server is silent.') : error;
  } finally {
    clearTimeout(quiet);
    own.abort();
    signal.removeEventListener('abort', stop);
    document.removeEventListener('visibilitychange', stop);
  }
}

function visible(signal) {
  if (!document.hidden) return Promise.resolve();
  return new Promise((resolve) => {
    document.addEventListener('visibilitychange', resolve, {once: true});
    signal.addEventListener('abort', resolve, {once: true});
  });
}

function pause(ms, signal) {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
    signal.addEventListener('abort', resolve, {once: true});
  });
}
