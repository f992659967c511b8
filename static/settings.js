// Settings: how the page looks and speaks, and what the gateway says about itself.

const stored = name => { try { return localStorage.getItem(`llm-wrapper-${name}`); } catch { return null; } };
const store = (name, value) => { try { localStorage.setItem(`llm-wrapper-${name}`, value); } catch { /* private window */ } };
const THEMES = ['auto', 'light', 'dark'];
const TONGUES = [['en', 'English'], ['zh', '中文']];
state.theme = THEMES.includes(stored('theme')) ? stored('theme') : 'auto';

const settingsView = () => {
  const { status, config, session } = state;
  const choice = (name, value, options) => html`<fieldset><legend>${t(name)}</legend>${div('checks', options.map(([id, text]) => radio(name, id, id === value, text)))}</fieldset>`;
  const setting = (title, hint, control) => html`<div class="setting"><span>${t(title)}${span('hint', t(hint))}</span>${control}</div>`;
  return html`${top()}${div('columns', card('', t('this_page'), html`${choice('language', language(), TONGUES)}
      ${choice('theme', state.theme, THEMES.map(id => [id, t(id)]))}
      ${session?.via !== 'local' && p('actions', button('log_out'))}`),
    card('', t('gateway'), status ? html`${factList([['version', `${status.version} ${status.build}`], ['running_for', lasting(status.uptime_s), moment(Date.parse(status.started_at))], ['memory', bytes(status.resident_bytes)], ['held_in_buffers', bytes(status.buffered_bytes)], ['open_requests', status.open_requests], ['open_streams', status.open_streams], ['requests_so_far', status.requests_total], ['data_folder', status.data_dir]])}
      <p class="actions"><a class="button small" href="metrics" target="_blank" rel="noopener">${t('metrics')}</a></p>` : skeletonRows(3)),
    card('wide', t('configuration'), html`${status ? configState(status) : skeletonRows(2)}
      ${setting('conversion', 'conversion_off', toggle('toggle_conversion', { on: config.allow_protocol_conversion !== false, label: t('conversion') }))}
      ${setting('admin_key', status?.admin_key === 'configured' ? 'set_by_you' : 'made_here', button('change_admin_key', { label: t('change') }))}`))}`;
};

const configState = ({ config, start_warnings = [] }) => {
  const good = /ok|memory/.test(config.state);
  const told = (problems, look) => list(`problems ${look}`, (problems ?? []).map(({ path, message }) => [icon('warn'), span('', path && [code(path), ' '], message)]));
  return html`${p(`config-state ${good ? 'ok' : config.state === 'missing' ? '' : 'bad'}`, icon(good ? 'check' : 'warn'), span('', t(`config_${config.state}`), config.obstacle && html`<br>${config.obstacle}`))}
    ${config.path && p('path', code(config.path), copyButton(config.path))}
    ${told(config.problems, 'bad')}${told([...(config.warnings ?? []), ...start_warnings.map(message => ({ message }))], 'warn')}`;
};

actions.toggle_conversion = () => quickSave('conversion', config => ({ changes: { allow_protocol_conversion: config.allow_protocol_conversion === false } }));
actions.log_out = async () => {
  await ask('POST', 'logout');
  location.reload(); // nothing of what was known stays
};
actions.change_admin_key = () => open('admin', { draft: { new_admin_key: '' } });
views.admin = () => modal(t('admin_key'), html`${soft(t('admin_can'))}${field('new_admin_key', { secret: true })}
  ${state.status?.admin_key === 'configured' && p('actions', button('generated_key', { look: 'danger' }))}`, t('save'));
const ADMIN_KEY_MIN = 12;
const saveAdminKey = admin_key => save(() => ({ changes: { admin_key } }));
submits.admin = async ({ draft }) => {
  const key = draft.new_admin_key.trim();
  if ([...key].length < ADMIN_KEY_MIN) throw mistake('new_admin_key', t('too_short', ADMIN_KEY_MIN));
  await saveAdminKey(key);
  toast(t('x_saved', t('admin_key')));
};
actions.generated_key = (_, dialog) => submitForm(dialog, () => saveAdminKey(null));
