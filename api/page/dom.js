// Nodes and texts. What comes from the server becomes text, never markup: nothing here takes HTML.

/** An element. attributes: name: value; on…: a listener; null and false are left out. children: nodes, texts, lists of them. */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? '' : value);
  }
  append(node, children);
  return node;
}

function append(node, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : String(child));
  }
}

/** Replaces what a node has; the focus stays where it was when the new content has an element of the same id. */
export function show(node, ...children) {
  keepFocus(node, () => {
    node.replaceChildren();
    append(node, children);
  });
}

/**
 * The same again and again, of content without listeners: an element that is still wanted stays, and with it what the reader has
 * selected, scrolled, unfolded, or is about to click.
 */
export function refresh(node, ...children) {
  const wanted = node.cloneNode(false);
  append(wanted, children);
  keepFocus(node, () => patch(node, wanted));
}

function keepFocus(node, work) {
  const focused = node.contains(document.activeElement) ? document.activeElement.id : '';
  work();
  if (focused && document.activeElement.id !== focused) document.getElementById(focused)?.focus();
}

function patch(node, wanted) {
  while (node.childNodes.length > wanted.childNodes.length) node.lastChild.remove();
  [...wanted.childNodes].forEach((child, i) => {
    const present = node.childNodes[i];
    if (!present) node.append(child);
    else if (present.nodeName !== child.nodeName || present.id !== child.id) present.replaceWith(child);
    else if (child.nodeType !== Node.ELEMENT_NODE) {
      if (present.data !== child.data) present.data = child.data;
    } else {
      for (const {name} of [...present.attributes]) if (name !== 'open' && !child.hasAttribute(name)) present.removeAttribute(name);
      for (const {name, value} of child.attributes) if (present.getAttribute(name) !== value) present.setAttribute(name, value);
      patch(present, child);
    }
  });
}

/** A table. columns: [heading, row => cell, 'number' or 'text' (may be long)?]. */
export function table(caption, columns, rows, none = 'none') {
  if (rows.length === 0) return el('p', {class: 'quiet'}, `${caption}: ${none}`);
  return el('div', {class: 'scroll', tabindex: 0, role: 'region', 'aria-label': caption},
    el('table', {},
      el('caption', {}, caption),
      el('thead', {}, el('tr', {}, columns.map(([heading, , kind]) => el('th', {scope: 'col', class: kind}, heading)))),
      el('tbody', {}, rows.map((row) => el('tr', {}, columns.map(([, cell, kind], i) =>
        el(i === 0 ? 'th' : 'td', {scope: i === 0 ? 'row' : null, class: kind}, cell(row))))))));
}

/** Names and values. pairs: [name, value]; those without a value are left out. kind: tiles, one beside the other. */
export function facts(pairs, kind) {
  return el('dl', {class: kind}, pairs.filter(([, value]) => value !== null && value !== undefined && value !== '')
    .map(([name, value]) => el('div', {}, el('dt', {}, name), el('dd', {}, value))));
}

/** A whole number with spaces between thousands; one that came as a text keeps every digit. */
export function whole(value) {
  if (value === null || value === undefined) return '–';
  const text = typeof value === 'string' ? value : String(Math.round(value));
  return text.replace(/\B(?=(\d{3})+$)/g, '\u202f');
}

/** So many of them: 1 dead letter, 2 dead letters. */
export function count(value, one, many = `${one}s`) {
  return `${whole(value)} ${String(value) === '1' ? one : many}`;
}

/** A rate: three digits that matter. */
export function rate(value) {
  if (value === null || value === undefined) return '–';
  return value >= 100 ? whole(value) : Number(value).toFixed(value >= 10 ? 1 : 2);
}

/** Seconds in words. */
export function seconds(value) {
  if (value === null || value === undefined) return '–';
  const s = Number(value);
  if (s < 1) return `${Math.round(s * 1000)} ms`;
  if (s < 120) return `${s.toFixed(s < 10 ? 1 : 0)} s`;
  if (s < 7200) return `${Math.round(s / 60)} min`;
  if (s < 172800) return `${Math.round(s / 3600)} h`;
  return `${Math.round(s / 86400)} days`;
}

export const milliseconds = (value) => (value === null || value === undefined ? '–' : seconds(value / 1000));

/** A time as the reader's clock has it; the exact one is the title. */
export function moment(value) {
  if (!value) return '–';
  const date = new Date(value);
  if (Number.isNaN(date.getTime())) return String(value); // infinity
  return el('time', {datetime: value, title: value}, date.toLocaleString());
}

/** A state, with a colour that says the same as the word. */
export function badge(text, good) {
  return el('span', {class: `badge ${good ? 'good' : 'bad'}`}, text);
}
