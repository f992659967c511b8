// OAuth accounts of an upstream: how the program that holds them is, who is logged in, what each account offers and has
// left, and the log-in that works from any machine. What changes by itself is asked for while the cards are looked at.

const ACCOUNTS_EVERY_MS = 4000;
const QUOTA_EVERY_MS = 300000;
const REASON_CHARS_MAX = 240;
const offers = {}; // account's name → {open} and what `load` notes
const sidecarPath = (what, name, more = '') => `cli-proxy-api/${what}/${encode(name)}${more}`;

/** Everything there is to know: at the first look, after each change, and whenever the user asks for it. */
const loadAccounts = () => {
  (state.accounts ??= {}).quota_at = 0;
  return followAccounts();
};
const followAccounts = async () => {
  const known = state.accounts;
  await askAccounts(known);
  schedule();
  if (Date.now() - known.quota_at > QUOTA_EVERY_MS) await askQuota(known);
  schedule();
};

/** Who is logged in, and how the sidecar is. Starts nothing. */
const askAccounts = async known => {
  const print = () => JSON.stringify([serves(known), Object.values(known.providers)], ['accounts', 'name', 'disabled']);
  const before = known.providers && print();
  try {
    const [{ providers = {}, sidecar, error }] = await get('cli-proxy-api/status');
    Object.assign(known, { providers, sidecar, error });
  } catch (failure) {
    if (!before) known.error = failure.message;
    return;
  }
  if (!before || before === print()) return;
  known.quota_at = 0;
  for (const upstream of state.config.upstreams) if (isOauth(upstream) && isOn(upstream)) loadModels(upstream.name);
};
const serves = ({ sidecar }) => /ready|external/.test(sidecar?.state);

/** What is left of each allowance. The providers are asked, so not at every look, and only where somebody is logged in. */
const askQuota = async known => {
  known.quota_at = Date.now();
  if (!serves(known) || !Object.values(known.providers).some(({ accounts }) => accounts.length)) return;
  try {
    const [{ providers }] = await get('cli-proxy-api/quota');
    Object.assign(known, { quota: providers, quota_error: '' });
  } catch (failure) {
    known.quota_error = failure.message;
  }
};

let following = false;
setInterval(async () => {
  if (following || !state.accounts || document.hidden || state.view !== 'upstreams' || !isInside() || !state.config?.upstreams.some(isOauth)) return;
  following = true;
  await followAccounts();
  following = false;
}, ACCOUNTS_EVERY_MS);

const accountPart = ({ name, auth }) => {
  const { provider, label } = OAUTH[auth.type];
  const { providers, sidecar, error, quota, quota_error } = state.accounts ?? {};
  if (!providers) return div('account', error ? warned(error) : skeleton());
  if (!sidecar) return div('account', warned(t('no_sidecar')));
  const accounts = providers[provider]?.accounts ?? [];
  const some = accounts.length > 0;
  return div('account', sidecarLine(sidecar, error),
    some ? html`<ul>${accounts.map(account => accountItem(account, quota?.[provider]?.accounts.find(({ name }) => name === account.name)))}</ul>` : soft(t('not_logged_in')),
    some && quota_error && hint(t('quota_failed', quota_error)),
    div('actions', button('account_login', { label: t(some ? 'login_more' : 'login_to', label), name, look: some ? 'small' : 'small accent' })));
};

/** How the sidecar is, where that is not simply well; else its version. */
const sidecarLine = ({ state: how, reason, retry_in_s, version }, error) => {
  const told = reason ? [t('sidecar_down', reason), ' ', how === 'backoff' && t('sidecar_again', relative(Date.now() + 1000 * retry_in_s))] : error;
  return html`<div class="actions" role="status">${how === 'starting' && !reason ? soft(t('sidecar_starting'))
    : told ? [warned(told), button('start_sidecar', { label: t('try_again'), look: 'small' })]
    : version && hint(`CLIProxyAPI ${version}`)}</div>`;
};
actions.start_sidecar = () => whileBusy('sidecar', 'POST', 'cli-proxy-api/start');
/** Asks for a change, and shows how everything is afterwards. */
const whileBusy = async (control, ...question) => {
  if (state.busy.has(control)) return;
  state.busy.add(control);
  try {
    await ask(...question);
  } finally {
    state.busy.delete(control);
    await loadAccounts();
  }
};

const accountItem = ({ name, email, status, disabled, status_message, nextRetryAfter, plan_type }, quota) => {
  const who = email || t('no_email');
  const again = Date.parse(nextRetryAfter);
  const plan = quota?.plan_type ?? plan_type;
  const { open, error, answer } = offers[name] ?? {};
  return html`<li data-key="account-${name}"><span class="who">${toggle('switch_account', { name, more: disabled ? 'on' : 'off', on: !disabled, label: t('enabled_x', who) })}<b>${cut(who)}</b>
    ${disabled ? badge(t('switched_off'), 'warn') : status && status !== 'active' && badge(status, 'warn')}${plan && badge(plan)}</span>
    ${!disabled && [status_message && warned(reasonOf(status_message)), again > Date.now() && html`<p class="hint" title="${moment(again)}">${t('used_again', relative(again))}</p>`, (quota?.windows ?? []).map(quotaBar), warned(quota?.error)]}
    ${div('actions', button('account_models', { label: t('models'), name, look: 'small', attributes: html`aria-expanded="${bool(open)}" aria-label="${t('models_of', who)}"` }),
      button('log_out_account', { label: t('log_out'), name, more: who, look: 'small', attributes: html`aria-label="${t('log_out_x', who)}"` }))}
    ${open && div('offer', error ? warned(error) : !answer ? skeleton() : answer.data?.length ? list('names', answer.data.map(id => cut(id, 'mono'))) : soft(t('nothing_there')))}</li>`;
};
/** A provider's error body as a sentence, if it holds one. */
const reasonOf = text => {
  const told = parsed(text);
  const words = told?.error?.message ?? told?.error ?? told?.message;
  return (typeof words === 'string' ? words : text).slice(0, REASON_CHARS_MAX);
};

const quotaBar = ({ id, label: said, used_percent, reset_at, exhausted }) => {
  const label = said || id;
  const used = Math.round(plain(used_percent ?? 'unknown'));
  const at = resetMoment(String(reset_at ?? ''));
  return html`<div class="quota"><span>${label}</span><meter min="0" max="100" low="80" high="90" optimum="0" value="${used || 0}" aria-label="${label}"></meter>
    ${span('num', used >= 0 ? t('used_percent', used) : t('unknown'), exhausted && [' ', badge(t('exhausted'), 'bad')])}${at && html`<span class="soft" title="${moment(at)}">${t('resets', relative(at))}</span>`}</div>`;
};
/** Unix seconds, `+N s` from when the quota was asked, or an ISO time; nothing for what is over. */
const resetMoment = text => {
  const [, later] = /^\+(\d+)s$/.exec(text) ?? [];
  const at = later ? (state.accounts.quota_at || Date.now()) + 1000 * later : /^\d+$/.test(text) ? 1000 * text : Date.parse(text);
  return at > Date.now() && at;
};

const changeAccount = (name, ...change) => {
  delete offers[name];
  return whileBusy(`account ${name}`, ...change);
};
actions.switch_account = ({ name, more }) => changeAccount(name, 'PATCH', sidecarPath('accounts', name), { disabled: more === 'off' });
actions.log_out_account = async ({ name, more }) => {
  if (await confirmed(t('log_out_x', more), t('logout_text'), t('log_out'))) await changeAccount(name, 'DELETE', sidecarPath('accounts', name));
};
actions.account_models = async ({ name }) => {
  const offer = (offers[name] ??= {});
  offer.open = !offer.open;
  if (offer.open && !offer.answer) await load(offer, sidecarPath('accounts', name, '/models'));
};

// The log-in: a page of the provider, and the address that it ends on.

actions.account_login = ({ name }) => {
  const dialog = open('account', { name, resolve: () => leaveLogin(dialog) });
  return startLogin(dialog);
};
const loginPath = ({ name, login }, what) => sidecarPath(what, name, `?state=${encode(login.state)}`);

const startLogin = async dialog => {
  Object.assign(dialog, { draft: { callback_url: '' }, untouched: '', login: null, over: false, handed: false, error: '' });
  schedule();
  try {
    [dialog.login] = await ask('POST', sidecarPath('login', dialog.name));
    dialog.until = Date.now() + 1000 * dialog.login.expires_in_s;
    if (!state.dialogs.includes(dialog)) return leaveLogin(dialog);
    watchLogin(dialog);
  } catch (failure) {
    endLogin(dialog, failure.message);
  }
  render();
  $(`#${dialog.id} [data-first]`)?.focus();
};
const endLogin = (dialog, error) => {
  Object.assign(dialog, { over: true, error });
  dialog.feed?.close();
  schedule();
};

/** Hears how it goes until it is over. */
const watchLogin = dialog => {
  const feed = new EventSource(address('api/' + loginPath(dialog, 'login-stream')));
  dialog.feed = feed;
  feed.onmessage = ({ data }) => {
    const { status, message, email } = parse(data).status;
    if (status === 'exchanging') dialog.handed = true;
    else if (status !== 'waiting') endLogin(dialog, message);
    schedule();
    if (status !== 'success') return;
    shut(dialog);
    toast(t('logged_in_as', email || dialog.name));
    loadAccounts();
    loadModels(dialog.name);
  };
  feed.onerror = () => { // it tries again by itself, unless the gateway said no
    if (feed.readyState === EventSource.CLOSED && !dialog.over) endLogin(dialog, t('login_lost'));
  };
};

/** The dialog was left: the gateway is told, so that nothing is saved any more. */
const leaveLogin = dialog => {
  if (!dialog.login || dialog.over) return;
  endLogin(dialog);
  toast(t('login_cancelled'));
  ask('DELETE', loginPath(dialog, 'login')).catch(() => {}); // then it expires
};

views.account = dialog => {
  const { name, login, over, handed, until } = dialog;
  const { auth_url, callback = 'http://localhost', manual } = login ?? {};
  dialog.waiting = !over && (handed || !login);
  const follow = /^https?:/i.test(auth_url) // only web addresses are followed
    ? html`<p class="actions"><a class="button primary" data-first="yes" href="${auth_url}" target="_blank" rel="noopener noreferrer">${t('login_open')}</a>${copyButton(auth_url, 'small')}</p>` : skeleton();
  return modal(t('login_title', name), !over && html`<ol class="steps"><li>${p('', t('login_step_1'))}${follow}</li>
    <li>${t(manual === false ? 'login_auto' : 'login_step_2', callback)}</li>
    <li>${handed ? html`<p role="status">${t('login_wait')}</p>` : field('callback_url', { rows: 3, look: 'mono', secret: true, placeholder: `${callback}?code=…&state=…`, hint: login && t('login_until', moment(until, { timeStyle: 'medium' })) })}</li></ol>`, t(over ? 'start_again' : 'login_finish'));
};
submits.account = async dialog => {
  const { draft, name, over, waiting } = dialog;
  if (over) await startLogin(dialog);
  else if (!waiting) {
    const callback_url = needed(draft, 'callback_url');
    await ask('POST', sidecarPath('complete-login', name), { callback_url });
    dialog.handed = true;
  }
  return true; // it stays until the feed says how it went
};
