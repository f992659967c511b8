// Login: by the address that the gateway printed (#key=…), or by typing the key. It lies over everything, so that what
// was typed elsewhere is still there afterwards.

state.login = { id: 'login', kind: 'login', draft: { admin_key: '' }, problems: [] };

/** Logs in with the key in the address, if one is there, and takes it out of there. */
const enter = async () => {
  const [, key] = /^#key=(.+)$/.exec(location.hash) ?? [];
  if (!key) return;
  history.replaceState(null, '', '#/models');
  state.login.draft.admin_key = decoded(key);
  await submitForm(state.login);
};
/** A part of an address as it was meant. */
const decoded = text => {
  try { return decodeURIComponent(text); } catch { return text; }
};

submits.login = async ({ draft }) => {
  const key = needed(draft, 'admin_key').replace(/^.*#key=/, '');
  try {
    await ask('POST', 'login', { key });
  } catch (failure) {
    state.session ??= { authenticated: false };
    throw failure.status === 401 ? mistake('admin_key', t('wrong_key')) : failure;
  }
  draft.admin_key = '';
  [state.session] = await get('session');
  if (state.config) loadConfig().catch(() => {}); // or the next poll does it
  listen();
};

const loginView = () => html`<dialog id="login" class="narrow" aria-labelledby="login-title" data-dialog="login"><form novalidate autocomplete="off">
  <div class="body">${p('brand', icon('logo'), 'llm-wrapper')}<h2 id="login-title">${t(state.config ? 'login_again' : 'login_with_key')}</h2>${soft(t('login_where'))}
  <pre tabindex="0"><code>WebUI: ${home.href}#key=…</code></pre>${field('admin_key', { secret: true })}</div>
  ${formEnd(t('log_in'), span('start', TONGUES.filter(([id]) => id !== language()).map(([id, name]) => html`<span lang="${id}">${button('language', { label: name, name: id, look: 'quiet' })}</span>`)))}</form></dialog>`;
actions.language = ({ name }) => setLanguage(name);
