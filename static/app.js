// The page as a whole: bar, route, drawing, and every event of the document.

const VIEWS = { models: modelsView, upstreams: upstreamsView, keys: keysView, requests: requestsView, play: playView, settings: settingsView };

const bar = () => {
  const { status, reachable, view } = state;
  const [look, word] = !reachable ? ['bad', 'gone'] : !isInside() || !status ? ['', 'connecting'] : { invalid: ['bad', 'bad_config'], readonly: ['warn', 'read_only'] }[status.config?.state] ?? ['ok', 'all_well'];
  const to = (name, label) => html`<a href="#/${name}" ${view === name && html`aria-current="page"`} ${!label && tip(t(name))}>${icon(name)}${label}</a>`;
  return html`<a class="brand" href="#/models">${icon('logo')}<span>llm-wrapper</span></a>
    <nav aria-label="${t('views')}">${Object.keys(VIEWS).slice(0, -1).map(name => to(name, span('', t(name))))}</nav>
    <a class="state ${look}" href="#/settings" title="${t('state')}">${span('dot')}${t(word)}</a>${to('settings')}`;
};

const notice = () => {
  const { config } = state.status ?? {};
  const line = (look, glyph, text) => p(`notice ${look}`, icon(glyph), span('', text));
  return !state.reachable ? line('', 'refresh', t('unreachable'))
    : config?.state === 'invalid' ? line('bad', 'warn', html`${t('config_invalid')} <a href="#/settings">${t('see_why')}</a>`)
    : config?.state === 'readonly' ? line('', 'warn', config.obstacle ?? t('config_readonly')) : html``;
};

/** The head of a view: its name, and what can be done. */
const top = (...controls) => html`<div class="top"><h1>${t(state.view)}</h1>${div('actions', controls)}</div>`;
const skeletonRows = n => html`<div class="rows" aria-busy="true" aria-label="${t('loading')}">${Array.from({ length: n }, () => div('row', skeleton(), skeleton()))}</div>`;

const render = () => {
  drawing = false;
  const page = document.documentElement;
  page.lang = language() === 'zh' ? 'zh-CN' : 'en';
  page.dataset.theme = state.theme;
  document.title = `${t(state.view)} · llm-wrapper`;
  draw($('#skip'), html`${t('skip')}`);
  draw($('#bar'), bar());
  draw($('#notice'), notice());
  const stranger = isInside() === false;
  draw($('#main'), state.config ? VIEWS[state.view]() : stranger ? html`` : html`${top()}${skeletonRows(5)}`);
  draw($('#dialogs'), html`${state.dialogs.map(dialog => within(dialog, views[dialog.kind]))}${stranger && within(state.login, loginView)}<div id="said" class="sr" role="status"></div>`);
  for (const dialog of document.querySelectorAll('#dialogs dialog:not([open])')) {
    dialog.showModal();
    ($('[data-bind]:not([type=checkbox]):not(:disabled)', dialog) ?? $('[type=submit]', dialog))?.focus();
  }
  // A secret lives in the input's property only; an input that is new gets it back.
  for (const input of document.querySelectorAll('[data-secret]')) {
    const [at, name] = place(input);
    if (at?.[name] && !input.value) input.value = at[name];
  }
  drawToasts();
};

/** The object that holds what an input is bound to, and its name there. */
const place = input => {
  const { bind } = input.dataset;
  return bind.startsWith('tags.') ? [tagFilters, bind.slice(5)] : holder(bind, dialogOf(input) ?? state);
};

on('input', ({ target }) => {
  const { bind } = target.dataset;
  if (!bind) return;
  if (bind === 'language') return setLanguage(target.value);
  const [at, name] = place(target);
  if (!at) return;
  at[name] = target.type === 'checkbox' ? target.checked : target.value;
  if (bind === 'theme') store('theme', state.theme);
  if (dialogOf(target)?.kind === 'alias') followParams(at, name);
  if (bind === 'draft.type' && OAUTH[at.type]) at.name ||= OAUTH[at.type].provider;
  schedule();
});

on('click', ({ target }) => {
  const element = target.closest?.('[data-action]');
  if (!element) return;
  const menu = element.closest('.menu');
  menu?.hidePopover();
  menu?.previousElementSibling.focus();
  act(actions[element.dataset.action], element.dataset, dialogOf(element), element);
});

on('submit', event => {
  event.preventDefault();
  const dialog = dialogOf(event.target);
  if (dialog) submitForm(dialog);
  else act(submits.play);
  drawNow();
});

// Esc, and a click beside a dialog, leave it; the login stays.
on('cancel', event => {
  event.preventDefault();
  leaveDialog(dialogOf(event.target));
});
on('close', schedule); // closed by force: shown again

// A menu gets its items when it opens; the style sheet puts it beside its button.
on('beforetoggle', ({ target, newState }) => {
  if (newState !== 'open' || !target.matches('.menu')) return;
  state.menu = target.id;
  render();
});

on('keydown', event => {
  const { target, key } = event;
  const alone = !event.ctrlKey && !event.metaKey && !event.altKey;
  const filter = $('[type=search]');
  if (key === '/' && alone && filter && !state.dialogs.length && !target.closest?.('input, textarea, select')) {
    event.preventDefault();
    filter.focus();
    filter.select();
  }
  const step = { ArrowDown: 1, ArrowUp: -1 }[key];
  const menu = target.closest?.('.menu');
  if (menu && step) {
    const items = [...menu.children];
    event.preventDefault();
    items.at((items.indexOf(target) + step) % items.length)?.focus();
  }
  if (key === 'Enter' && !alone && target.nodeName === 'TEXTAREA') target.form?.requestSubmit();
});

// A name that is cut in two parts is copied as one.
on('copy', event => {
  const selection = getSelection();
  const cut = selection.anchorNode?.parentElement?.closest('.cut');
  if (!cut?.contains(selection.focusNode)) return;
  event.clipboardData.setData('text/plain', selection.toString().replace(/\n/g, ''));
  event.preventDefault();
});

addEventListener('beforeunload', event => {
  if ([state.first, ...state.dialogs].some(dialog => dialog && isChanged(dialog))) event.preventDefault();
});

const route = event => {
  if (event) enter(); // a key pasted into the address of an open page
  const [, name, argument = ''] = /^#\/(\w+)(?:\/(.*))?$/.exec(location.hash) ?? [];
  const view = VIEWS[name] ? name : 'models';
  const moved = view !== state.view;
  Object.assign(state, { view, argument: decoded(argument) }, moved && { filter: '' });
  if (view === 'play') state.play.alias = state.argument || state.play.alias;
  if (view === 'requests' && argument && isInside()) openRecord();
  listen();
  schedule();
  if (!event || !moved) return;
  drawNow();
  scrollTo(0, 0);
  $('#main').focus({ preventScroll: true });
};
addEventListener('hashchange', route);

route();
render();
start();
