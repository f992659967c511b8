// Login: by the address that the gateway printed (#key=…), or by typing the key. It lies over everything, so that what
// was typed elsewhere is still there afterwards.

async function signIn(key) {
  state.login.busy = true;
  state.login.error = '';
  schedule();
  try {
    await ask('POST', 'api/login', { key });
    state.login.key = '';
    [state.session] = await ask('GET', 'api/session');
    if (state.config) loadConfig().catch(() => {}); // or the next poll does it
    listen();
  } catch (failure) {
    state.login.error = failure.status === 401 ? t('wrong_key') : failure.message;
    state.session ??= { authenticated: false, via: null };
  }
  state.login.busy = false;
  schedule();
}

function loginView() {
  const { login } = state;
  return html`<dialog id="login" class="narrow login" aria-labelledby="login-title"><form data-submit="login" novalidate autocomplete="off">
    <div class="body"><p class="brand">${icon('logo')}llm-wrapper</p><h2 id="login-title">${t(state.config ? 'login_again' : 'login_with_key')}</h2><p class="soft">${t('login_where')}</p>
    <pre tabindex="0"><code>WebUI: ${home.href}#key=…</code></pre>
    ${field({ bind: 'login.key', label: t('admin_key'), secret: true })}
    <div class="form-error" role="alert">${login.error && html`<p>${icon('warn')}<span>${login.error}</span></p>`}</div></div>
    <footer><span class="start languages">${[['en', 'English'], ['zh', '中文']].filter(([id]) => id !== language()).map(([id, text]) => html`<button type="button" class="quiet" data-action="language" data-name="${id}" lang="${id}">${text}</button>`)}</span><button class="primary" type="submit" ${login.busy && 'disabled'}>${t('log_in')}</button></footer></form></dialog>`;
}
submits.login = () => {
  const key = state.login.key.trim();
  if (key) return signIn(key.replace(/^.*#key=/, ''));
  state.login.error = t('need_key_text');
  schedule();
};
actions.language = (button) => { setLanguage(button.dataset.name); };
