// The reference of the API, made of /openapi.json. What the document says becomes text, never markup.
import {el, show, table} from './dom.js';

const main = document.getElementById('main');
let api;

/** What a "$ref" points to within the document. */
function resolve(thing) {
  while (thing?.$ref) thing = thing.$ref.slice(2).split('/').reduce((at, name) => at?.[name], api);
  return thing ?? {};
}

const named = (thing) => thing?.$ref?.split('/').pop();

/** A schema in one line; the members of objects that have no name of their own are in `members`. */
function kind(schema = {}) {
  if (named(schema)) return named(schema);
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(' | ');
  const choices = schema.oneOf ?? schema.anyOf;
  if (choices) return choices.map(kind).join(' | ');
  const types = [schema.type ?? 'any'].flat().map((type) => (type === 'array' ? `list of ${kind(schema.items)}` : type)).join(' | ');
  const least = schema.minimum ?? schema.minLength ?? schema.minItems;
  const most = schema.maximum ?? schema.maxLength ?? schema.maxItems;
  const range = least !== undefined || most !== undefined ? `, ${least ?? ''} to ${most ?? ''}` : '';
  return types + (schema.format ? ` (${schema.format})` : '') + range;
}

/** The members of an object, or of the objects of a list, as rows: [path, schema, required?]. */
function members(schema, path = '') {
  if (named(schema) && path) return [];
  const object = resolve(schema);
  if (object.items) return members(object.items, path ? `${path}[]` : '');
  return Object.entries(object.properties ?? {}).flatMap(([name, member]) => {
    const at = path ? `${path}.${name}` : name;
    return [[at, member, object.required?.includes(name)], ...members(member, at)];
  });
}

function schemaTable(caption, schema) {
  const rows = members(schema);
  return rows.length === 0 ? null : el('details', {}, el('summary', {}, caption), table(caption, [
    ['Member', ([path]) => el('code', {}, path), 'text'],
    ['Type', ([, member]) => kind(member), 'text'],
    ['Description', ([, member, required]) => [required ? 'always there. ' : '', resolve(member).description ?? ''], 'text'],
  ], rows));
}

function body(title, content = {}) {
  return Object.entries(content).map(([type, {schema}]) => [
    el('p', {}, `${title} `, el('code', {}, type), `: ${kind(schema)}`, schema?.description ? ` (${schema.description})` : ''),
    schemaTable(`Members of ${title.toLowerCase()} ${type}`, schema)]);
}

/** A command that can be pasted into a shell: examples in place of parameters in the path. */
function curl(method, path, operation) {
  const quote = (text) => (/^[\w./:=-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
  const filled = path.replace(/{(\w+)}/g, (_, name) =>
    operation.parameters?.find((parameter) => parameter.name === name)?.example ?? name.toUpperCase());
  const key = operation.security?.some((way) => way.key) ? ['-H', "'Authorization: Bearer KEY'"] : [];
  return ['curl', ...(method === 'get' ? [] : ['-X', method.toUpperCase()]), ...key, quote(location.origin + filled)].join(' ');
}

function scopes(operation) {
  const needed = operation.security?.flatMap((way) => way.key ?? []) ?? [];
  return needed.length === 0 ? 'needs no key' : `scope ${needed.join(', ')}`;
}

function operationSection(path, method, operation) {
  const parameters = (operation.parameters ?? []).map(resolve);
  return el('section', {id: operation.operationId, 'aria-labelledby': `${operation.operationId}-title`},
    el('h2', {id: `${operation.operationId}-title`}, el('code', {}, `${method.toUpperCase()} ${path}`)),
    el('p', {}, operation.summary, '; ', scopes(operation), '.'),
    operation.description ? el('p', {}, operation.description) : null,
    el('pre', {}, curl(method, path, operation)),
    parameters.length === 0 ? null : table('Parameters', [
      ['Name', (parameter) => el('code', {}, parameter.name)],
      ['In', (parameter) => parameter.in],
      ['Type', (parameter) => kind(parameter.schema), 'text'],
      ['Description', (parameter) => parameter.description ?? '', 'text'],
    ], parameters),
    body('Body', resolve(operation.requestBody).content),
    table('Answers', [
      ['Status', ([status]) => status],
      ['Description', ([, answer]) => resolve(answer).description, 'text'],
      ['Types', ([, answer]) => Object.keys(resolve(answer).content ?? {}).join(', '), 'text'],
    ], Object.entries(operation.responses)),
    Object.entries(operation.responses).filter(([status]) => status[0] === '2')
      .map(([, answer]) => body('Answer', resolve(answer).content)));
}

async function start() {
  const answer = await fetch('/openapi.json');
  if (!answer.ok) throw new Error(`/openapi.json: ${answer.status}`);
  api = await answer.json();
  const operations = Object.entries(api.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => [path, method, operation]));
  show(main,
    el('h1', {}, `${api.info.title} ${api.info.version}`),
    el('p', {}, api.info.description),
    el('nav', {'aria-label': 'Routes'}, el('ul', {}, operations.map(([path, method, operation]) =>
      el('li', {}, el('a', {href: `#${operation.operationId}`}, el('code', {}, `${method.toUpperCase()} ${path}`)), ` ${operation.summary}`)))),
    operations.map((operation) => operationSection(...operation)),
    el('h2', {}, 'Schemas'),
    Object.entries(api.components.schemas).map(([name, schema]) =>
      [el('p', {}, el('strong', {}, name), ` ${schema.description ?? ''}`), schemaTable(`Members of ${name}`, schema)]));
  if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

start().catch((error) => show(main, el('div', {class: 'error', role: 'alert'}, `The document cannot be shown: ${error.message}`)));
