// Keys: who may call /v1. A key is shown once, while it is being made.

const KEY_BYTES = 24;
const newKey = () => `sk-${[...crypto.getRandomValues(new Uint8Array(KEY_BYTES))].map((byte) => byte.toString(16).padStart(2, '0')).join('')}`;

function keysView() {
  const keys = state.config.client_api_keys;
  return html`<div class="top"><h1>${t('keys')}</h1><div class="actions"><button class="primary" type="button" data-action="new-key">${icon('plus')}${t('new_key')}</button></div></div>
    ${state.shownKey && html`<section class="card shown-key" role="region" aria-label="${t('key_made', { name: state.shownKey.name })}"><h2>${t('key_made', { name: state.shownKey.name })}</h2><p class="soft">${t('key_once')}</p>
      <div class="secret-line"><code id="shown-key">${state.shownKey.key}</code>${copyButton(state.shownKey.key, t('copy'), 'small')}</div>
      <div class="actions"><button type="button" class="accent" data-action="connect" data-more="${state.shownKey.name}" ${!state.config.aliases.length && 'disabled'}>${icon('link')}${t('connect')}</button><button type="button" data-action="hide-key">${t('key_noted')}</button></div></section>`}
    ${!keys.length ? empty('keys', t('no_keys_title'), t('no_keys_text'), html`<button type="button" class="primary" data-action="new-key">${t('new_key')}</button>`)
    : html`<ul class="rows card-rows">${keys.map((key) => html`<li class="row key" data-key="key-${idOf(key.name ?? '')}-${idOf(key.key)}"><span class="plain-name">${cut(key.name || t('no_name'), 'strong')}</span><code>${key.key}</code>
      <span class="marks">${key.models ? key.models.map((glob) => html`<span class="badge mono">${glob}</span>`) : html`<span class="soft">${t('all_models')}</span>`}</span>
      <span class="tools">${menu(`key-${idOf(key.name ?? '')}`, t('actions_for', { name: key.name ?? '' }), [
        { action: 'edit-key', name: key.name, more: key.key, icon: 'settings', label: t('edit') },
        { action: 'delete-key', name: key.name, more: key.key, icon: 'trash', label: t('delete'), look: 'danger' }])}</span></li>`)}</ul>
      <p class="hint">${t('keys_hint')}</p>`}`;
}
const keyFrom = ({ dataset }) => state.config.client_api_keys.find((key) => (key.name ?? '') === dataset.name && key.key === dataset.more);

actions['new-key'] = () => open('key', { base: null, draft: { name: '', models: '', own: '', generate: true } });
actions['edit-key'] = (button) => {
  const base = clone(keyFrom(button));
  if (base) open('key', { base, draft: { name: base.name ?? '', models: (base.models ?? []).join(', '), own: '', generate: true } });
};
actions['hide-key'] = () => { state.shownKey = null; schedule(); };
actions['delete-key'] = async (button) => {
  const key = clone(keyFrom(button));
  if (!key) return;
  const last = state.config.client_api_keys.length === 1;
  if (!(await confirmed({ title: t('delete_key_title'), text: `${t('delete_key_text', { name: key.name ?? key.key })}${last ? ` ${t('delete_last_key')}` : ''}`, yes: t('delete'), look: 'danger' }))) return;
  freshKeys.delete(key.name);
  if (state.shownKey?.name === key.name) state.shownKey = null;
  if (await quickSave(`key ${key.name}`, entryEdit('client_api_keys', 'name', key, null))) toast(t('deleted_x', { name: key.name ?? '' }));
};

dialogViews.key = (dialog) => {
  const { draft, base } = dialog;
  const problem = problemsOf(dialog, 'client_api_keys');
  return modal(dialog, {
    title: base ? t('edit_key') : t('new_key'),
    submit: 'key',
    body: html`${field({ bind: 'draft.name', label: t('name'), value: draft.name, placeholder: 'laptop', hint: t('key_name_hint'), problem: problem('name') })}
      ${field({ bind: 'draft.models', label: t('allowed_models'), value: draft.models, look: 'mono', placeholder: 'qwen*, glm-4.6', hint: t('allowed_models_hint'), problem: problem('models') })}
      ${!base && html`${check({ bind: 'draft.generate', label: t('generate_key'), on: draft.generate })}${!draft.generate && field({ bind: 'draft.own', label: t('own_key'), secret: true, placeholder: 'sk-…', problem: problem('key') })}`}`,
    foot: html`${cancelButton()}${saveButton(dialog, base ? t('save') : t('make_key'))}`,
  });
};
submits.key = async (dialog) => {
  const { draft, base } = dialog;
  const name = draft.name.trim();
  const key = base ? base.key : draft.generate ? newKey() : draft.own.trim();
  const done = await submitForm(dialog, async () => {
    if (!name) throw new Mistake('draft.name', t('need_name'));
    if (name !== base?.name && state.config.client_api_keys.some((other) => other.name === name)) throw new Mistake('draft.name', t('name_taken', { name }));
    if (!key) throw new Mistake('draft.own', t('need_key_text'));
    const models = draft.models.split(/[,\s]+/).filter(Boolean);
    const mine = { ...clone(base ?? {}), name, key };
    set(mine, 'models', models.length ? models : undefined, base);
    await save(entryEdit('client_api_keys', 'name', base, mine));
  });
  if (!done) return;
  if (base) return toast(t('saved_x', { name }));
  freshKeys.set(name, key);
  state.shownKey = { name, key };
  schedule();
};
