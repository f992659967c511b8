// Pieces that all views use: icons, names, fields, menus, dialogs, messages, dates.

/** What a click on `data-action` does: name → (element, event). Views add theirs. */
const actions = {};
/** What submitting a form with `data-submit` does: name → (dialog, form). */
const submits = {};

const icon = (name) => html`<svg class="icon" aria-hidden="true"><use href="#i-${name}"/></svg>`;
const idOf = (text) => encodeURIComponent(text.toWellFormed?.() ?? text).replace(/%/g, '.');

const TAIL = 10;
/** A name that is cut in the middle where it does not fit; whole in its title and when it is copied. */
function cut(text, look = '') {
  const whole = String(text ?? '');
  const letters = [...whole];
  if (letters.length <= 2 * TAIL || /[\u0590-\u08ff]/.test(whole)) return html`<bdi class="cut ${look}" title="${whole}"><span class="head">${whole}</span></bdi>`;
  return html`<bdi class="cut ${look}" title="${whole}"><span class="head">${letters.slice(0, -TAIL).join('')}</span><span>${letters.slice(-TAIL).join('')}</span></bdi>`;
}

/** A button and its menu; the items come into the document when it opens. */
function menu(id, label, items) {
  return html`<button class="quiet" type="button" id="open-${id}" popovertarget="menu-${id}" aria-label="${label}" title="${label}">${icon('more')}</button>
    <div class="menu" popover id="menu-${id}" data-opener="open-${id}">${state.menu === `menu-${id}` && items.filter(Boolean).map((item) =>
      html`<button type="button" class="${item.look}" data-action="${item.action}" data-name="${item.name}" data-more="${item.more}" ${item.disabled && 'disabled'}>${icon(item.icon)}${item.label}</button>`)}</div>`;
}

/** A labelled input. `bind` is the path in the dialog's draft (`draft.name`) or in the state (`play.prompt`). */
function field({ bind, id = `f-${bind}`, label, value, hint, type = 'text', placeholder, list, look = '', problem, rows, options, more, secret, disabled }) {
  const common = html`id="${id}" data-bind="${bind}" ${problem && html`aria-invalid="true"`} ${hint && html`aria-describedby="${id}-hint"`} ${disabled && 'disabled'}`;
  const control = options ? html`<span class="select"><select ${common}>${options.map(([id, text]) => html`<option value="${id}" ${id === value && 'selected'}>${text}</option>`)}</select>${icon('down')}</span>`
    : rows ? html`<textarea class="${look}" rows="${rows}" spellcheck="false" placeholder="${placeholder}" ${secret && 'data-secret'} ${common}>
${!secret && value}</textarea>`
    : secret ? secretInput(common, id, placeholder)
    : html`<input class="${look}" type="${type}" value="${value}" placeholder="${placeholder}" ${list && html`list="${list}"`} spellcheck="false" autocapitalize="off" autocomplete="off" ${common}>`;
  return html`<div class="field" data-key="field-${id}"><label for="${id}">${label}</label>${control}${problem && html`<p class="problem" id="${id}-problem">${problem}</p>`}${hint && html`<p class="hint" id="${id}-hint">${hint}</p>`}${more}</div>`;
}

/** What is typed here stays a property of the input and never becomes part of the document. */
function secretInput(common, id, placeholder) {
  return html`<span class="secret"><input type="password" data-secret placeholder="${placeholder}" spellcheck="false" autocapitalize="off" autocomplete="new-password" ${common}><button class="quiet" type="button" data-action="show" data-name="${id}" aria-label="${t('show_secret')}" title="${t('show_secret')}">${icon('eye')}</button></span>`;
}
actions.show = (button) => {
  const input = document.getElementById(button.dataset.name);
  input.type = input.type === 'password' ? 'text' : 'password';
};

const toggle = ({ action, name, more, on, label, disabled, look = 'switch', text }) =>
  html`<button type="button" role="switch" class="${look}" aria-checked="${on ? 'true' : 'false'}" data-action="${action}" data-name="${name}" data-more="${more}" ${disabled && 'disabled'} ${label && html`aria-label="${label}" title="${label}"`}>${look === 'switch' ? html`<span class="knob"></span>` : icon(on ? 'check' : 'close')}${text}</button>`;

const check = ({ bind, label, on, hint }) => html`<label class="check"><input type="checkbox" id="f-${bind}" data-bind="${bind}" ${on && 'checked'}><span>${label}${hint && html`<span class="hint">${hint}</span>`}</span></label>`;

const copyButton = (text, label = t('copy'), look = 'quiet') =>
  html`<button type="button" class="${look} copy" data-action="copy" data-text="${text}" aria-label="${label}" title="${label}">${icon('copy')}${look !== 'quiet' && label}</button>`;

actions.copy = async (button) => {
  const done = await copyText(button.dataset.text);
  button.classList.add(done ? 'done' : 'failed');
  $('use', button)?.setAttribute('href', done ? '#i-check' : '#i-close');
  say(t(done ? 'copied' : 'copy_failed'));
  setTimeout(() => {
    button.classList.remove('done', 'failed');
    $('use', button)?.setAttribute('href', '#i-copy');
  }, 1500);
};

/** Also on plain http, where browsers offer no clipboard: a LAN address is the usual home of this page. */
async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement('textarea');
    area.value = text;
    area.className = 'away';
    const focused = document.activeElement;
    (focused?.closest('dialog') ?? document.body).append(area);
    area.select();
    const done = document.execCommand('copy');
    area.remove();
    focused?.focus();
    return done;
  }
}

// Messages

const TOAST_MS = 5000;
const UNDO_MS = 8000;
let toastCount = 0;
/** One line at the bottom. `undo` adds a button; its result is awaited by nobody. */
function toast(text, look = '', undo) {
  const entry = { id: `toast-${toastCount++}`, text, look, undo };
  state.toasts = [...state.toasts.filter((other) => other.text !== text), entry].slice(-3);
  schedule();
  setTimeout(() => dismiss(entry.id), undo ? UNDO_MS : look === 'bad' ? 2 * TOAST_MS : TOAST_MS);
}
function dismiss(id) {
  state.toasts = state.toasts.filter((entry) => entry.id !== id);
  schedule();
}
actions.dismiss = (button) => dismiss(button.dataset.name);
actions.undo = (button) => {
  const entry = state.toasts.find((entry) => entry.id === button.dataset.name);
  dismiss(button.dataset.name);
  entry?.undo();
};
/** For screen readers only. */
const say = (text) => { $('#said').textContent = text; };

function drawToasts() {
  const area = $('#toasts');
  draw(area, html`${state.toasts.map((entry) => html`<div class="toast ${entry.look}" data-key="${entry.id}"><span>${entry.text}</span>${entry.undo && html`<button type="button" data-action="undo" data-name="${entry.id}">${t('undo')}</button>`}<button type="button" class="quiet" data-action="dismiss" data-name="${entry.id}" aria-label="${t('close')}">${icon('close')}</button></div>`)}`);
  const open = area.matches(':popover-open');
  const newest = state.toasts.at(-1)?.id ?? '';
  if (open && area.dataset.newest !== newest) area.hidePopover(); // shown again it lies above dialogs
  if (newest && !area.matches(':popover-open')) area.showPopover();
  area.dataset.newest = newest;
}

// Dialogs

let dialogCount = 0;
/** Opens a dialog: `kind` names its view in `dialogViews`. */
function open(kind, data) {
  const dialog = { kind, id: `dialog-${dialogCount++}`, problems: [], error: '', busy: false, ...data };
  dialog.untouched = JSON.stringify(dialog.draft ?? null);
  state.dialogs.push(dialog);
  schedule();
  return dialog;
}
const dialogViews = {};
const isChanged = (dialog) => dialog.untouched !== null && JSON.stringify(dialog.draft ?? null) !== dialog.untouched;
function shut(dialog) {
  state.dialogs = state.dialogs.filter((other) => other !== dialog);
  schedule();
}
const dialogOf = (element) => {
  const id = element?.closest('[data-dialog]')?.dataset.dialog;
  return state.dialogs.find((dialog) => dialog.id === id) ?? (state.first?.id === id ? state.first : undefined);
};
async function leaveDialog(dialog) {
  if (dialog.busy) return;
  if (isChanged(dialog) && !(await confirmed({ title: t('discard_title'), text: t('discard_text'), yes: t('discard'), look: 'danger' }))) return;
  dialog.resolve?.(null);
  shut(dialog);
}
actions.close = (button) => leaveDialog(dialogOf(button));

function modal(dialog, { title, body, foot, submit, look = '' }) {
  return html`<dialog id="${dialog.id}" class="${look}" aria-labelledby="${dialog.id}-title" data-dialog="${dialog.id}"><form data-submit="${submit}" novalidate autocomplete="off">
    <header><h2 id="${dialog.id}-title">${title}</h2><button type="button" class="quiet" data-action="close" aria-label="${t('close')}" title="${t('close')}">${icon('close')}</button></header>
    <div class="body">${body}</div>${formError(dialog)}${foot && html`<footer>${foot}</footer>`}</form></dialog>`;
}

/** What is wrong with a form, in one place above its buttons. */
const formError = (dialog) => html`<div class="form-error" role="alert">${dialog.error && html`<p>${icon('warn')}<span>${dialog.error}</span></p>`}${dialog.problems.length > 1 && html`<ul>${dialog.problems.slice(0, 8).map((problem) => html`<li><code>${problem.path}</code> ${problem.message}</li>`)}</ul>`}</div>`;

const cancelButton = () => html`<button type="button" data-action="close">${t('cancel')}</button>`;
const saveButton = (dialog, label = t('save')) => html`<button class="primary" type="submit" ${dialog.busy && 'disabled'}>${dialog.busy ? t('saving') : label}</button>`;

/** The members of an entry that a form has no fields for, as JSON; they may hold secrets, so they stay out of the document. */
const restText = (entry, fields) => {
  const rest = Object.entries(entry ?? {}).filter(([key]) => !fields.includes(key));
  return rest.length ? JSON.stringify(Object.fromEntries(rest), null, 2) : '';
};
function restOf({ rest }) {
  if (!rest.trim()) return {};
  let value;
  try { value = parse(rest); } catch (error) { throw new Mistake('draft.rest', t('bad_json', { error: error.message })); }
  if (typeOf(value) !== 'json' || Array.isArray(value)) throw new Mistake('draft.rest', t('need_object'));
  return value;
}
const restField = ({ draft, problems }, list, placeholder) => html`<details ${draft.rest && 'open'}><summary>${t('more_options')}</summary><div class="fold">${field({ bind: 'draft.rest', label: t('rest'), value: draft.rest, rows: 5, look: 'mono', secret: true, placeholder, hint: t(`rest_${list}`), problem: problems.find(({ path }) => /\]\.(headers|flags|timeouts|kind|proxy|ca_file|retry)/.test(path))?.message })}</div></details>`;

/** Runs the saving of a form: shows what went wrong in the form, and closes it when it went well. */
async function submitForm(dialog, work) {
  if (dialog.busy) return;
  Object.assign(dialog, { busy: true, error: '', problems: [] });
  schedule();
  try {
    await work();
    dialog.busy = false;
    shut(dialog);
    return true;
  } catch (failure) {
    if (!(failure instanceof Failure)) console.error(failure);
    Object.assign(dialog, { busy: false, error: failure.message, problems: failure.body?.problems ?? [] });
    schedule();
    drawNow();
    const wrong = document.getElementById(failure.field ?? '') ?? $(`[data-dialog="${dialog.id}"] [aria-invalid]`);
    const fold = wrong?.closest('details');
    if (fold) fold.open = true;
    wrong?.focus();
    return false;
  }
}
/** A mistake that the page itself sees: the field is named, and gets the focus. */
class Mistake extends Failure {
  constructor(bind, message) {
    super(0, message);
    this.field = `f-${bind}`;
  }
}

/** Asks; true if the answer is yes. */
function confirmed({ title, text, yes, look = 'primary', list = [] }) {
  return new Promise((resolve) => open('confirm', { title, text, yes, look, list, resolve }));
}
dialogViews.confirm = (dialog) => modal(dialog, {
  title: dialog.title,
  look: 'narrow',
  submit: 'confirm',
  body: html`<p>${dialog.text}</p>${dialog.list.length > 0 && html`<ul class="names">${dialog.list.slice(0, 12).map((name) => html`<li>${cut(name, 'mono')}</li>`)}${dialog.list.length > 12 && html`<li>${t('and_more', { n: dialog.list.length - 12 })}</li>`}</ul>`}`,
  foot: html`<button type="button" data-action="close">${t('cancel')}</button><button class="${dialog.look}" type="submit">${dialog.yes}</button>`,
});
submits.confirm = (dialog) => {
  shut(dialog);
  dialog.resolve(true);
};

const askAboutClashes = (clashes) => new Promise((resolve) => {
  open('clash', { clashes, draft: Object.fromEntries(clashes.map(({ key }) => [key || 'entry', 'mine'])), resolve }).untouched = null;
});
const CONCEALED = ['auth', 'headers'];
dialogViews.clash = (dialog) => modal(dialog, {
  title: t('clash_title'),
  submit: 'clash',
  body: html`<p>${t('clash_text')}</p>${dialog.clashes.map(({ key, mine, theirs }) => {
    const id = key || 'entry';
    const shown = (value) => value === undefined ? t('not_there') : CONCEALED.includes(key) ? t('concealed') : plain(value);
    const choice = (side, value) => html`<label class="choice"><input type="radio" name="clash-${id}" value="${side}" data-bind="draft.${id}" ${dialog.draft[id] === side && 'checked'}><span><b>${t(`clash_${side}`)}</b> <code>${shown(value)}</code></span></label>`;
    return html`<fieldset><legend><code>${key || t('clash_entry')}</code></legend>${choice('mine', mine)}${choice('theirs', theirs)}</fieldset>`;
  })}`,
  foot: html`<button type="button" data-action="close">${t('cancel')}</button><button class="primary" type="submit">${t('clash_save')}</button>`,
});
submits.clash = (dialog) => {
  shut(dialog);
  dialog.resolve(Object.fromEntries(dialog.clashes.map(({ key }) => [key, dialog.draft[key || 'entry']])));
};

/** A JSON value as a person would type it. */
const plain = (value) => typeof value === 'string' ? value : value === undefined ? '' : JSON.stringify(value);

// Times and numbers

const relative = (ms) => {
  const format = new Intl.RelativeTimeFormat(language(), { numeric: 'auto', style: 'short' });
  const seconds = Math.round((ms - Date.now()) / 1000);
  const size = Math.abs(seconds);
  return size < 60 ? format.format(seconds, 'second') : size < 3600 ? format.format(Math.round(seconds / 60), 'minute')
    : size < 86400 ? format.format(Math.round(seconds / 3600), 'hour') : format.format(Math.round(seconds / 86400), 'day');
};
const moment = (ms) => new Intl.DateTimeFormat(language(), { dateStyle: 'medium', timeStyle: 'medium' }).format(ms);
const clock = (ms) => new Intl.DateTimeFormat(language(), { hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false }).format(ms);
const number = (value, digits = 0) => new Intl.NumberFormat(language(), { maximumFractionDigits: digits }).format(value);
const span = (ms) => ms === null || ms === undefined ? '' : ms < 1000 ? `${number(ms)} ms` : `${number(ms / 1000, ms < 10000 ? 2 : 1)} s`;
const bytes = (n) => n < 1024 ? `${number(n)} B` : n < 1048576 ? `${number(n / 1024, 1)} KB` : `${number(n / 1048576, 1)} MB`;
/** A stretch of seconds in its largest unit. */
const lasting = (s) => {
  const [value, unit] = s < 120 ? [s, 'second'] : s < 7200 ? [s / 60, 'minute'] : s < 172800 ? [s / 3600, 'hour'] : [s / 86400, 'day'];
  return new Intl.NumberFormat(language(), { style: 'unit', unit, unitDisplay: 'long', maximumFractionDigits: 0 }).format(value);
};
