// Settings: how the page looks and speaks, and what the gateway says about itself.

const stored = (name) => { try { return localStorage.getItem(`llm-wrapper-${name}`); } catch { return null; } };
const store = (name, value) => { try { localStorage.setItem(`llm-wrapper-${name}`, value); } catch { /* private window */ } };
state.theme = ['light', 'dark'].includes(stored('theme')) ? stored('theme') : 'auto';

function settingsView() {
  const { status, config, session } = state;
  const facts = status ? [[t('version'), status.version], [t('running_for'), lasting(status.uptime_s), moment(Date.parse(status.started_at))], [t('memory'), bytes(status.resident_bytes)], [t('buffered'), bytes(status.buffered_bytes)], [t('open_requests'), number(status.open_requests)], [t('open_streams'), number(status.open_streams)], [t('requests_total'), number(status.requests_total)], [t('data_dir'), status.data_dir]] : [];
  const choice = (bind, label, value, options) => html`<fieldset class="segments"><legend>${label}</legend>${options.map(([id, text]) => html`<label><input type="radio" name="${bind}" value="${id}" data-bind="${bind}" id="f-${bind}-${id}" ${id === value && 'checked'}><span>${text}</span></label>`)}</fieldset>`;
  return html`<div class="top"><h1>${t('settings')}</h1></div>
    <div class="columns"><section class="card" aria-labelledby="set-page"><h2 id="set-page">${t('this_page')}</h2>
      ${choice('language', t('language'), language(), [['en', 'English'], ['zh', '中文']])}
      ${choice('theme', t('theme'), state.theme, ['auto', 'light', 'dark'].map((id) => [id, t(`theme_${id}`)]))}
      ${session?.via !== 'local' && html`<p class="actions"><button type="button" data-action="log-out">${t('log_out')}</button></p>`}</section>
    <section class="card" aria-labelledby="set-gateway"><h2 id="set-gateway">${t('gateway')}</h2>${status ? html`<dl class="facts">${facts.map(([label, value, title]) => html`<div><dt>${label}</dt><dd ${title && html`title="${title}"`}>${cut(value)}</dd></div>`)}</dl>
      <p class="actions"><a class="button small" href="metrics" target="_blank" rel="noopener">${t('metrics')}</a></p>` : skeletonRows(3)}</section>
    <section class="card wide" aria-labelledby="set-config"><h2 id="set-config">${t('configuration')}</h2>${status ? configState(status) : skeletonRows(2)}
      <div class="setting"><span>${t('conversion')}<span class="hint">${t('conversion_hint')}</span></span>${toggle({ action: 'toggle-conversion', on: config.allow_protocol_conversion !== false, label: t('conversion'), disabled: state.busy.has('conversion') })}</div>
      <div class="setting"><span>${t('admin_key')}<span class="hint">${t(status?.admin_key === 'configured' ? 'admin_key_configured' : 'admin_key_generated')}</span></span><button type="button" data-action="admin-key">${t('change')}</button></div></section></div>`;
}

function configState({ config, start_warnings = [] }) {
  const list = (problems, look) => problems?.length > 0 && html`<ul class="problems ${look}">${problems.map(({ path, message }) => html`<li>${icon('warn')}<span>${path && html`<code>${path}</code> `}${message}</span></li>`)}</ul>`;
  return html`<p class="config-state ${config.state === 'ok' || config.state === 'memory' ? 'ok' : config.state === 'missing' ? '' : 'bad'}">${icon(config.state === 'ok' || config.state === 'memory' ? 'check' : 'warn')}<span>${t(`config_${config.state}`)}${config.obstacle && html`<br>${config.obstacle}`}</span></p>
    ${config.path && html`<p class="path"><code>${config.path}</code>${copyButton(config.path)}</p>`}
    ${list(config.problems, 'bad')}${list(config.warnings, 'warn')}${list(start_warnings.map((message) => ({ message })), 'warn')}`;
}

actions['toggle-conversion'] = () => quickSave('conversion', (config) => ({ changes: { allow_protocol_conversion: config.allow_protocol_conversion === false } }));
actions['log-out'] = async () => {
  try {
    await ask('POST', 'api/logout');
    state.session = { authenticated: false, via: null };
    Object.assign(state, { config: null, status: null, records: null, details: {}, live: {}, fetched: {}, dialogs: [], first: null, shownKey: null });
    freshKeys.clear();
    listen();
  } catch (failure) {
    toast(failure.message, 'bad');
  }
  schedule();
};
actions['admin-key'] = () => open('admin', { draft: { key: '' } });
dialogViews.admin = (dialog) => modal(dialog, {
  title: t('admin_key'),
  submit: 'admin',
  body: html`<p class="soft">${t('admin_key_text')}</p>${field({ bind: 'draft.key', label: t('new_admin_key'), secret: true, hint: t('admin_key_hint') })}
    ${state.status?.admin_key === 'configured' && html`<p class="actions"><button type="button" class="danger" data-action="clear-admin-key">${t('admin_key_clear')}</button></p>`}`,
  foot: html`${cancelButton()}${saveButton(dialog)}`,
});
const ADMIN_KEY_MIN = 12;
submits.admin = (dialog) => submitForm(dialog, async () => {
  const key = dialog.draft.key.trim();
  if ([...key].length < ADMIN_KEY_MIN) throw new Mistake('draft.key', t('admin_key_short', { n: ADMIN_KEY_MIN }));
  await save(() => ({ changes: { admin_key: key } }));
  toast(t('saved_x', { name: t('admin_key') }));
});
actions['clear-admin-key'] = (button) => submitForm(dialogOf(button), () => save(() => ({ changes: { admin_key: null } })));
