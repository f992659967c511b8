// Upstreams: a card each, with its protocols as switches and its models as tags; and the form that adds or changes one.

const TAGS_FOLDED = 14;
const TAGS_DRAWN_MAX = 400;
const TAG_FILTER_FROM = 20;
const OAUTH = {
  anthropic_oauth: { label: 'Claude', provider: 'claude', base_url: 'https://api.anthropic.com', name: 'claude' },
  codex_oauth: { label: 'Codex', provider: 'codex', base_url: 'https://chatgpt.com/backend-api', name: 'codex' },
};
const UPSTREAM_FIELDS = ['name', 'base_url', 'auth', 'enabled', 'anthropic_base_url', ...PROTOCOLS.map(({ flag }) => flag)];
const unfolded = new Set(); // upstreams whose tags are all shown
const tagFilters = {};

function upstreamsView() {
  const { upstreams } = state.config;
  if (!upstreams.length) {
    state.first ??= upstreamDraft(null, { id: 'first' });
    return html`<div class="top"><h1>${t('upstreams')}</h1></div>
      <section class="card first" data-dialog="first" aria-label="${t('add_upstream')}"><h2>${t('no_upstreams_title')}</h2><p class="soft">${t('no_upstreams_text')}</p>
      <div class="examples">${Object.keys(EXAMPLES).map((id) => html`<button type="button" data-action="example" data-name="${id}">${t(`example_${id}`)}</button>`)}</div>
      <form data-submit="upstream" novalidate autocomplete="off">${upstreamForm(state.first)}${formError(state.first)}<footer>${saveButton(state.first, t('add_upstream'))}</footer></form></section>`;
  }
  const loading = upstreams.filter(({ name }) => state.fetched[name]?.loading).length;
  return html`<div class="top"><h1>${t('upstreams')}</h1><div class="actions"><span class="soft still" aria-live="polite">${loading > 0 && t('still_loading', { n: loading })}</span>
      <button type="button" data-action="reload-all" aria-label="${t('reload_models')}" title="${t('reload_models')}">${icon('refresh')}</button>
      <button class="primary" type="button" data-action="new-upstream">${icon('plus')}${t('add_upstream')}</button></div></div>
    <div class="cards">${upstreams.map(upstreamCard)}</div>`;
}

const EXAMPLES = {
  lan: { name: 'local', base_url: 'http://192.168.1.10:8000', support_chat_completions: true },
  anthropic: { name: 'anthropic', base_url: 'https://api.anthropic.com', support_chat_completions: false, support_anthropic_messages: true },
  account: { name: 'claude', type: 'anthropic_oauth', base_url: OAUTH.anthropic_oauth.base_url },
};
actions.example = (button) => {
  Object.assign(state.first.draft, upstreamDraft(null, {}).draft, EXAMPLES[button.dataset.name], { key: state.first.draft.key });
  state.first.test = null;
  schedule();
  drawNow();
  document.getElementById('f-draft.base_url')?.focus();
};

function upstreamCard(upstream, at) {
  const { name } = upstream;
  const on = upstream.enabled !== false;
  const oauth = isOauth(upstream);
  const key = upstream.auth?.key;
  return html`<section class="card upstream ${!on && 'off'}" data-key="upstream-${idOf(name)}" aria-label="${name}">
    <div class="card-head">${toggle({ action: 'toggle-upstream', name, on, disabled: state.busy.has(`upstream ${name}`), label: t('enabled_x', { name }) })}<h2>${cut(name)}</h2>
      ${oauth ? html`<span class="badge">${t('account_of', { provider: OAUTH[upstream.auth.type].label })}</span>` : upstream.kind && upstream.kind !== 'generic' && html`<span class="badge">${upstream.kind}</span>`}${!on && html`<span class="badge warn">${t('switched_off')}</span>`}
      ${menu(`upstream-${idOf(name)}`, t('actions_for', { name }), [
        { action: 'edit-upstream', name, icon: 'settings', label: t('edit') },
        on && { action: 'reload', name, icon: 'refresh', label: t('reload_models') },
        on && { action: 'new-alias', name, icon: 'plus', label: t('new_alias') },
        { action: 'copy-name', name: upstream.base_url, icon: 'copy', label: t('copy_address') },
        at > 0 && { action: 'move', name, more: '-1', icon: 'arrow', look: 'up', label: t('move_up') },
        at < state.config.upstreams.length - 1 && { action: 'move', name, more: '1', icon: 'arrow', look: 'down', label: t('move_down') },
        { action: 'delete-upstream', name, icon: 'trash', label: t('delete'), look: 'danger' },
      ])}</div>
    <p class="address">${cut(upstream.base_url, 'mono soft')}${upstream.anthropic_base_url && html`<span class="soft">Messages: ${cut(upstream.anthropic_base_url, 'mono soft')}</span>`}
      ${!oauth && html`<span class="soft">${!key ? t('no_key') : html`${t('key_is')} <code>${key}</code>`}</span>`}</p>
    ${oauth && accountPart(upstream)}
    <div class="pills" role="group" aria-label="${t('protocols_of', { name })}">${PROTOCOLS.map(({ flag, label }) => oauth
      ? html`<span class="pill fixed" title="${t('fixed_on')}">${icon('check')}${label}</span>`
      : toggle({ action: 'toggle-protocol', name, more: flag, on: upstream[flag] === true, look: 'pill', text: label, disabled: state.busy.has(`${flag} ${name}`) }))}</div>
    ${on && modelTags(upstream)}</section>`;
}

/** The models of an upstream, each in one of three looks: available, enabled, conflict. */
function tagsOf(upstream) {
  const { models = [] } = state.fetched[upstream.name] ?? {};
  const byName = new Map(state.config.aliases.map((alias) => [alias.alias, alias]));
  const auto = new Map(state.config.aliases.filter((alias) => alias.source === 'auto' && alias.upstream === upstream.name).map((alias) => [alias.target_model, alias]));
  const tags = models.map(({ id, max_model_len }) => {
    const taken = byName.get(id);
    const alias = auto.get(id);
    auto.delete(id);
    return { id, max_model_len, alias, taken, look: alias ? 'enabled' : taken ? 'conflict' : 'available' };
  });
  for (const [id, alias] of auto) tags.push({ id, alias, look: 'enabled', unlisted: !state.fetched[upstream.name]?.loading && !state.fetched[upstream.name]?.error });
  const order = { enabled: 0, conflict: 2, available: 1 };
  return tags.sort((a, b) => order[a.look] - order[b.look]);
}

function modelTags(upstream) {
  const { name } = upstream;
  const fetched = state.fetched[name] ?? { loading: true, models: [] };
  const tags = tagsOf(upstream);
  if (fetched.loading && !tags.length) return html`<div class="tags" aria-busy="true" aria-label="${t('loading_models')}">${[6, 9, 7, 8].map((n) => html`<span class="tag skeleton w${n}">&nbsp;</span>`)}</div>`;
  const words = (tagFilters[idOf(name)] ?? '').toLowerCase();
  const found = words ? tags.filter(({ id }) => id.toLowerCase().includes(words)) : tags;
  const all = unfolded.has(name) || words;
  const shown = found.slice(0, all ? TAGS_DRAWN_MAX : TAGS_FOLDED);
  return html`${fetched.error && html`<p class="failed" role="status">${icon('warn')}<span>${t('models_failed', { error: fetched.error })}</span><button type="button" class="small" data-action="reload" data-name="${name}">${t('try_again')}</button></p>`}
    ${tags.length > TAG_FILTER_FROM && html`<div class="tag-filter"><input type="search" id="tags-${idOf(name)}" data-bind="tags.${idOf(name)}" data-filter value="${tagFilters[idOf(name)] ?? ''}" placeholder="${t('filter_n_models', { n: tags.length })}" aria-label="${t('filter_n_models', { n: tags.length })}" autocomplete="off" spellcheck="false"></div>`}
    ${(tags.length > 0 || !fetched.error) && html`<div class="tags" role="group" aria-label="${t('models_of', { name })}">${shown.map((tag) => modelTag(upstream, tag))}
      ${found.length > shown.length && !all && html`<button type="button" class="tag fold" data-action="unfold" data-name="${name}" aria-expanded="false">${t('n_more', { n: found.length - shown.length })}</button>`}
      ${unfolded.has(name) && found.length > TAGS_FOLDED && !words && html`<button type="button" class="tag fold" data-action="unfold" data-name="${name}" aria-expanded="true">${t('fewer')}</button>`}
      ${found.length > shown.length && all && html`<span class="soft">${t('more_by_filter', { n: found.length - shown.length })}</span>`}
      ${!found.length && !fetched.error && html`<span class="soft">${words ? t('nothing_found') : t('no_models_listed')}</span>`}</div>`}
    ${tags.length > 0 && !tags.some(({ look }) => look === 'enabled') && html`<p class="hint">${t('tags_hint')}</p>`}`;
}

function modelTag(upstream, { id, look, alias, taken, unlisted, max_model_len }) {
  const control = `tag ${upstream.name} ${id}`;
  const key = `tag-${idOf(id)}`;
  if (look === 'conflict') {
    const reason = t('conflict_with', { name: id, upstream: taken.upstream, target: taken.target_model });
    return html`<span class="tag conflict" data-key="${key}" title="${reason}">${icon('warn')}<span class="sr">${t('conflict')}: </span>${cut(id)}<span class="sr">, ${reason}</span></span>`;
  }
  const label = look === 'enabled' ? t('tag_remove', { name: id }) : t('tag_add', { name: id });
  return html`<button type="button" class="tag ${look} ${unlisted && 'unlisted'}" data-key="${key}" data-action="${look === 'enabled' ? 'drop-auto' : 'add-auto'}" data-name="${upstream.name}" data-more="${alias?.alias ?? id}" data-length="${plain(max_model_len ?? '')}" aria-pressed="${look === 'enabled' ? 'true' : 'false'}" aria-label="${label}" title="${unlisted ? t('unlisted') : label}" ${state.busy.has(control) && 'disabled'}>${icon(look === 'enabled' ? 'check' : 'plus')}${cut(id)}</button>`;
}

actions.unfold = (button) => {
  const { name } = button.dataset;
  if (!unfolded.delete(name)) unfolded.add(name);
  schedule();
};
actions.reload = (button) => loadModels(button.dataset.name);
actions['reload-all'] = () => {
  for (const { name, enabled } of state.config.upstreams) if (enabled !== false) loadModels(name);
  if (state.config.upstreams.some(isOauth)) loadAccounts();
};
const autoAlias = (upstream, model, length) => ({ alias: model, target_model: model, upstream, param_overrides: [], source: 'auto', ...(length && { max_model_len: Number(length) }) });
actions['add-auto'] = (button) => {
  const { name, more, length } = button.dataset;
  return quickSave(`tag ${name} ${more}`, entryEdit('aliases', 'alias', null, autoAlias(name, more, length)));
};
actions['drop-auto'] = (button) => removeAlias(aliasOf(button.dataset.more));

const changeUpstream = (name, change) => {
  const base = clone(upstreamOf(name));
  return entryEdit('upstreams', 'name', base, { ...clone(base), ...change(base) });
};
actions['toggle-upstream'] = (button) => {
  const { name } = button.dataset;
  return quickSave(`upstream ${name}`, changeUpstream(name, (base) => ({ enabled: base.enabled === false })));
};
actions['toggle-protocol'] = (button) => {
  const { name, more } = button.dataset;
  return quickSave(`${more} ${name}`, changeUpstream(name, (base) => ({ [more]: base[more] !== true })));
};
actions.move = (button) => {
  const { name, more } = button.dataset;
  return quickSave('move', (config) => {
    const at = config.upstreams.findIndex((upstream) => upstream.name === name);
    if (at < 0) return {};
    const [moved] = config.upstreams.splice(at, 1);
    config.upstreams.splice(Math.max(0, at + Number(more)), 0, moved);
    return { changes: { upstreams: config.upstreams } };
  });
};
actions['delete-upstream'] = async (button) => {
  const { name } = button.dataset;
  const hanging = state.config.aliases.filter((alias) => alias.upstream === name).map((alias) => alias.alias);
  if (!(await confirmed({ title: t('delete_upstream_title'), text: hanging.length ? t('delete_upstream_with', { name, n: hanging.length }) : t('delete_upstream_text', { name }), list: hanging, yes: t('delete'), look: 'danger' }))) return;
  const done = await quickSave(`upstream ${name}`, entryEdit('upstreams', 'name', clone(upstreamOf(name)), null, (config) => {
    config.aliases = config.aliases.filter((alias) => alias.upstream !== name);
    return ['aliases'];
  }));
  if (done) toast(t('deleted_x', { name }));
};

// The form

function upstreamDraft(base, more) {
  const draft = {
    type: base?.auth?.type ?? 'api_key', name: base?.name ?? '', base_url: base?.base_url ?? '', key: '', drop_key: false,
    support_chat_completions: base ? base.support_chat_completions === true : true,
    support_responses: base?.support_responses === true, support_anthropic_messages: base?.support_anthropic_messages === true,
    anthropic_base_url: base?.anthropic_base_url ?? '', rest: restText(base, UPSTREAM_FIELDS), picked: [],
  };
  return { base: clone(base), draft, test: null, problems: [], error: '', busy: false, untouched: JSON.stringify(draft), ...more };
}
actions['new-upstream'] = () => open('upstream', upstreamDraft(null, {}));
actions['edit-upstream'] = (button) => open('upstream', upstreamDraft(upstreamOf(button.dataset.name), {}));
dialogViews.upstream = (dialog) => modal(dialog, {
  title: dialog.base ? t('edit_upstream') : t('add_upstream'),
  look: 'wide',
  submit: 'upstream',
  body: upstreamForm(dialog),
  foot: html`${cancelButton()}${saveButton(dialog, dialog.base ? t('save') : t('add'))}`,
});

/** The address that a request will go to: the rule that the gateway follows. */
function callAddress(base, path) {
  const bare = base.trim();
  let url;
  try { url = new URL(bare.replace(/#$/, '')); } catch { return ''; }
  const complete = bare.endsWith('#') || url.pathname.split('/').some((part) => /^v\d+((alpha|beta)\d*)?$/.test(part));
  return `${url.origin}${url.pathname.replace(/\/+$/, '')}${complete ? '' : '/v1'}/${path}`;
}

function upstreamForm(dialog) {
  const { draft, base, test } = dialog;
  const problem = problemsOf(dialog, 'upstreams');
  const oauth = draft.type !== 'api_key';
  const mask = base?.auth?.key;
  const moved = base && draft.base_url.trim() !== base.base_url && mask && !mask.startsWith('${') && !draft.key;
  const first = PROTOCOLS.find(({ flag }) => draft[flag]) ?? PROTOCOLS[0];
  const called = oauth ? '' : callAddress(first.id === 'messages' && draft.anthropic_base_url ? draft.anthropic_base_url : draft.base_url, first.path);
  return html`<div class="grid two">${field({ bind: 'draft.name', label: t('name'), value: draft.name, problem: problem('name'), placeholder: 'local', hint: base && draft.name !== base.name ? t('rename_hint') : t('name_hint') })}
      ${field({ bind: 'draft.type', label: t('access'), value: draft.type, options: [['api_key', t('by_key')], ['anthropic_oauth', t('by_account', { provider: 'Claude' })], ['codex_oauth', t('by_account', { provider: 'Codex' })]] })}</div>
    ${oauth ? html`<p class="hint">${t('oauth_hint')}</p>` : html`
    ${field({ bind: 'draft.base_url', label: t('base_url'), value: draft.base_url, type: 'url', look: 'mono', problem: problem('base_url'), placeholder: 'http://192.168.1.10:8000', hint: called ? t('will_call', { url: called }) : t('base_url_hint') })}
    <div class="key-line">${field({ bind: 'draft.key', label: t('api_key'), secret: true, placeholder: draft.drop_key || !mask ? t('no_key_needed') : mask, problem: problem('auth.key') ?? problem('auth'), hint: moved ? t('key_moved') : draft.drop_key ? t('key_goes') : mask ? t('key_stays') : t('key_hint') })}
      ${mask && html`<button type="button" data-action="drop-key">${draft.drop_key ? t('keep_key') : t('remove_key')}</button>`}
      <button type="button" class="accent" data-action="test-upstream" ${(test?.busy || !draft.base_url.trim()) && 'disabled'}>${test?.busy ? t('testing') : t('test')}</button></div>
    ${testResult(dialog)}
    <fieldset class="checks"><legend>${t('protocols')}</legend>${PROTOCOLS.map(({ id, flag, label }) => {
      const told = test?.protocols?.[id];
      return html`<label class="check"><input type="checkbox" id="f-draft.${flag}" data-bind="draft.${flag}" ${draft[flag] && 'checked'}><span>${label}${told && html`<span class="hint ${told.speaks === true ? 'ok' : ''}">${told.speaks === true ? t('speaks') : told.speaks === false ? t('speaks_not') : t('speaks_unknown')}${told.detail && html`<span class="sr">: ${told.detail}</span>`}</span>`}</span></label>`;
    })}</fieldset>
    ${draft.support_anthropic_messages && field({ bind: 'draft.anthropic_base_url', label: t('anthropic_base_url'), value: draft.anthropic_base_url, type: 'url', look: 'mono', problem: problem('anthropic_base_url'), hint: t('anthropic_base_url_hint') })}
    ${restField(dialog, 'upstreams', '{"headers": {"x-team": "lab"}, "timeouts": {"idle": 600}}')}`}`;
}

function testResult({ test, draft }) {
  if (!test || test.busy) return html`<div class="test" aria-live="polite"></div>`;
  const models = test.models ?? [];
  return html`<div class="test ${test.error ? 'bad' : 'ok'}" aria-live="polite">${test.error ? html`<p>${icon('warn')}<span>${test.error}</span></p>`
    : html`<p>${icon(test.models_error ? 'warn' : 'check')}<span>${test.models_error ? t('models_failed', { error: test.models_error }) : t('test_found', { n: models.length })}</span></p>
      ${models.length > 0 && html`<p class="hint">${t('test_pick')}</p><div class="tags">${models.slice(0, TAGS_DRAWN_MAX / 4).map(({ id }) => {
        const taken = aliasOf(id);
        const on = draft.picked.includes(id);
        return taken ? html`<span class="tag conflict" title="${t('alias_taken', { name: id, upstream: taken.upstream })}">${icon('warn')}<span class="sr">${t('conflict')}: </span>${cut(id)}</span>`
          : html`<button type="button" class="tag ${on ? 'enabled' : 'available'}" aria-pressed="${on ? 'true' : 'false'}" data-action="pick" data-name="${id}" data-key="pick-${idOf(id)}">${icon(on ? 'check' : 'plus')}${cut(id)}</button>`;
      })}${models.length > TAGS_DRAWN_MAX / 4 && html`<span class="soft">${t('and_more', { n: models.length - TAGS_DRAWN_MAX / 4 })}</span>`}</div>`}`}</div>`;
}

actions['drop-key'] = (button) => {
  const { draft } = dialogOf(button);
  draft.drop_key = !draft.drop_key;
  schedule();
};
actions.pick = (button) => {
  const { draft } = dialogOf(button);
  const { name } = button.dataset;
  draft.picked = draft.picked.includes(name) ? draft.picked.filter((id) => id !== name) : [...draft.picked, name];
  schedule();
};
actions['test-upstream'] = async (button) => {
  const dialog = dialogOf(button);
  const { draft, base } = dialog;
  const test = { busy: true };
  dialog.test = test;
  schedule();
  try {
    const body = { base_url: draft.base_url.trim(), api_key: keyToSend(draft, base) ?? null };
    if (base) body.upstream = base.name;
    if (draft.anthropic_base_url.trim()) body.anthropic_base_url = draft.anthropic_base_url.trim();
    const rest = restOf(draft);
    for (const key of ['headers', 'ca_file', 'proxy', 'kind']) if (rest[key]) body[key] = rest[key];
    [dialog.test] = await ask('POST', 'api/upstream-models/test', body);
    const told = Object.values(dialog.test.protocols ?? {});
    if (told.some(({ speaks }) => speaks === true)) for (const { id, flag } of PROTOCOLS) {
      const { speaks } = dialog.test.protocols[id] ?? {};
      if (typeof speaks === 'boolean') draft[flag] = speaks;
    }
  } catch (failure) {
    dialog.test = { error: failure.message };
  }
  render();
  document.querySelector('.test.ok, .test.bad')?.scrollIntoView({ block: 'nearest' });
};

const keyToSend = (draft, base) => draft.key.trim() || (draft.drop_key ? null : base?.auth?.key ?? null);

submits.upstream = async (dialog) => {
  const { draft, base } = dialog;
  const name = draft.name.trim();
  const done = await submitForm(dialog, async () => {
    const oauth = draft.type !== 'api_key';
    if (!name) throw new Mistake('draft.name', t('need_name'));
    if (name !== base?.name && upstreamOf(name)) throw new Mistake('draft.name', t('name_taken', { name }));
    if (!oauth && !draft.base_url.trim()) throw new Mistake('draft.base_url', t('need_base_url'));
    const mine = { ...restOf(draft), name, base_url: oauth ? OAUTH[draft.type].base_url : draft.base_url.trim() };
    mine.auth = oauth ? { type: draft.type } : { ...(base?.auth?.type === 'api_key' ? clone(base.auth) : {}), type: 'api_key', key: keyToSend(draft, base) };
    mine.enabled = base?.enabled ?? true;
    for (const { flag } of PROTOCOLS) mine[flag] = oauth || draft[flag];
    set(mine, 'anthropic_base_url', (!oauth && draft.anthropic_base_url.trim()) || undefined, base);
    const renamed = base && base.name !== name;
    const picked = draft.picked.filter((id) => !aliasOf(id));
    const lengths = new Map((dialog.test?.models ?? []).map(({ id, max_model_len }) => [id, max_model_len]));
    await save(entryEdit('upstreams', 'name', base, mine, (config) => {
      if (!renamed && !picked.length) return [];
      if (renamed) for (const alias of config.aliases) if (alias.upstream === base.name) alias.upstream = name;
      for (const id of picked) config.aliases.push(autoAlias(name, id, plain(lengths.get(id) ?? '')));
      return ['aliases'];
    }));
  });
  if (!done) return;
  state.first = null;
  toast(t('saved_x', { name }));
  if (draft.type !== 'api_key' && !base) actions['account-login']({ dataset: { name } });
};
