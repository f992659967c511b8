// Keys: who may call /v1. A key is shown once, while it is being made.

const KEY_BYTES = 24;
const newKey = () => `sk-${crypto.getRandomValues(new Uint8Array(KEY_BYTES)).toHex()}`;

const keysView = () => {
  const keys = clientKeys();
  const { shownKey } = state;
  const create = glyph => button('new_key', { glyph, look: 'primary' });
  return html`${top(create('plus'))}
    ${shownKey && card('shown-key', t('key_made', shownKey.name), soft(t('key_once')), div('secret-line', html`<code id="shown-key">${shownKey.key}</code>`, copyButton(shownKey.key, 'small')),
      div('actions', button('connect', { glyph: 'link', look: 'accent', more: shownKey.name, off: !state.config.aliases.length }), button('i_have_it')))}
    ${!keys.length ? empty('keys', t('no_keys_title'), t('no_keys_text'), create())
    : html`<ul class="rows">${keys.map(({ name, key, models }) => html`<li class="row key" data-key="key-${name}-${key}">${span('plain-name', cut(name || t('no_name'), 'strong'))}${code(key)}
      ${span('marks', models ? models.map(glob => badge(glob, 'mono')) : span('soft', t('all_models')))}
      ${span('tools', menu('key', name ?? '', [['edit_key', 'settings', 'edit', key], ['delete_key', 'trash', 'delete', key]]))}</li>`)}</ul>
      ${hint(t('keys_hint'))}`}`;
};
const keyFrom = ({ name, more }) => clone(clientKeys().find(key => (key.name ?? '') === name && key.key === more));

const openKey = base => open('key', { list: 'client_api_keys', base, draft: { name: base?.name ?? '', models_it_may_call: (base?.models ?? []).join(', '), your_own_key: '', make_a_random_key: true } });
actions.new_key = () => openKey(null);
actions.edit_key = data => openKey(keyFrom(data));
actions.i_have_it = () => { state.shownKey = null; };
actions.delete_key = async data => {
  const { name } = data;
  const key = keyFrom(data);
  const last = clientKeys().length === 1;
  if (!key || !(await confirmDelete(name || data.more, [t('key_refused'), ' ', last && t('last_key')]))) return;
  freshKeys.delete(name);
  if (state.shownKey?.name === name) state.shownKey = null;
  if (await quickSave(`key ${name}`, entryEdit('client_api_keys', key, null))) toast(t('x_deleted', name));
};

views.key = ({ draft, base }) => modal(t(base ? 'edit_key' : 'new_key'), html`${field('name', { placeholder: 'laptop', hint: t('key_name_hint') })}
  ${field('models_it_may_call', { member: 'models', look: 'mono', placeholder: 'qwen*, glm-4.6' })}
  ${!base && check('make_a_random_key')}${!draft.make_a_random_key && field('your_own_key', { member: 'key', secret: true, placeholder: 'sk-…' })}`,
t(base ? 'save' : 'make_key'));
submits.key = async ({ draft, base }) => {
  const name = needed(draft, 'name');
  if (name !== base?.name && clientKeys().some(other => other.name === name)) throw mistake('name', t('name_taken', name));
  const key = base?.key ?? (draft.make_a_random_key ? newKey() : needed(draft, 'your_own_key'));
  const models = draft.models_it_may_call.split(/[,\s]+/).filter(Boolean);
  const mine = { ...base, name, key };
  mine.models = orBefore(models.length && models, base?.models);
  await save(entryEdit('client_api_keys', base, mine));
  if (base) return toast(t('x_saved', name));
  freshKeys.set(name, key);
  state.shownKey = { name, key };
};
