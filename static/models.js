// Models: every alias, grouped by upstream. The page where one starts.

const GROUP_ROWS_MAX = 200;
const FILTER_FROM = 8;

function modelsView() {
  const { upstreams, aliases } = state.config;
  const words = state.filter.toLowerCase();
  const shown = aliases.filter((alias) => !words || `${alias.alias}\n${alias.target_model}\n${alias.upstream}`.toLowerCase().includes(words));
  const groups = [...upstreams].sort((a, b) => (a.enabled === false) - (b.enabled === false))
    .map((upstream) => ({ upstream, aliases: shown.filter((alias) => alias.upstream === upstream.name) }))
    .filter((group) => group.aliases.length);
  const strays = shown.filter((alias) => !upstreamOf(alias.upstream));
  if (strays.length) groups.push({ upstream: { name: t('no_such_upstream'), enabled: false }, aliases: strays });
  return html`<div class="top"><h1>${t('models')}</h1><div class="actions">
      <button class="primary" type="button" data-action="connect" ${!aliases.length && 'disabled'}>${icon('link')}${t('connect')}</button>
      <button type="button" data-action="new-alias" aria-label="${t('new_alias')}" title="${t('new_alias')}" ${!upstreams.length && 'disabled'}>${icon('plus')}</button></div></div>
    ${aliases.length > FILTER_FROM && filterBox(t('filter_models'))}
    ${!upstreams.length ? empty('upstreams', t('no_upstreams_title'), t('no_models_no_upstreams'), html`<a class="button primary" href="#/upstreams">${t('add_upstream')}</a>`)
    : !aliases.length ? empty('models', t('no_models_title'), t('no_models_text'), html`<a class="button primary" href="#/upstreams">${t('choose_models')}</a><button type="button" data-action="new-alias">${t('new_alias')}</button>`)
    : !groups.length ? empty('models', t('nothing_found'), t('nothing_found_text', { words: state.filter }), html`<button type="button" data-action="clear-filter">${t('clear_filter')}</button>`)
    : groups.map(modelGroup)}`;
}

function modelGroup({ upstream, aliases }) {
  const off = upstream.enabled === false;
  return html`<section class="group ${off && 'off'}" data-key="group-${idOf(upstream.name)}" aria-label="${upstream.name}">
    <div class="group-head"><h2>${cut(upstream.name)}</h2>${PROTOCOLS.filter(({ flag }) => upstream[flag]).map(({ label }) => html`<span class="badge">${label}</span>`)}${off && html`<span class="badge warn">${t('switched_off')}</span>`}<span class="count">${t('n_models', { n: aliases.length })}</span></div>
    <ul class="rows">${aliases.slice(0, GROUP_ROWS_MAX).map((alias) => modelRow(alias, off))}</ul>
    ${aliases.length > GROUP_ROWS_MAX && html`<p class="soft">${t('more_by_filter', { n: aliases.length - GROUP_ROWS_MAX })}</p>`}</section>`;
}

function modelRow(alias, off) {
  const params = alias.param_overrides?.length ?? 0;
  return html`<li class="row model" data-key="alias-${idOf(alias.alias)}">
    <button type="button" class="plain-name" data-action="edit-alias" data-name="${alias.alias}" aria-label="${t('edit_x', { name: alias.alias })}">${cut(alias.alias, 'mono strong')}</button>
    <span class="target">${cut(alias.target_model, 'mono soft')}</span>
    <span class="marks">${params > 0 && html`<span class="badge" title="${alias.param_overrides.map((entry) => `${entry.key} = ${plain(entry.value)} (${t(entry.mode === 'override' ? 'mode_override' : 'mode_default')})`).join('\n')}">${t('n_params', { n: params })}</span>`}${alias.strict === true && html`<span class="badge">${t('strict_badge')}</span>`}<span class="badge ${alias.source === 'auto' ? 'ok' : ''}">${t(alias.source === 'auto' ? 'auto' : 'manual')}</span></span>
    <span class="tools">${off ? html`<span class="try"></span>` : html`<a class="button quiet try" href="#/play/${encodeURIComponent(alias.alias)}" aria-label="${t('try_x', { name: alias.alias })}">${icon('play')}${t('try')}</a>`}${menu(`alias-${idOf(alias.alias)}`, t('actions_for', { name: alias.alias }), [
      { action: 'edit-alias', name: alias.alias, icon: 'settings', label: t('edit') },
      !off && { action: 'connect', name: alias.alias, icon: 'link', label: t('connect') },
      { action: 'copy-name', name: alias.alias, icon: 'copy', label: t('copy_name') },
      { action: 'copy-name', name: alias.target_model, icon: 'copy', label: t('copy_target') },
      { action: 'duplicate-alias', name: alias.alias, icon: 'plus', label: t('duplicate') },
      { action: 'delete-alias', name: alias.alias, icon: 'trash', label: t('delete'), look: 'danger' },
    ])}</span></li>`;
}

const filterBox = (label) => html`<div class="filter"><input type="search" id="filter" data-bind="filter" value="${state.filter}" placeholder="${label}" aria-label="${label}" autocomplete="off" spellcheck="false"><kbd aria-hidden="true">/</kbd></div>`;
const empty = (look, title, text, more) => html`<div class="empty">${icon(look)}<h2>${title}</h2><p>${text}</p><div class="actions">${more}</div></div>`;

actions['clear-filter'] = () => { state.filter = ''; schedule(); $('#filter')?.focus(); };
actions['copy-name'] = async (button) => toast(t(await copyText(button.dataset.name) ? 'copied' : 'copy_failed'));
actions['new-alias'] = (button) => openAlias(null, { upstream: button.dataset.name });
actions['edit-alias'] = (button) => openAlias(aliasOf(button.dataset.name));
actions['duplicate-alias'] = (button) => openAlias(null, clone(aliasOf(button.dataset.name)));
actions['delete-alias'] = (button) => removeAlias(aliasOf(button.dataset.name));

/** An auto alias goes at once and can come back; one made by hand is asked about first. */
async function removeAlias(alias) {
  if (!alias) return;
  if (alias.source !== 'auto' && !(await confirmed({ title: t('delete_alias_title'), text: t('delete_alias_text', { name: alias.alias }), yes: t('delete'), look: 'danger' }))) return;
  const gone = clone(alias);
  const done = await quickSave(`alias ${alias.alias}`, entryEdit('aliases', 'alias', gone, null));
  if (done) toast(t('alias_deleted', { name: alias.alias }), '', () => quickSave(`alias ${gone.alias}`, entryEdit('aliases', 'alias', null, gone)));
}
