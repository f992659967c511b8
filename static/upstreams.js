// Upstreams: a card each, with its protocols as switches and its models as tags; and the form that adds or changes one.

const TAGS_FOLDED = 14;
const TAGS_DRAWN_MAX = 400;
const TAG_FILTER_FROM = 20;
const OAUTH = {
  anthropic_oauth: { label: 'Claude', provider: 'claude', base_url: 'https://api.anthropic.com' },
  codex_oauth: { label: 'Codex', provider: 'codex', base_url: 'https://chatgpt.com/backend-api' },
};
const UPSTREAM_FIELDS = ['name', 'base_url', 'auth', 'enabled', 'anthropic_base_url', ...PROTOCOLS.map(({ flag }) => flag)];
const unfolded = new Set(); // upstreams whose tags are all shown
const tagFilters = {};

const upstreamsView = () => {
  const { upstreams } = state.config;
  if (!upstreams.length) {
    state.first ??= { ...upstreamDraft(), id: 'first', kind: 'upstream', problems: [] };
    return html`${top()}<section class="card first" data-dialog="first" aria-label="${t('add_upstream')}"><h2>${t('start_title')}</h2>${soft(t('example_text'))}${div('actions', Object.keys(EXAMPLES).map(name => button('example', { label: t(`example_${name}`), name })))}
      <form novalidate autocomplete="off">${within(state.first, first => [upstreamForm(first), formEnd(t('add_upstream'))])}</form></section>`;
  }
  const loading = upstreams.filter(({ name }) => state.fetched[name]?.loading).length;
  return html`${top(html`<span class="soft" aria-live="polite">${loading > 0 && t('still_loading', loading)}</span>`,
    button('fetch_models_again', { glyph: 'refresh', bare: true, look: '' }), button('add_upstream', { glyph: 'plus', look: 'primary' }))}
    ${div('cards', upstreams.map(upstreamCard))}`;
};

const EXAMPLES = {
  lan: { name: 'local', base_url: 'http://192.168.1.10:8000' },
  anthropic: { name: 'anthropic', base_url: 'https://api.anthropic.com', support_chat_completions: false, support_anthropic_messages: true },
  account: { name: 'claude', type: 'anthropic_oauth' },
};
actions.example = ({ name }) => {
  const { draft } = state.first;
  Object.assign(state.first, { draft: { ...upstreamDraft().draft, ...EXAMPLES[name], api_key: draft.api_key }, test: null });
  render();
  byId('f-draft.base_url')?.focus();
};

const upstreamCard = (upstream, at, { length }) => {
  const { name, auth, kind, base_url, anthropic_base_url } = upstream;
  const on = isOn(upstream);
  const oauth = isOauth(upstream);
  return html`<section class="card upstream ${!on && 'off'}" data-key="upstream-${name}" data-place="${at}" aria-label="${name}">
    <div class="card-head">${length > 1 && html`<span class="grip" draggable="true" title="${t('drag_to_move')}">⠿</span>`}${toggle('toggle_upstream', { name, on, label: t('enabled_x', name) })}<h2>${cut(name)}</h2>
      ${oauth ? badge(t('x_account', OAUTH[auth.type].label)) : kind && kind !== 'generic' && badge(kind)}${!on && badge(t('switched_off'), 'warn')}
      ${menu('upstream', name, [
        ['edit_upstream', 'settings', 'edit'],
        on && ['fetch_models_again', 'refresh', 'fetch_models_again'],
        on && ['new_alias', 'plus', 'new_alias'],
        base_url && ['copy_name', 'copy', 'copy_address', '', base_url],
        at > 0 && ['move', 'arrow', 'move_up', at - 1],
        at < length - 1 && ['move', 'arrow', 'move_down', at + 1],
        ['delete_upstream', 'trash', 'delete'],
      ])}</div>
    <p class="address">${base_url && cut(base_url, 'mono soft')}${anthropic_base_url && span('soft', 'Messages: ', cut(anthropic_base_url, 'mono'))}${!oauth && span('soft', auth?.key ? [t('key_is'), ' ', code(auth.key)] : t('no_key'))}</p>
    ${oauth && accountPart(upstream)}
    <div class="pills" role="group" aria-label="${t('protocols_of', name)}">${PROTOCOLS.map(({ flag, label }) => oauth
      ? html`<span class="pill" title="${t('fixed_on')}">${icon('check')}${label}</span>`
      : toggle('toggle_protocol', { name, more: flag, on: upstream[flag] === true, text: label }))}</div>
    ${on && modelTags(upstream)}</section>`;
};

/** The models of an upstream, each in one of three looks: enabled, available, conflict. */
const tagsOf = ({ name }) => {
  const { models = [], loading, error } = state.fetched[name] ?? {};
  const { aliases } = state.config;
  const byName = new Map(aliases.map(alias => [alias.alias, alias]));
  const auto = new Map(aliases.filter(({ source, upstream }) => source === 'auto' && upstream === name).map(({ alias, target_model }) => [target_model, alias]));
  const tags = models.map(({ id }) => {
    const alias = auto.get(id);
    const taken = byName.get(id);
    auto.delete(id);
    return { id, alias, taken, look: alias ? 'enabled' : taken ? 'conflict' : 'available' };
  });
  for (const [id, alias] of auto) tags.push({ id, alias, look: 'enabled', unlisted: !loading && !error });
  const order = tag => ['enabled', 'available', 'conflict'].indexOf(tag.look);
  return tags.sort((a, b) => order(a) - order(b));
};

const modelTags = upstream => {
  const { name } = upstream;
  const { error, loading } = state.fetched[name] ?? { loading: true };
  const tags = tagsOf(upstream);
  if (loading && !tags.length) return html`<div class="tags" aria-busy="true" aria-label="${t('loading')}">${[1, 2, 3, 4].map(skeleton)}</div>`;
  const words = tagFilters[name] ?? '';
  const found = tags.filter(({ id }) => id.toLowerCase().includes(words.toLowerCase()));
  const all = unfolded.has(name) || words;
  const shown = found.slice(0, all ? TAGS_DRAWN_MAX : TAGS_FOLDED);
  const more = found.length - shown.length;
  const folding = label => button('unfold', { label, name, look: 'tag fold', attributes: html`aria-expanded="${bool(all)}"` });
  return html`${error && html`<div class="actions" role="status">${warned(t('models_failed', error))}${button('fetch_models_again', { label: t('try_again'), name, look: 'small' })}</div>`}
    ${tags.length > TAG_FILTER_FROM && html`${div('tag-filter', search(`tags.${name}`, words, t('filter_n', tags.length)))}`}
    ${(tags.length > 0 || !error) && html`<div class="tags" role="group" aria-label="${t('models_of', name)}">${shown.map(tag => modelTag(name, tag))}
      ${more > 0 ? all ? span('soft', t('filter_more', more)) : folding(t('n_more', more)) : !words && found.length > TAGS_FOLDED && folding(t('show_fewer'))}
      ${!found.length && !error && span('soft', t(words ? 'nothing_found' : 'none_listed'))}</div>`}
    ${tags.length > 0 && !tags.some(({ alias }) => alias) && hint(t('tags_hint'))}`;
};

const modelTag = (name, { id, look, alias, taken, unlisted }) => {
  if (look === 'conflict') return conflictTag(taken);
  const label = t(alias ? 'tag_remove' : 'tag_add', id);
  return button(alias ? 'delete_alias' : 'add_auto', { label: cut(id), name: alias ?? id, more: name, glyph: alias ? 'check' : 'plus', look: `tag ${look} ${unlisted ? 'unlisted' : ''}`, on: alias, attributes: html`data-key="tag-${id}" aria-label="${label}" title="${unlisted ? t('unlisted') : label}"` });
};
const conflictTag = ({ alias, upstream, target_model }) => {
  const reason = t('alias_taken', alias, upstream, target_model);
  return html`<span class="tag conflict" data-key="tag-${alias}" title="${reason}">${icon('warn')}${cut(alias)}${span('sr', ', ', reason)}</span>`;
};

actions.unfold = ({ name }) => {
  if (!unfolded.delete(name)) unfolded.add(name);
};
/** Of one upstream, or of all. */
actions.fetch_models_again = ({ name }) => {
  const wanted = state.config.upstreams.filter(upstream => name ? upstream.name === name : isOn(upstream));
  for (const { name } of wanted) loadModels(name);
  if (wanted.some(isOauth)) loadAccounts();
};
const autoAlias = (upstream, id, models) => {
  const { max_model_len } = models.find(model => model.id === id) ?? {};
  return { alias: id, target_model: id, upstream, param_overrides: [], source: 'auto', ...(max_model_len && { max_model_len }) };
};
actions.add_auto = ({ name, more }) => quickSave(`tag ${more} ${name}`, entryEdit('aliases', null, autoAlias(more, name, state.fetched[more].models)));

const changeUpstream = (control, name, change) => {
  const base = clone(upstreamOf(name));
  return quickSave(`${control} ${name}`, entryEdit('upstreams', base, { ...base, ...change(base) }));
};
actions.toggle_upstream = ({ name }) => changeUpstream('upstream', name, base => ({ enabled: !isOn(base) }));
actions.toggle_protocol = ({ name, more }) => changeUpstream(more, name, base => ({ [more]: base[more] !== true }));
/** Gives an upstream another place in the list. */
actions.move = ({ name, more }) => quickSave('move', ({ upstreams }) => {
  const moved = upstreams.find(upstream => upstream.name === name);
  const others = upstreams.filter(upstream => upstream !== moved);
  others.splice(more, 0, ...(moved ? [moved] : []));
  return { changes: { upstreams: others } };
});

// With a mouse the grip of a card is dragged onto the place where the card is to stand.
let dragged = null;
const cardAt = ({ target }) => target.closest?.('.card.upstream');
on('dragstart', event => {
  dragged = event.target.matches?.('.grip') ? cardAt(event) : null;
  if (dragged) event.dataTransfer.setDragImage(dragged, 0, 0);
});
on('dragover', event => {
  if (dragged && cardAt(event)) event.preventDefault();
});
on('drop', event => {
  const onto = cardAt(event);
  if (!dragged || !onto) return;
  event.preventDefault();
  act(actions.move, { name: dragged.ariaLabel, more: onto.dataset.place });
});
on('dragend', () => { dragged = null; });

actions.delete_upstream = async ({ name }) => {
  const hanging = state.config.aliases.filter(({ upstream }) => upstream === name).map(({ alias }) => alias);
  if (!(await confirmDelete(name, t('upstream_goes'), hanging))) return;
  const done = await quickSave(`upstream ${name}`, entryEdit('upstreams', clone(upstreamOf(name)), null, config => {
    config.aliases = config.aliases.filter(({ upstream }) => upstream !== name);
    return ['aliases'];
  }));
  if (done) toast(t('x_deleted', name));
};

// The form

const upstreamDraft = base => {
  const { name = '', auth, base_url = '', anthropic_base_url } = base ?? {};
  const draft = { type: auth?.type ?? 'api_key', name, base_url, api_key: '', drop_key: false, anthropic_base_url: anthropic_base_url ?? '', rest: restText(base, UPSTREAM_FIELDS), picked: [] };
  for (const { flag, id } of PROTOCOLS) draft[flag] = base ? base[flag] === true : id === 'chat';
  return { list: 'upstreams', base: clone(base), draft, untouched: JSON.stringify(draft) };
};
actions.add_upstream = () => open('upstream', upstreamDraft());
actions.edit_upstream = ({ name }) => open('upstream', upstreamDraft(upstreamOf(name)));
views.upstream = dialog => modal(t(dialog.base ? 'edit_upstream' : 'add_upstream'), upstreamForm(dialog), t(dialog.base ? 'save' : 'add'), { look: 'wide' });

/** The address that a request will go to: the rule that the gateway follows. */
const callAddress = (base, path) => {
  const bare = base.trim();
  let url;
  try { url = new URL(bare.replace(/#$/, '')); } catch { return ''; }
  const complete = bare.endsWith('#') || url.pathname.split('/').some(part => /^v\d+((alpha|beta)\d*)?$/.test(part));
  return `${url.origin}${url.pathname.replace(/\/+$/, '')}${complete ? '' : '/v1'}/${path}`;
};

const upstreamForm = ({ draft, base, test }) => {
  const oauth = draft.type !== 'api_key';
  const mask = base?.auth?.key;
  const moved = mask && draft.base_url.trim() !== base.base_url && !mask.startsWith('${') && !draft.api_key;
  const { id, path } = PROTOCOLS.find(({ flag }) => draft[flag]) ?? PROTOCOLS[0];
  const called = callAddress(id === 'messages' && draft.anthropic_base_url || draft.base_url, path);
  return html`${div('two', field('name', { placeholder: 'local', ...(base && draft.name !== base.name && { hint: t('name_changes') }) }),
      field('type', { label: 'access', options: [['api_key', t('by_key')], ...Object.entries(OAUTH).map(([id, { label }]) => [id, t('x_account', label)])] }))}
    ${oauth ? hint(t('oauth_hint')) : html`
    ${field('base_url', { type: 'url', look: 'mono', placeholder: 'http://192.168.1.10:8000', ...(called && { hint: t('will_call', called) }) })}
    <div class="key-line">${field('api_key', { member: 'auth', secret: true, placeholder: draft.drop_key || !mask ? t('none') : mask, hint: t(moved ? 'key_moved' : draft.drop_key ? 'key_goes' : mask ? 'key_stays' : 'api_key_hint') })}
      ${mask && button('drop_key', { label: t(draft.drop_key ? 'keep_key' : 'remove_key') })}${button('test', { label: t(test?.busy ? 'testing' : 'test'), look: 'accent', off: test?.busy || !draft.base_url.trim() })}</div>
    <div class="test" aria-live="polite">${test && !test.busy && testResult(test, draft)}</div>
    <fieldset class="checks"><legend>${t('protocols_it_speaks')}</legend>${PROTOCOLS.map(({ id, flag, label }) => {
      const { speaks, detail } = test?.protocols?.[id] ?? {};
      return check(flag, label, speaks !== undefined && span(`hint ${speaks && 'ok'}`, t(`speaks_${speaks}`), detail && span('sr', ': ', detail)));
    })}</fieldset>
    ${draft.support_anthropic_messages && field('anthropic_base_url', { type: 'url', look: 'mono' })}
    ${restField('kind, flags, headers, ca_file, proxy, timeouts, retry', '{"headers": {"x-team": "lab"}, "timeouts": {"idle": 600}}')}`}`;
};

const testResult = ({ error, models = [], models_error }, { picked }) => {
  if (error) return warned(error);
  const max = TAGS_DRAWN_MAX / 4;
  return html`${models_error ? warned(t('models_failed', models_error)) : p('ok', icon('check'), span('', t('test_found', t('n_models', models.length))))}
    ${models.length > 0 && html`${hint(t('test_pick'))}<div class="tags">${models.slice(0, max).map(({ id }) => {
      const taken = aliasOf(id);
      const on = picked.includes(id);
      return taken ? conflictTag(taken) : button('pick', { label: cut(id), glyph: on ? 'check' : 'plus', look: `tag ${on ? 'enabled' : 'available'}`, name: id, on });
    })}${models.length > max && span('soft', t('n_more', models.length - max))}</div>`}`;
};

actions.drop_key = (_, { draft }) => { draft.drop_key = !draft.drop_key; };
actions.pick = ({ name }, { draft }) => {
  draft.picked = draft.picked.includes(name) ? draft.picked.filter(id => id !== name) : [...draft.picked, name];
};
actions.test = async (_, dialog) => {
  const { draft, base } = dialog;
  dialog.test = { busy: true };
  schedule();
  try {
    const { headers, ca_file, proxy, kind } = objectOf(draft, 'rest');
    [dialog.test] = await ask('POST', 'upstream-models/test', { base_url: draft.base_url.trim(), api_key: keyToSend(draft, base), upstream: base?.name, anthropic_base_url: draft.anthropic_base_url.trim() || undefined, headers, ca_file, proxy, kind });
    const { protocols = {} } = dialog.test;
    if (Object.values(protocols).some(({ speaks }) => speaks === true)) for (const { id, flag } of PROTOCOLS) draft[flag] = protocols[id]?.speaks ?? draft[flag];
  } catch (failure) {
    dialog.test = { error: reason(failure) };
  }
  render();
  $('.test:not(:empty)')?.scrollIntoView({ block: 'nearest' });
};

const keyToSend = ({ api_key, drop_key }, base) => api_key.trim() || (drop_key ? null : base?.auth?.key ?? null);

submits.upstream = async ({ draft, base, test }) => {
  const oauth = draft.type !== 'api_key';
  const name = needed(draft, 'name');
  if (name !== base?.name && upstreamOf(name)) throw mistake('name', t('name_taken', name));
  const mine = { ...objectOf(draft, 'rest'), name, base_url: oauth ? OAUTH[draft.type].base_url : needed(draft, 'base_url') };
  mine.auth = oauth ? { type: draft.type } : { ...(base?.auth?.type === 'api_key' && clone(base.auth)), type: 'api_key', key: keyToSend(draft, base) };
  mine.enabled = base?.enabled ?? true;
  for (const { flag } of PROTOCOLS) mine[flag] = oauth || draft[flag];
  mine.anthropic_base_url = orBefore(!oauth && draft.anthropic_base_url.trim(), base?.anthropic_base_url);
  const renamed = base && base.name !== name;
  const picked = draft.picked.filter(id => !aliasOf(id));
  await save(entryEdit('upstreams', base, mine, ({ aliases }) => {
    if (renamed) for (const alias of aliases) if (alias.upstream === base.name) alias.upstream = name;
    for (const id of picked) aliases.push(autoAlias(name, id, test?.models ?? []));
    return renamed || picked.length ? ['aliases'] : [];
  }));
  state.first = null;
  toast(t('x_saved', name));
  if (oauth && !base) actions.account_login({ name });
};
