// OAuth accounts of an upstream: how the program that holds them is, who is logged in, what each account offers and has
// left, and the log-in that works from any machine. What changes by itself is asked for while the cards are looked at.

const ACCOUNTS_EVERY_MS = 4000;
const QUOTA_EVERY_MS = 300000;
const offers = {}; // account's name → {open, models, error}

/** Everything there is to know: at the first look, after each change, and whenever the user asks for it. */
async function loadAccounts() {
  (state.accounts ??= {}).quota_at = 0;
  await followAccounts();
}
async function followAccounts() {
  await askAccounts();
  schedule();
  if (Date.now() - (state.accounts.quota_at ?? 0) > QUOTA_EVERY_MS) await askQuota();
  schedule();
}

/** Who is logged in, and how the sidecar is. Starts nothing. */
async function askAccounts() {
  const known = state.accounts;
  const print = () => JSON.stringify([serves(), Object.values(known.providers ?? {}).map(({ accounts }) => accounts.map(({ name, disabled }) => [name, disabled]))]);
  const before = known.providers && print();
  try {
    const [{ providers, sidecar, error }] = await ask('GET', 'api/cli-proxy-api/status');
    Object.assign(known, { providers: providers ?? {}, sidecar, error: error ?? '' });
  } catch (failure) {
    if (!known.providers) known.error = failure.message;
    return;
  }
  if (!before || before === print()) return;
  known.quota_at = 0;
  for (const upstream of state.config.upstreams) if (isOauth(upstream) && upstream.enabled !== false) loadModels(upstream.name);
}
const serves = () => ['ready', 'external'].includes(state.accounts?.sidecar?.state);

/** What is left of each allowance. The providers are asked, so not at every look, and only where somebody is logged in. */
async function askQuota() {
  const known = state.accounts;
  const anybody = Object.values(OAUTH).some(({ provider }) => known.providers?.[provider]?.accounts?.length);
  known.quota_at = Date.now();
  if (!anybody || !serves()) return;
  try {
    const [quota] = await ask('GET', 'api/cli-proxy-api/quota');
    Object.assign(known, { quota: quota.providers ?? {}, quota_error: '' });
  } catch (failure) {
    known.quota_error = failure.message;
  }
}

let following = false;
setInterval(async () => {
  if (following || !state.accounts || document.hidden || state.view !== 'upstreams' || !state.session?.authenticated || !state.config?.upstreams.some(isOauth)) return;
  following = true;
  await followAccounts();
  following = false;
}, ACCOUNTS_EVERY_MS);

function accountPart(upstream) {
  const { name } = upstream;
  const { provider, label } = OAUTH[upstream.auth.type];
  const known = state.accounts;
  if (!known?.providers) return html`<div class="account">${known?.error ? failed(known.error) : html`<span class="skeleton w9">&nbsp;</span>`}</div>`;
  if (known.sidecar === null) return html`<div class="account">${failed(t('no_sidecar'))}</div>`;
  const accounts = known.providers[provider]?.accounts ?? [];
  return html`<div class="account">${sidecarLine(known)}
    ${accounts.length ? html`<ul>${accounts.map((account) => accountItem(account, known.quota?.[provider]?.accounts.find((other) => other.name === account.name)))}</ul>` : html`<p class="soft">${t('not_logged_in')}</p>`}
    ${accounts.length > 0 && known.quota_error && html`<p class="hint">${t('quota_failed', { error: known.quota_error })}</p>`}
    <div class="actions"><button type="button" class="${accounts.length ? 'small' : 'small accent'}" data-action="account-login" data-name="${name}">${accounts.length ? t('login_more') : t('login_to', { provider: label })}</button></div></div>`;
}
const failed = (text, more) => html`<p class="failed" role="status">${icon('warn')}<span>${text}</span>${more}</p>`;

/** How the sidecar is, where that is not simply well; else its version. */
function sidecarLine({ sidecar, error }) {
  const again = html`<button type="button" class="small" data-action="sidecar-start" ${state.busy.has('sidecar') && 'disabled'}>${t('try_again')}</button>`;
  const { state: how, reason, retry_in_s, version } = sidecar;
  if (how === 'starting' && !reason) return html`<p class="soft" role="status">${t('sidecar_starting')}</p>`;
  if (reason) return failed(html`${t('sidecar_down', { reason })}${how === 'backoff' && html` ${t('sidecar_again', { when: relative(Date.now() + 1000 * retry_in_s) })}`}`, again);
  if (error) return failed(error, again);
  return version && html`<p class="hint">CLIProxyAPI ${version}</p>`;
}
actions['sidecar-start'] = async () => {
  state.busy.add('sidecar');
  schedule();
  try {
    await ask('POST', 'api/cli-proxy-api/start');
  } catch (failure) {
    toast(failure.message, 'bad');
  }
  state.busy.delete('sidecar');
  await loadAccounts();
};

function accountItem(account, quota) {
  const { name, email, status, disabled } = account;
  const who = email || t('no_email');
  const again = Date.parse(account.nextRetryAfter);
  const plan = quota?.plan_type ?? account.plan_type;
  const offer = offers[name];
  return html`<li data-key="account-${idOf(name)}"><span class="who">${toggle({ action: 'account-switch', name, more: disabled ? 'on' : 'off', on: !disabled, label: t('enabled_x', { name: who }) })}<b>${cut(who)}</b>
      ${disabled ? html`<span class="badge warn">${t('switched_off')}</span>` : status && status !== 'active' && html`<span class="badge warn">${status}</span>`}${plan && html`<span class="badge">${plan}</span>`}</span>
    ${!disabled && account.status_message && failed(reasonOf(account.status_message))}${!disabled && again > Date.now() && html`<p class="hint" title="${moment(again)}">${t('used_again', { when: relative(again) })}</p>`}
    ${!disabled && html`${(quota?.windows ?? []).map(quotaBar)}${quota?.error && failed(quota.error)}`}
    <div class="actions"><button type="button" class="small" data-action="account-models" data-name="${name}" aria-expanded="${offer?.open ? 'true' : 'false'}" aria-label="${t('models_of', { name: who })}">${t('models')}</button>
      <button type="button" class="small" data-action="account-delete" data-name="${name}" data-more="${who}" aria-label="${t('log_out_x', { name: who })}">${t('log_out')}</button></div>
    ${offer?.open && html`<div class="offer">${offer.error ? failed(offer.error) : !offer.models ? html`<span class="skeleton w9">&nbsp;</span>` : offer.models.length ? html`<ul class="names">${offer.models.map((id) => html`<li>${cut(id, 'mono')}</li>`)}</ul>` : html`<span class="soft">${t('nothing_there')}</span>`}</div>`}</li>`;
}
const REASON_CHARS_MAX = 240;
/** A provider's error body as a sentence, if it holds one. */
function reasonOf(text) {
  let told;
  try { told = JSON.parse(text); } catch { /* it is a sentence itself */ }
  const words = told?.error?.message ?? told?.error ?? told?.message;
  return (typeof words === 'string' ? words : text).slice(0, REASON_CHARS_MAX);
}

function quotaBar({ id, label, used_percent, reset_at, exhausted }) {
  const used = used_percent === null || used_percent === undefined ? null : Math.min(100, Math.max(0, Number(plain(used_percent))));
  const at = resetMoment(reset_at);
  return html`<div class="quota"><span>${label || id}</span><meter min="0" max="100" low="80" high="90" optimum="0" value="${used ?? 0}" aria-label="${label || id}"></meter>
    <span class="num">${used === null ? t('unknown') : t('used_percent', { n: Math.round(used) })}${exhausted && html` <span class="badge bad">${t('exhausted')}</span>`}</span>${at && html`<span class="soft" title="${moment(at)}">${t('resets', { when: relative(at) })}</span>`}</div>`;
}
/** Unix seconds, `+N s` from when the quota was asked, or an ISO time. */
function resetMoment(text) {
  const known = String(text ?? '');
  const later = /^\+(\d+)s$/.exec(known);
  const at = later ? (state.accounts?.quota_at || Date.now()) + 1000 * later[1] : /^\d+$/.test(known) ? 1000 * known : Date.parse(known);
  return known && at > Date.now() ? at : null; // what was due is over
}

const accountPath = (name, more = '') => `api/cli-proxy-api/accounts/${encodeURIComponent(name)}${more}`;
/** Changes one account, and shows how it is afterwards. */
async function changeAccount(name, method, body) {
  if (state.busy.has(`account ${name}`)) return; // not disabled meanwhile: it would lose the focus
  state.busy.add(`account ${name}`);
  try {
    await ask(method, accountPath(name), body);
  } catch (failure) {
    toast(failure.message, 'bad');
  }
  delete offers[name];
  state.busy.delete(`account ${name}`);
  await loadAccounts();
}
actions['account-switch'] = ({ dataset: { name, more } }) => changeAccount(name, 'PATCH', { disabled: more === 'off' });
actions['account-delete'] = async ({ dataset: { name, more } }) => {
  if (await confirmed({ title: t('log_out_x', { name: more }), text: t('logout_text'), yes: t('log_out'), look: 'danger' })) await changeAccount(name, 'DELETE');
};
actions['account-models'] = async ({ dataset: { name } }) => {
  const offer = (offers[name] ??= {});
  offer.open = !offer.open;
  schedule();
  if (!offer.open || offer.models) return;
  try {
    const [answer] = await ask('GET', accountPath(name, '/models'));
    Object.assign(offer, { models: answer.data ?? [], error: '' });
  } catch (failure) {
    offer.error = failure.message;
  }
  schedule();
};

// The log-in: a page of the provider, and the address that it ends on.

actions['account-login'] = ({ dataset: { name } }) => {
  const dialog = open('account', { name, resolve: () => leaveLogin(dialog) });
  return startLogin(dialog);
};
const loginPath = ({ name, login }, what) => `api/cli-proxy-api/${what}/${encodeURIComponent(name)}?state=${encodeURIComponent(login.state)}`;

async function startLogin(dialog) {
  Object.assign(dialog, { draft: { callback_url: '' }, untouched: null, login: null, over: false, handed: false, error: '' });
  schedule();
  try {
    const [login] = await ask('POST', `api/cli-proxy-api/login/${encodeURIComponent(dialog.name)}`);
    Object.assign(dialog, { login, until: Date.now() + 1000 * login.expires_in_s });
    if (!state.dialogs.includes(dialog)) return leaveLogin(dialog);
    watchLogin(dialog);
  } catch (failure) {
    Object.assign(dialog, { over: true, error: failure.message });
  }
  schedule();
  drawNow();
  $(`#${dialog.id} [data-first]`)?.focus();
}

/** Hears how it goes until it is over. */
function watchLogin(dialog) {
  const feed = new EventSource(address(loginPath(dialog, 'login-stream')));
  dialog.feed = feed;
  feed.onmessage = ({ data }) => {
    const { status, message, email } = parse(data).status;
    if (status === 'exchanging') dialog.handed = true;
    else if (status !== 'waiting') {
      feed.close();
      dialog.over = true;
      if (status === 'success') {
        shut(dialog);
        toast(t('logged_in_as', { email: email || dialog.name }));
        loadAccounts();
      } else {
        dialog.error = message;
      }
    }
    schedule();
  };
  feed.onerror = () => { // it tries again by itself, unless the gateway said no
    if (feed.readyState !== EventSource.CLOSED || dialog.over) return;
    Object.assign(dialog, { over: true, error: t('login_lost') });
    schedule();
  };
}

/** The dialog was left: the gateway is told, so that nothing is saved any more. */
function leaveLogin(dialog) {
  dialog.feed?.close();
  if (!dialog.login || dialog.over) return;
  dialog.over = true;
  toast(t('login_cancelled'));
  ask('DELETE', loginPath(dialog, 'login')).catch(() => {}); // then it expires
}

/** Only web addresses are followed. */
const webAddress = (text) => /^https?:\/\//i.test(text ?? '') ? text : '';
dialogViews.account = (dialog) => {
  const { login, over, handed } = dialog;
  const url = webAddress(login?.auth_url);
  const link = url && html`<p class="actions"><a class="button primary" data-first="yes" href="${url}" target="_blank" rel="noopener noreferrer">${t('login_open')}</a>${copyButton(url, t('copy'), 'small')}</p>`;
  return modal(dialog, {
    title: t('login_title', { name: dialog.name }),
    submit: 'account',
    body: over ? html`` : html`<ol class="steps"><li><p>${t('login_step_1')}</p>${link || html`<p class="skeleton w9">&nbsp;</p>`}</li>
      <li><p>${t(login?.manual === false ? 'login_auto' : 'login_step_2', { address: login?.callback ?? 'localhost' })}</p></li>
      <li>${handed ? html`<p role="status">${t('login_wait')}</p>` : field({ bind: 'draft.callback_url', label: t('login_step_3'), rows: 3, look: 'mono', secret: true, placeholder: `${login?.callback ?? 'http://localhost'}?code=…&state=…`, hint: login && t('login_until', { time: clock(dialog.until) }) })}</li></ol>`,
    foot: html`${cancelButton()}<button class="primary" type="submit" ${over && html`data-first="yes"`} ${!over && (dialog.busy || handed || !login) && 'disabled'}>${t(over ? 'login_again_button' : 'login_finish')}</button>`,
  });
};
submits.account = async (dialog) => {
  if (dialog.over) return startLogin(dialog);
  if (dialog.busy || dialog.handed || !dialog.login) return;
  const callback_url = dialog.draft.callback_url.trim();
  dialog.error = callback_url ? '' : t('need_callback');
  if (callback_url) {
    dialog.busy = true;
    schedule();
    try {
      await ask('POST', `api/cli-proxy-api/complete-login/${encodeURIComponent(dialog.name)}`, { callback_url });
      dialog.handed = true;
    } catch (failure) {
      if (!dialog.over) dialog.error = failure.message;
    }
    dialog.busy = false;
  }
  schedule();
  drawNow();
  if (dialog.error) document.getElementById('f-draft.callback_url')?.focus();
};
