// Questions before something is done, and what is shown when it fails.
import {el, show} from './dom.js';

/**
 * Asks, and waits for the answer: null when it is no, else an object with what was filled in.
 * fields: [{name, label, value, long, required}].
 */
export function ask(title, text, yes, fields = []) {
  const dialog = document.getElementById('dialog');
  const inputs = fields.map((f) => el(f.long ? 'textarea' : 'input', {id: `field-${f.name}`, name: f.name, required: f.required, rows: f.long ? 12 : null,
    spellcheck: 'false', value: f.long ? null : f.value || ''}));
  fields.forEach((f, i) => { if (f.long) inputs[i].value = f.value || ''; });
  return new Promise((resolve) => {
    const form = el('form', {method: 'dialog'},
      el('h2', {id: 'dialog-title'}, title), typeof text === 'string' ? el('p', {}, text) : text,
      fields.map((f, i) => [el('label', {for: `field-${f.name}`}, f.label), inputs[i]]),
      el('p', {class: 'actions'}, el('button', {type: 'submit', value: 'yes'}, yes),
        el('button', {type: 'button', onclick: () => dialog.close('no')}, 'Cancel')));
    show(dialog, form);
    dialog.returnValue = 'no';
    dialog.addEventListener('close', () => resolve(dialog.returnValue === 'yes'
      ? Object.fromEntries(inputs.map((input) => [input.name, input.value])) : null), {once: true});
    dialog.showModal();
  });
}

/** Runs it; what goes wrong is shown. */
export async function guarded(place, work) {
  show(place);
  try {
    await work();
  } catch (error) {
    show(place, el('p', {class: 'error', role: 'alert'}, error.message));
  }
}
