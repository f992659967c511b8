// Pieces that all views use: icons, names, buttons, fields, menus, dialogs, messages, dates.

/** What a click on `data-action` does: name → (data, dialog, element); `data.name` and `data.more` say what it is about. */
const actions = {};
/** What submitting a form does: kind of its dialog → (dialog). The dialog closes when that went well, unless it gives true. */
const submits = {};

/** Does what a control asks for, and tells of what went wrong. */
const act = async (work, ...about) => {
  try {
    const done = work?.(...about);
    schedule();
    drawNow();
    await done;
  } catch (failure) {
    toast(reason(failure), 'bad');
  }
  schedule();
};
/** The sentence of a failure. A mistake of this page is for its console too. */
const reason = failure => {
  if (!(failure instanceof Failure)) console.error(failure);
  return failure.message;
};

const icon = name => html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><use href="#i-${name}"/></svg>`;
const tip = text => html`aria-label="${text}" title="${text}"`;
const element = name => (look, ...inside) => html`<${name} class="${look}">${inside}</${name}>`;
const div = element('div');
const p = element('p');
const span = element('span');
const card = (look, title, ...inside) => html`<section class="card ${look}" aria-label="${title}"><h2>${title}</h2>${inside}</section>`;
/** What may be longer than its place, for the keyboard too. */
const scroller = (look, title, ...inside) => html`<div class="${look}" tabindex="0" role="group" aria-label="${title}">${inside}</div>`;
const badge = (text, look = '') => span(`badge ${look}`, text);
const soft = text => p('soft', text);
const hint = text => p('hint', text);
const warned = text => text && p('failed', icon('warn'), span('', text));
const code = text => html`<code>${text}</code>`;
const list = (look, items) => html`<ul class="${look}">${items.map(item => html`<li>${item}</li>`)}</ul>`;
const fold = (title, inside, open, look) => html`<details class="${look}" ${open && 'open'}><summary>${title}</summary>${inside}</details>`;
const skeleton = () => span('skeleton', '\u00a0');

const TAIL = 10;
/** A name that is cut in the middle where it does not fit; whole in its title and when it is copied. */
const cut = (text, look) => {
  const whole = String(text ?? '');
  const letters = [...whole];
  const at = letters.length <= 2 * TAIL || /[\u0590-\u08ff]/.test(whole) ? letters.length : -TAIL;
  return html`<bdi class="cut ${look}" title="${whole}">${span('head', letters.slice(0, at))}${at < 0 && span('', letters.slice(at))}</bdi>`;
};

/** A button. Its words are those of its action; a `bare` one shows its icon only; `on` makes it one that stays pressed. */
const button = (action, { label = t(action), glyph, bare, look = bare && 'quiet', name, more, on, off, attributes } = {}) => html`<button type="button" class="${look}" data-action="${action}" data-name="${name}" data-more="${more}" ${on !== undefined && html`aria-pressed="${bool(on)}"`} ${bare && tip(label)} ${off && 'disabled'} ${attributes}>${glyph && icon(glyph)}${!bare && label}</button>`;
const link = (href, label, { glyph, look = '', said } = {}) => html`<a class="button ${look}" href="#/${href}" ${said && tip(said)}>${glyph && icon(glyph)}${label}</a>`;

/** A button and its menu; the items come into the document when it opens. */
const menu = (of, name, items) => {
  const id = `menu-${of}-${encode(name.toWellFormed())}`;
  return html`<button class="quiet" type="button" popovertarget="${id}" ${tip(t('actions_for', name))}>${icon('more')}</button><div class="menu" popover id="${id}">${state.menu === id && items.filter(Boolean).map(([action, glyph, label, more, about = name], at) => button(action, { label: t(label), glyph, name: about, more, look: label, attributes: !at && html`autofocus` }))}</div>`;
};

/** What a path leads to: the object that holds its last member, and the name of that. */
const holder = (path, at) => {
  const parts = path.split('.');
  while (parts.length > 1) at = at?.[parts.shift()];
  return [at, parts[0]];
};

let here = null; // the dialog that is being drawn
/** An input for a member of the dialog's draft; outside of dialogs, for a path in the state. */
const bound = name => {
  const bind = here ? `draft.${name}` : name;
  const [at, member] = holder(bind, here ?? state);
  return { id: `f-${bind}`, bind, value: at[member] };
};

/** The words of a path are those of its last member. */
const lastOf = path => path.replace(/.*\./, '');

/** A labelled input. `member` of the saved entry (a pattern) is where a problem of it is looked for. */
const field = (name, { label = lastOf(name), hint: below = WORDS[`${label}_hint`] && t(`${label}_hint`), member = name, type = 'text', placeholder, known, look, rows, options, secret, off } = {}) => {
  const { id, bind, value } = bound(name);
  const problem = here?.problems.find(({ path }) => path.startsWith(`${here.list}[`) && new RegExp(`\\]\\.(${member})\\b`).test(path))?.message;
  const common = html`id="${id}" data-bind="${bind}" class="${look}" placeholder="${placeholder}" ${secret && 'data-secret'} ${problem && html`aria-invalid="true"`} ${(problem || below) && html`aria-describedby="${id}-hint"`} ${off && 'disabled'}`;
  const control = options ? html`<span class="select"><select ${common}>${options.map(([id, text]) => html`<option value="${id}" ${id === value && 'selected'}>${text}</option>`)}</select>${icon('down')}</span>`
    : rows ? html`<textarea rows="${rows}" ${common}>&#10;${!secret && value}</textarea>`
    // What is typed here stays a property of the input and never becomes part of the document.
    : secret ? html`<span class="secret"><input type="password" autocomplete="new-password" ${common}>${button('show_or_hide', { glyph: 'eye', name: id, bare: true })}</span>`
    : html`<input type="${type}" value="${off ? '' : value}" ${known && html`list="${known}"`} ${common}>`;
  return html`<div class="field" data-key="field-${id}"><label for="${id}">${t(label)}</label>${control}<div id="${id}-hint">${problem && p('problem', problem)}${below && hint(below)}</div></div>`;
};
actions.show_or_hide = ({ name }) => {
  const input = byId(name);
  input.type = input.type === 'password' ? 'text' : 'password';
};

/** A switch; one with a `text` on it looks like a pill. */
const toggle = (action, { on, label, text, ...more }) => button(action, { ...more, look: text ? 'pill' : 'switch', glyph: text && (on ? 'check' : 'close'), label: text ?? span('knob'), attributes: html`role="switch" aria-checked="${bool(on)}" ${label && tip(label)}` });
const check = (name, label = t(lastOf(name)), below) => {
  const { id, bind, value } = bound(name);
  return html`<label class="check"><input type="checkbox" id="${id}" data-bind="${bind}" ${value && 'checked'}><span>${label}${below}</span></label>`;
};
const radio = (bind, id, on, label) => html`<label class="check"><input type="radio" name="${bind}" value="${id}" data-bind="${bind}" id="f-${bind}-${id}" ${on && 'checked'}><span>${label}</span></label>`;
const search = (bind, value, label) => html`<input type="search" data-bind="${bind}" value="${value}" placeholder="${label}" aria-label="${label}">`;

const copyButton = (text, look = 'quiet') => button('copy', { glyph: 'copy', look: `${look} copy`, name: text, bare: look === 'quiet' });
const snippet = (text, label, id) => html`<div class="snippet"><pre tabindex="0" id="${id}" aria-label="${label}"><code>${text}</code></pre>${copyButton(text, 'small')}</div>`;
actions.copy = async ({ name }, _, button) => {
  const done = await copyText(name);
  const mark = (glyph, ...looks) => {
    button.classList.remove('done', 'failed');
    button.classList.add(...looks);
    $('use', button)?.setAttribute('href', `#i-${glyph}`);
  };
  mark(done ? 'check' : 'close', done ? 'done' : 'failed');
  $('#said').textContent = t(done ? 'copied' : 'copy_failed');
  setTimeout(mark, 1500, 'copy');
};

/** Also on plain http, where browsers offer no clipboard: a LAN address is the usual home of this page. */
const copyText = async text => {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement('textarea');
    area.value = text;
    area.className = 'sr';
    const focused = document.activeElement;
    (focused?.closest('dialog') ?? document.body).append(area);
    area.select();
    const done = document.execCommand('copy');
    area.remove();
    focused?.focus();
    return done;
  }
};

// Messages

const TOAST_MS = 5000;
const UNDO_MS = 8000;
let count = 0;
/** One line at the bottom. `undo` adds a button that does it. */
const toast = (text, look = '', undo) => {
  const id = `toast-${count++}`;
  state.toasts = [...state.toasts.filter(other => other.text !== text), { id, text, look, undo }].slice(-3);
  schedule();
  setTimeout(actions.dismiss, undo ? UNDO_MS : look ? 2 * TOAST_MS : TOAST_MS, { name: id });
};
actions.dismiss = ({ name }) => {
  state.toasts = state.toasts.filter(({ id }) => id !== name);
  schedule();
};
actions.undo = ({ name }) => {
  const { undo } = state.toasts.find(({ id }) => id === name);
  actions.dismiss({ name });
  return undo();
};

const drawToasts = () => {
  const area = $('#toasts');
  draw(area, html`${state.toasts.map(({ id, text, look, undo }) => html`<div class="toast ${look}" data-key="${id}">${span('', text)}${undo && button('undo', { name: id })}${button('dismiss', { label: t('close'), name: id, glyph: 'close', bare: true })}</div>`)}`);
  const newest = state.toasts.at(-1)?.id ?? '';
  if (area.dataset.newest === newest) return;
  area.dataset.newest = newest;
  area.hidePopover(); // shown again it lies above dialogs
  if (newest) area.showPopover();
};

// Dialogs

/** Opens a dialog: `kind` names its view in `views` and what submitting it does. */
const open = (kind, data) => {
  const dialog = { kind, id: `dialog-${count++}`, problems: [], draft: {}, ...data };
  dialog.untouched = JSON.stringify(dialog.draft);
  state.dialogs.push(dialog);
  schedule();
  return dialog;
};
const views = {};
const isChanged = ({ draft, untouched }) => untouched && JSON.stringify(draft) !== untouched;
const shut = dialog => {
  state.dialogs = state.dialogs.filter(other => other !== dialog);
  schedule();
};
const dialogOf = element => {
  const name = element?.closest?.('[data-dialog]')?.dataset.dialog;
  return name && [state.first, state.login, ...state.dialogs].find(dialog => dialog?.id === name);
};
/** What is drawn inside is of that dialog. */
const within = (dialog, view) => {
  here = dialog;
  const drawn = view(dialog);
  here = null;
  return drawn;
};
const leaveDialog = async dialog => {
  if (!dialog || dialog.busy || dialog === state.login) return;
  if (isChanged(dialog) && !(await confirmed(t('leave_title'), t('leave_text'), t('discard')))) return;
  dialog.resolve?.();
  shut(dialog);
};
actions.close = (_, dialog) => leaveDialog(dialog);

/** The frame of a dialog. `save`: the words on the button that submits it; without them it has none. */
const modal = (title, body, save, { look, start, primary = 'primary' } = {}) => html`<dialog id="${here.id}" class="${look}" closedby="any" aria-labelledby="${here.id}-title" data-dialog="${here.id}"><form novalidate autocomplete="off">
  <header><h2 id="${here.id}-title">${title}</h2>${button('close', { glyph: 'close', bare: true })}</header>
  ${div('body', body)}${formEnd(save, [start, button('close', { label: t('cancel') })], primary)}</form></dialog>`;

/** What is wrong with a form, and below it the buttons. */
const formEnd = (save, start, look = 'primary') => html`<div class="form-error" role="alert">${warned(here.error)}${here.problems.length > 1 && list('', here.problems.map(({ path, message }) => [code(path), ' ', message]))}</div>
  ${save && html`<footer>${start}<button class="${look}" type="submit" ${(here.busy || here.waiting) && 'disabled'}>${here.busy ? t('saving') : save}</button></footer>`}`;

/** The members of an entry that a form has no fields for, as JSON; they may hold secrets, so they stay out of the document. */
const restText = (entry, fields) => {
  const rest = Object.entries(entry ?? {}).filter(([key]) => !fields.includes(key));
  return rest.length ? JSON.stringify(Object.fromEntries(rest), null, 2) : '';
};
/** The JSON object that stands in a member of a draft. */
const objectOf = (draft, name) => {
  if (!draft[name].trim()) return {};
  let value, error;
  try { value = parse(draft[name]); } catch (failure) { error = failure.message; }
  if (error || typeOf(value) !== 'json' || Array.isArray(value)) throw mistake(name, t('bad_json', error ?? draft[name]));
  return value;
};
const restField = (names, placeholder) => fold(t('more_options'), field('rest', { rows: 5, look: 'mono', secret: true, placeholder, hint: t('rest_hint', names), member: names.replaceAll(', ', '|') }), here.draft.rest);

/** Runs the saving of a form: shows what went wrong in the form, and closes it when it went well. */
const submitForm = async (dialog, work = submits[dialog.kind]) => {
  if (dialog.busy) return;
  Object.assign(dialog, { busy: true, error: '', problems: [] });
  schedule();
  try {
    if (!(await work?.(dialog))) shut(dialog);
  } catch (failure) {
    Object.assign(dialog, { error: reason(failure), problems: failure.problems ?? [] });
    dialog.busy = false;
    render();
    const wrong = byId(failure.field) ?? $(`[data-dialog=${dialog.id}] [aria-invalid]`);
    const fold = wrong?.closest('details');
    if (fold) fold.open = true;
    wrong?.focus();
  }
  dialog.busy = false;
  schedule();
};
/** A mistake that the page itself sees: the field is named, and gets the focus. */
const mistake = (name, message) => Object.assign(new Failure(0, message), { field: `f-draft.${name}` });
/** The text of a field that must not be empty. */
const needed = (draft, path) => {
  const [at, name] = holder(path, draft);
  const text = at[name].trim();
  if (!text) throw mistake(path, t('missing', t(name)));
  return text;
};

/** Asks before something goes; true if the answer is yes. */
const confirmDelete = (name, text, names) => confirmed(t('delete_title', name), text, t('delete'), names);
const confirmed = (title, text, yes, names = []) => new Promise(resolve => open('confirm', { title, text, yes, names, resolve }));
views.confirm = ({ title, text, yes, names }) => modal(title, [p('', text), list('names', names.map(name => cut(name, 'mono')))], yes, { look: 'narrow', primary: 'danger' });
submits.confirm = ({ resolve }) => resolve(true);

const askAboutClashes = clashes => new Promise(resolve => {
  open('clash', { clashes, draft: Object.fromEntries(clashes.map(({ key }) => [key, 'mine'])), resolve }).untouched = '';
});
views.clash = ({ clashes, draft }) => modal(t('clash_title'), [p('', t('clash_text')), clashes.map(({ key, ...sides }) => html`<fieldset><legend>${code(key || t('clash_entry'))}</legend>${['mine', 'theirs'].map(side => radio(`draft.${key}`, side, draft[key] === side, html`<b>${t(`clash_${side}`)}</b> ${code(sides[side] === undefined ? t('not_there') : /auth|headers/.test(key) ? t('concealed') : plain(sides[side]))}`))}</fieldset>`)], t('clash_save'));
submits.clash = ({ draft, resolve }) => resolve(draft);

/** A JSON value as a person would type it. */
const plain = value => typeof value === 'string' ? value : value === undefined ? '' : JSON.stringify(value);

/** Labels and values, without those that are not known. */
const factList = facts => html`<dl class="facts">${facts.filter(([, value]) => (value ?? '') !== '').map(([label, value, title]) => html`<div><dt>${t(label)}</dt><dd title="${title}">${typeof value === 'number' ? number(value) : cut(value)}</dd></div>`)}</dl>`;

// Times and numbers

const UNITS = [[86400, 'day'], [3600, 'hour'], [60, 'minute'], [1, 'second']];
const relative = ms => {
  const seconds = Math.round((ms - Date.now()) / 1000);
  const [size, unit] = UNITS.find(([size]) => Math.abs(seconds) >= size) ?? UNITS[3];
  return new Intl.RelativeTimeFormat(language(), { numeric: 'auto', style: 'short' }).format(Math.round(seconds / size), unit);
};
const moment = (ms, style = { dateStyle: 'medium', timeStyle: 'medium' }) => new Intl.DateTimeFormat(language(), style).format(ms);
const number = (value, digits = 0, more) => new Intl.NumberFormat(language(), { maximumFractionDigits: digits, ...more }).format(value);
const took = ms => (ms ?? '') === '' ? '' : ms < 1000 ? `${number(ms)} ms` : `${number(ms / 1000, ms < 10000 ? 2 : 1)} s`;
const bytes = n => n < 1024 ? `${number(n)} B` : n < 1048576 ? `${number(n / 1024, 1)} KB` : `${number(n / 1048576, 1)} MB`;
/** A stretch of seconds in its largest unit, from two of it on. */
const lasting = s => {
  const [size, unit] = UNITS.find(([size]) => s >= 2 * size) ?? UNITS[3];
  return number(s / size, 0, { style: 'unit', unit, unitDisplay: 'long' });
};
