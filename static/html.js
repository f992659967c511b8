// The only way into the page. Values pass through the `html` tag, which escapes them; `draw` changes as little of the
// document as it can, so focus, selection, scroll and open menus survive.

/** Text that is safe as markup, because only `html` makes it. */
class Markup {
  constructor(text) { this.text = text; }
}

const escaped = value => String(value).replace(/[&<>"'`]/g, c => `&#${c.charCodeAt(0)};`);
const piece = value => value instanceof Markup ? value.text
  : Array.isArray(value) ? value.map(piece).join('')
  : (value ?? false) === false || value === true ? '' : escaped(value);

/** Tag of every template. Attributes in templates are always quoted. */
const html = (parts, ...values) => {
  return new Markup(parts.reduce((out, part, at) => out + piece(values[at - 1]) + part));
};
/** A boolean as the value of an attribute. */
const bool = value => value ? 'true' : 'false';

const $ = (selector, within = document) => within.querySelector(selector);
const byId = id => document.getElementById(id);
const on = (name, handle) => document.addEventListener(name, handle, true);
const keyOf = node => node.id || node.dataset?.key || '';
const drawn = new WeakMap();

/** Makes the children of `target` what the markup says. */
const draw = (target, markup) => {
  if (drawn.get(target) === markup.text) return;
  drawn.set(target, markup.text);
  const template = document.createElement('template');
  template.innerHTML = markup.text;
  const focused = document.activeElement;
  morph(target, template.content);
  if (focused.isConnected) focused.focus({ preventScroll: true }); // what moves loses it
};

const morph = (parent, fresh) => {
  const wanted = new Set([...fresh.children].map(keyOf));
  const keyed = new Map();
  for (const child of [...parent.children].reverse()) { // the topmost dialog first
    const key = keyOf(child);
    if (key && !wanted.has(key)) leave(child);
    else if (key) keyed.set(key, child);
  }
  let at = parent.firstChild;
  for (const node of [...fresh.childNodes]) {
    const key = keyOf(node);
    const match = key ? keyed.get(key) : at && !keyOf(at) ? at : null;
    if (match?.nodeName !== node.nodeName) {
      parent.insertBefore(node, at);
      continue;
    }
    if (match === at) at = at.nextSibling;
    else parent.insertBefore(match, at);
    update(match, node);
  }
  while (at) {
    const next = at.nextSibling;
    leave(at);
    at = next;
  }
};

const update = (old, node) => {
  const { nodeName } = old;
  if (old.nodeType !== 1) {
    if (old.nodeValue !== node.nodeValue) old.nodeValue = node.nodeValue;
    return;
  }
  // A dialog and a fold keep the state that the user gave them.
  const kept = name => name === 'open' && /DIALOG|DETAILS/.test(nodeName);
  for (const { name, value } of node.attributes) if (!kept(name) && old.getAttribute(name) !== value) old.setAttribute(name, value);
  for (const { name } of [...old.attributes]) if (!kept(name) && !node.hasAttribute(name)) old.removeAttribute(name);
  const { value } = node; // before its options move over
  if (nodeName !== 'TEXTAREA') morph(old, node);
  // A secret has no value in the markup, and keeps what was typed.
  if (/checkbox|radio/.test(old.type)) old.checked = node.checked;
  else if ('bind' in old.dataset && !('secret' in old.dataset) && old.value !== value) old.value = value;
};

const leave = node => {
  // Closing before removal gives the focus back to where the dialog was opened.
  if (node.nodeName === 'DIALOG' && node.open) node.close();
  node.remove();
};
