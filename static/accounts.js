// OAuth accounts of an upstream: who is logged in, what is left of the quota, and the headless log-in.

async function loadAccounts() {
  if (state.accounts?.loading) return;
  state.accounts = { ...state.accounts, loading: true };
  schedule();
  try {
    const [status] = await ask('GET', 'api/cli-proxy-api/status');
    state.accounts = { providers: status.providers ?? {}, reason: status.error ?? '' };
    schedule();
    const [quota] = await ask('GET', 'api/cli-proxy-api/quota');
    state.accounts.quota = quota.providers ?? {};
  } catch (failure) {
    if (state.accounts?.providers) state.accounts.quota_error = failure.message;
    else state.accounts = { error: failure.status === 404 ? t('no_sidecar') : failure.message };
  }
  schedule();
}

function accountPart(upstream) {
  const { name } = upstream;
  const { provider, label } = OAUTH[upstream.auth.type];
  const known = state.accounts;
  const accounts = known?.providers?.[provider]?.accounts ?? [];
  const quotas = known?.quota?.[provider]?.accounts ?? [];
  const login = html`<button type="button" class="${accounts.length ? 'small' : 'small accent'}" data-action="account-login" data-name="${name}" ${known?.error && 'disabled'}>${accounts.length ? t('login_more') : t('login_to', { provider: label })}</button>`;
  if (!known || (known.loading && !known.providers)) return html`<div class="account"><span class="skeleton w9">&nbsp;</span></div>`;
  if (known.error) return html`<div class="account"><p class="failed">${icon('warn')}<span>${known.error}</span></p></div>`;
  return html`<div class="account">${accounts.length ? html`<ul>${accounts.map((account) => {
    const quota = quotas.find((other) => other.email === account.email);
    return html`<li><span class="who">${icon(account.status === 'error' ? 'warn' : 'check')}<b>${cut(account.email || t('no_email'))}</b>${account.status && account.status !== 'active' && html`<span class="badge warn">${account.status}</span>`}${quota?.plan_type && html`<span class="badge">${quota.plan_type}</span>`}</span>
      ${(quota?.windows ?? []).map(quotaBar)}${quota?.error && html`<p class="failed">${icon('warn')}<span>${quota.error}</span></p>`}</li>`;
  })}</ul>` : html`<p class="soft">${known.reason || t('not_logged_in')}</p>`}${known.quota_error && html`<p class="hint">${t('quota_failed', { error: known.quota_error })}</p>`}
    <div class="actions">${login}${accounts.length > 0 && html`<button type="button" class="small" data-action="account-logout" data-name="${name}">${t('log_out')}</button>`}</div></div>`;
}

function quotaBar({ id, label, used_percent, reset_at, exhausted }) {
  const used = used_percent === null || used_percent === undefined ? null : Math.min(100, Math.max(0, Number(plain(used_percent))));
  const at = resetMoment(reset_at);
  return html`<div class="quota"><span>${label || id}</span><meter min="0" max="100" low="80" high="90" optimum="0" value="${used ?? 0}" aria-label="${label || id}"></meter>
    <span class="num">${used === null ? t('unknown') : t('used_percent', { n: Math.round(used) })}${exhausted && html` <span class="badge bad">${t('exhausted')}</span>`}</span>${at && html`<span class="soft" title="${moment(at)}">${t('resets', { when: relative(at) })}</span>`}</div>`;
}
/** Unix seconds, `+N s` or an ISO time. */
function resetMoment(text) {
  const known = String(text ?? '');
  const later = /^\+(\d+)s$/.exec(known);
  const at = later ? Date.now() + 1000 * later[1] : /^\d+$/.test(known) ? 1000 * known : Date.parse(known);
  return Number.isFinite(at) && known ? at : null;
}

actions['account-login'] = async (button) => {
  const { name } = button.dataset;
  const dialog = open('account', { name, draft: { callback_url: '' }, url: '' });
  try {
    const [answer] = await ask('POST', `api/cli-proxy-api/login/${encodeURIComponent(name)}`);
    dialog.url = answer.auth_url ?? '';
  } catch (failure) {
    dialog.error = failure.status === 404 ? t('no_sidecar') : failure.message;
  }
  schedule();
};
/** Only web addresses are followed. */
const webAddress = (text) => /^https?:\/\//i.test(text) ? text : '';
dialogViews.account = (dialog) => modal(dialog, {
  title: t('login_title', { name: dialog.name }),
  submit: 'account',
  body: html`<ol class="steps"><li><p>${t('login_step_1')}</p>${webAddress(dialog.url) ? html`<p class="actions"><a class="button primary" href="${webAddress(dialog.url)}" target="_blank" rel="noopener noreferrer">${t('login_open')}</a>${copyButton(dialog.url, t('copy'), 'small')}</p>` : !dialog.error && html`<p class="skeleton w9">&nbsp;</p>`}</li>
    <li><p>${t('login_step_2')}</p></li><li>${field({ bind: 'draft.callback_url', label: t('login_step_3'), value: dialog.draft.callback_url, rows: 3, look: 'mono', placeholder: 'http://localhost:…/callback?code=…&state=…' })}</li></ol>`,
  foot: html`${cancelButton()}${saveButton(dialog, t('login_finish'))}`,
});
submits.account = async (dialog) => {
  const done = await submitForm(dialog, async () => {
    if (!dialog.draft.callback_url.trim()) throw new Mistake('draft.callback_url', t('need_callback'));
    await ask('POST', `api/cli-proxy-api/complete-login/${encodeURIComponent(dialog.name)}`, { callback_url: dialog.draft.callback_url.trim() });
  });
  if (!done) return;
  toast(t('login_wait'));
  watchLogin(dialog.name);
};

const LOGIN_ROUNDS_MAX = 40;
const LOGIN_ROUND_MS = 3000;
async function watchLogin(name) {
  const provider = OAUTH[upstreamOf(name)?.auth?.type]?.provider;
  const before = JSON.stringify(state.accounts?.providers?.[provider] ?? null);
  for (let round = 0; round < LOGIN_ROUNDS_MAX; round++) {
    await sleep(LOGIN_ROUND_MS);
    await loadAccounts();
    const now = state.accounts?.providers?.[provider];
    if (now?.accounts?.length && JSON.stringify(now) !== before) {
      toast(t('logged_in_as', { email: now.accounts.at(-1).email || name }));
      loadModels(name);
      return;
    }
  }
  toast(t('login_late'), 'bad');
}
actions['account-logout'] = async (button) => {
  const { name } = button.dataset;
  if (!(await confirmed({ title: t('logout_title'), text: t('logout_text', { name }), yes: t('log_out'), look: 'danger' }))) return;
  try {
    await ask('DELETE', `api/auth/token/${encodeURIComponent(name)}`);
    await loadAccounts();
  } catch (failure) {
    toast(failure.message, 'bad');
  }
};
