// Models: every alias, grouped by upstream. The page where one starts.

const GROUP_ROWS_MAX = 200;
const FILTER_FROM = 8;

const modelsView = () => {
  const { upstreams, aliases } = state.config;
  const shown = aliases.filter(({ alias, target_model, upstream }) => matches([alias, target_model, upstream]));
  const groups = [...upstreams].sort((a, b) => !isOn(a) - !isOn(b))
    .map(upstream => [upstream, shown.filter(alias => alias.upstream === upstream.name)]);
  groups.push([{ name: t('stray'), enabled: false }, shown.filter(({ upstream }) => !upstreamOf(upstream))]);
  const newAlias = bare => button('new_alias', { glyph: 'plus', bare, look: '', off: !upstreams.length });
  const to = label => link('upstreams', t(label), { look: 'primary' });
  return html`${top(button('connect', { glyph: 'link', look: 'primary', off: !aliases.length }), newAlias(true))}
    ${aliases.length > FILTER_FROM && filterBox(t('filter_models'))}
    ${!upstreams.length ? empty('upstreams', t('start_title'), t('start_text'), to('add_upstream'))
    : !aliases.length ? empty('models', t('no_models_yet'), t('no_models_text'), [to('choose_models'), newAlias()])
    : !shown.length ? nothingFound()
    : groups.filter(([, { length }]) => length).map(modelGroup)}`;
};

const modelGroup = ([upstream, aliases]) => {
  const on = isOn(upstream);
  return html`<section class="group ${!on && 'off'}" data-key="group-${upstream.name}" aria-label="${upstream.name}">
    <div class="group-head"><h2>${cut(upstream.name)}</h2>${PROTOCOLS.filter(({ flag }) => upstream[flag]).map(({ label }) => badge(label))}${!on && badge(t('switched_off'), 'warn')}${span('count', t('n_models', aliases.length))}</div>
    <ul class="rows">${aliases.slice(0, GROUP_ROWS_MAX).map(alias => modelRow(alias, on))}</ul>
    ${aliases.length > GROUP_ROWS_MAX && soft(t('filter_more', aliases.length - GROUP_ROWS_MAX))}</section>`;
};

const modelRow = ({ alias, target_model, source, strict, param_overrides: params = [] }, on) => {
  const kind = source === 'auto' ? 'auto' : 'manual';
  return html`<li class="row model" data-key="alias-${alias}">
    ${button('edit_alias', { label: cut(alias, 'mono strong'), look: 'plain-name', name: alias, attributes: html`aria-label="${t('edit_x', alias)}"` })}
    ${span('target', cut(target_model, 'mono soft'))}
    <span class="marks">${params.length > 0 && html`<span class="badge" title="${params.map(({ key, value, mode }) => `${key} = ${plain(value)} (${t(`mode_${mode ?? 'default'}`)})`).join('\n')}">${t('n_params', params.length)}</span>`}${strict === true && badge(t('strict'))}${badge(t(kind), kind)}</span>
    ${span('tools', on && tryLink(alias, 'quiet try'), menu('alias', alias, [
      ['edit_alias', 'settings', 'edit'],
      on && ['connect', 'link', 'connect'],
      ['copy_name', 'copy', 'copy_name'],
      ['copy_name', 'copy', 'copy_target_model', '', target_model],
      ['duplicate', 'plus', 'duplicate'],
      ['delete_alias', 'trash', 'delete'],
    ]))}</li>`;
};

const tryLink = (alias, look) => link(`play/${encode(alias)}`, t('try'), { glyph: 'play', look, said: t('try_x', alias) });
const matches = texts => texts.join('\n').toLowerCase().includes(state.filter.toLowerCase());
const filterBox = label => html`<div class="filter">${search('filter', state.filter, label)}<kbd aria-hidden="true">/</kbd></div>`;
const empty = (look, title, text, more) => html`<div class="empty">${icon(look)}<h2>${title}</h2>${p('', text)}${div('actions', more)}</div>`;
const nothingFound = () => empty(state.view, t('nothing_found'), state.filter && `“${state.filter}”`, button('show_all'));

actions.show_all = () => {
  state.filter = state.only = '';
  render();
  $('[type=search]')?.focus();
};
actions.copy_name = async ({ name }) => toast(t(await copyText(name) ? 'copied' : 'copy_failed'));
actions.new_alias = ({ name }) => openAlias(null, { upstream: name });
actions.edit_alias = ({ name }) => openAlias(aliasOf(name));
actions.duplicate = ({ name }) => openAlias(null, aliasOf(name));

/** An auto alias goes at once and can come back; one made by hand is asked about first. */
actions.delete_alias = async ({ name }) => {
  const gone = clone(aliasOf(name));
  if (!gone || gone.source !== 'auto' && !(await confirmDelete(name, t('alias_goes', name)))) return;
  const change = (...sides) => quickSave(`alias ${name}`, entryEdit('aliases', ...sides));
  if (await change(gone, null)) toast(t('x_deleted', name), '', () => change(null, gone));
};
