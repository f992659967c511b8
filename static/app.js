// The page as a whole: bar, route, drawing, and every event of the document.

const VIEWS = { models: modelsView, upstreams: upstreamsView, keys: keysView, requests: requestsView, play: playView, settings: settingsView };

function bar() {
  const { status, reachable, session } = state;
  const config = status?.config?.state;
  const [look, word] = !reachable ? ['bad', 'gone'] : !session?.authenticated || !status ? ['', 'connecting'] : config === 'invalid' ? ['bad', 'config_bad_short'] : config === 'readonly' ? ['warn', 'config_readonly_short'] : ['ok', 'all_well'];
  const link = (view, look) => html`<a href="#/${view}" class="${look}" id="nav-${view}" ${state.view === view && html`aria-current="page"`}>${icon(view)}<span>${t(view)}</span></a>`;
  return html`<a class="brand" href="#/models">${icon('logo')}<span>llm-wrapper</span></a>
    <nav aria-label="${t('views')}">${['models', 'upstreams', 'keys', 'requests', 'play'].map((view) => link(view))}</nav>
    <a class="state ${look}" href="#/settings" title="${t('state_of_gateway')}"><span class="dot"></span>${t(word)}</a>
    <a class="gear" href="#/settings" aria-label="${t('settings')}" title="${t('settings')}" id="nav-settings" ${state.view === 'settings' && html`aria-current="page"`}>${icon('settings')}</a>`;
}

function notice() {
  const { config } = state.status ?? {};
  if (!state.reachable) return html`<p class="notice">${icon('refresh')}${t('unreachable')}</p>`;
  if (config?.state === 'invalid') return html`<p class="notice bad">${icon('warn')}<span>${t('config_invalid')} <a href="#/settings">${t('see_why')}</a></span></p>`;
  if (config?.state === 'readonly') return html`<p class="notice">${icon('warn')}<span>${config.obstacle ?? t('config_readonly')}</span></p>`;
  return html``;
}

const skeletonRows = (n) => html`<div class="rows" aria-busy="true" aria-label="${t('loading')}">${Array.from({ length: n }, () => html`<div class="row"><span class="skeleton w7">&nbsp;</span><span class="skeleton w9">&nbsp;</span></div>`)}</div>`;
const loadingView = () => html`<div class="top"><h1>${t(state.view)}</h1></div>${skeletonRows(5)}`;

function render() {
  const page = document.documentElement;
  page.lang = language() === 'zh' ? 'zh-CN' : 'en';
  if (state.theme === 'auto') delete page.dataset.theme;
  else page.dataset.theme = state.theme;
  document.title = `${t(state.view)} · llm-wrapper`;
  draw($('#skip'), html`${t('skip')}`);
  draw($('#bar'), bar());
  draw($('#notice'), notice());
  draw($('#main'), state.config ? VIEWS[state.view]() : state.session?.authenticated === false ? html`` : loadingView());
  const locked = state.session?.authenticated === false;
  draw($('#dialogs'), html`${state.dialogs.map((dialog) => dialogViews[dialog.kind](dialog))}${locked && loginView()}<div id="said" class="sr" role="status" data-key="said"></div>`);
  for (const dialog of document.querySelectorAll('#dialogs dialog:not([open])')) {
    dialog.showModal();
    $('[data-bind]:not([type=checkbox]):not(:disabled)', dialog)?.focus();
    if (dialog.id.startsWith('dialog') && !$('[data-bind]', dialog)) $('footer .primary, footer .danger', dialog)?.focus();
  }
  // A secret lives in the input's property only; an input that is new gets it back.
  for (const input of document.querySelectorAll('[data-secret]')) {
    const value = read(input);
    if (value && !input.value) input.value = value;
  }
  drawToasts();
}

/** The object that holds what an input is bound to, and its name there. */
function place(input) {
  const path = input.dataset.bind;
  if (path.startsWith('tags.')) return [tagFilters, path.slice(5)];
  const dialog = dialogOf(input);
  const parts = path.split('.');
  let at = parts[0] === 'draft' ? dialog : parts[0] === 'dialog' ? { dialog } : state;
  while (parts.length > 1) at = at?.[parts.shift()];
  return [at, parts[0]];
}
function read(input) {
  const [at, name] = place(input);
  return at?.[name];
}

document.addEventListener('input', ({ target }) => {
  if (!target.dataset?.bind) return;
  const [at, name] = place(target);
  if (!at) return;
  const path = target.dataset.bind;
  if (path === 'language') return setLanguage(target.value);
  at[name] = target.type === 'checkbox' ? target.checked : target.value;
  if (path === 'theme') store('theme', state.theme);
  const dialog = dialogOf(target);
  if (dialog?.kind === 'alias') followParams(dialog, path);
  if (path === 'draft.type' && OAUTH[target.value] && !dialog.draft.name) dialog.draft.name = OAUTH[target.value].name;
  schedule();
});

document.addEventListener('click', (event) => {
  const element = event.target.closest?.('[data-action]');
  if (!element || element.disabled) return;
  const menu = element.closest('[popover].menu');
  menu?.hidePopover();
  if (menu) document.getElementById(menu.dataset.opener)?.focus();
  actions[element.dataset.action]?.(element, event);
  drawNow();
});

document.addEventListener('submit', (event) => {
  event.preventDefault();
  const { submit } = event.target.dataset;
  submits[submit]?.(dialogOf(event.target), event.target);
  drawNow();
});

// Esc, and a click beside a dialog, leave it; the login stays.
document.addEventListener('cancel', (event) => {
  if (event.target.nodeName !== 'DIALOG') return;
  event.preventDefault();
  const dialog = dialogOf(event.target);
  if (dialog) leaveDialog(dialog);
}, true);
document.addEventListener('close', (event) => {
  if (event.target.nodeName === 'DIALOG' && event.target.isConnected) schedule(); // closed by force: shown again
}, true);
document.addEventListener('pointerdown', (event) => {
  if (event.target.nodeName === 'DIALOG' && dialogOf(event.target)) leaveDialog(dialogOf(event.target));
});

// Menus stand below their buttons, inside the window.
document.addEventListener('beforetoggle', ({ target, newState }) => {
  if (newState !== 'open' || !target.dataset.opener) return;
  state.menu = target.id;
  render();
  target.style.visibility = 'hidden'; // until it has its place
}, true);
document.addEventListener('toggle', ({ target, newState }) => {
  if (newState !== 'open' || !target.dataset?.opener) return;
  const opener = document.getElementById(target.dataset.opener)?.getBoundingClientRect();
  if (!opener) return;
  const { offsetWidth: width, offsetHeight: height } = target;
  const below = opener.bottom + 4 + height <= innerHeight;
  target.style.left = `${Math.max(8, Math.min(opener.right - width, innerWidth - width - 8))}px`;
  target.style.top = `${below ? opener.bottom + 4 : Math.max(8, opener.top - 4 - height)}px`;
  target.style.visibility = 'visible';
  $('button', target)?.focus();
}, true);

document.addEventListener('keydown', (event) => {
  const { target, key } = event;
  const typing = target.closest?.('input, textarea, select');
  if (key === '/' && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    const filter = $('#filter') ?? $('[data-filter]');
    if (filter && !state.dialogs.length) {
      event.preventDefault();
      filter.focus();
      filter.select();
    }
  }
  const menu = target.closest?.('[popover].menu');
  if (menu && (key === 'ArrowDown' || key === 'ArrowUp')) {
    const items = [...menu.querySelectorAll('button')];
    event.preventDefault();
    items.at((items.indexOf(target) + (key === 'ArrowDown' ? 1 : -1)) % items.length)?.focus();
  }
  if (key === 'Enter' && (event.ctrlKey || event.metaKey) && target.nodeName === 'TEXTAREA') target.form?.requestSubmit();
  if (key === 'Escape' && target.type === 'search' && target.value) {
    event.preventDefault();
    target.value = '';
    target.dispatchEvent(new Event('input', { bubbles: true }));
  }
});

// A name that is cut in two parts is copied as one.
document.addEventListener('copy', (event) => {
  const selection = getSelection();
  const cut = selection.anchorNode?.parentElement?.closest('.cut');
  if (!cut?.contains(selection.focusNode)) return;
  event.clipboardData.setData('text/plain', selection.toString().replace(/\n/g, ''));
  event.preventDefault();
});

addEventListener('beforeunload', (event) => {
  if (state.dialogs.some((dialog) => dialog.draft && isChanged(dialog)) || (state.first && isChanged(state.first))) event.preventDefault();
});
document.addEventListener('visibilitychange', () => { if (!document.hidden) schedule(); });

function route(event) {
  const fragment = /^#key=(.+)$/.exec(location.hash);
  if (fragment && event) { // pasted into the address of an open page
    history.replaceState(null, '', `${location.pathname}${location.search}#/models`);
    signIn(decodeURIComponent(fragment[1]));
  }
  const [, view, argument = ''] = /^#\/(\w+)(?:\/(.*))?$/.exec(location.hash) ?? [];
  const before = state.view;
  state.view = VIEWS[view] ? view : 'models';
  try { state.argument = decodeURIComponent(argument); } catch { state.argument = argument; }
  if (before !== state.view) state.filter = '';
  if (state.view === 'play' && state.argument) state.play.alias = state.argument;
  if (state.view === 'requests' && state.argument && !state.details[state.argument]?.record && state.session?.authenticated) loadRecord(state.argument);
  listen();
  if (event && before !== state.view) {
    render();
    scrollTo(0, 0);
    $('#main').focus({ preventScroll: true });
  } else {
    schedule();
  }
}
addEventListener('hashchange', route);

route();
render();
start();
