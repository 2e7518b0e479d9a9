// Sliders for a chain of effects, made from what the service says of each parameter.

const FAMILIES = {geometry: 'Shape', colour: 'Skin and make-up', overlay: 'Laid over', privacy: 'Hide faces'};
const FIRST = 3;

class Sliders {
  // box: where they are shown. effects: /v1/effects. changed(chain): called whenever the chain is another.
  constructor(box, effects, changed) {
    this.box = box;
    this.known = new Map(effects.effects.map(effect => [effect.name, effect]));
    this.presets = new Map(effects.presets.map(one => [one.name, one]));
    this.changed = changed;
    this.chain = [];
    this.list = made('div');
    this.note = made('p', {className: 'note', role: 'status'});
    box.replaceChildren(made('h3', {}, 'Effects'), this.list, this.adding(), this.note);
  }

  // Shows a chain as it stands in a settings file: names, `name:param=value`, or {name: params}.
  show(chain) {
    this.chain = chain.flatMap(entry => this.read(entry));
    this.draw();
  }

  // The chain as the service takes it; what is as it comes is left out.
  get value() {
    return this.chain.map(({name, params}) => Object.keys(params).length ? {[name]: params} : name);
  }

  say(text, wrong = false) {
    this.note.textContent = text;
    this.note.className = wrong ? 'note wrong' : 'note muted';
  }

  read(entry) {
    if (typeof entry === 'object') return Object.entries(entry).map(([name, params]) => ({name, params: {...params}}));
    if (this.presets.has(entry)) return this.presets.get(entry).effects.flatMap(one => this.read(one));
    const at = entry.indexOf(':');
    const name = at < 0 ? entry : entry.slice(0, at);
    const params = {};
    for (const part of at < 0 ? [] : entry.slice(at + 1).split(/(?<!\\),/)) {
      const [key, ...rest] = part.split('=');
      params[key.trim()] = this.typed(name, key.trim(), rest.join('=').replaceAll('\\,', ',').trim());
    }
    return [{name, params}];
  }

  typed(name, key, text) {
    const param = this.known.get(name)?.params.find(one => one.name === key);
    if (param?.type === 'number' || param?.type === 'integer') return Number(text);
    return param?.type === 'boolean' ? text === 'true' : text;
  }

  draw() {
    if (!this.chain.length) this.list.replaceChildren(made('p', {className: 'muted small'}, 'None: pictures pass as they are.'));
    else this.list.replaceChildren(...this.chain.map((one, at) => this.drawOne(one, at)));
  }

  drawOne(one, at) {
    const effect = this.known.get(one.name);
    const remove = made('button', {className: 'icon', type: 'button', ariaLabel: `Remove ${one.name}`, title: 'Remove'}, '✕');
    remove.onclick = () => {
      this.chain.splice(at, 1);
      this.draw();
      this.changed(this.value);
    };
    const box = made('section', {className: 'effect', ariaLabel: one.name},
      made('header', {}, made('b', {}, one.name), made('span', {className: 'family'}, FAMILIES[effect?.family] || ''), remove));
    if (!effect) return box;
    box.append(made('p', {className: 'about'}, effect.summary));
    const params = effect.params.filter(param => this.settable(param));
    params.sort((a, b) => (b.name === 'strength') - (a.name === 'strength'));
    box.append(...params.slice(0, FIRST).map(param => this.drawParam(one, param)));
    if (params.length > FIRST) {
      box.append(made('details', {}, made('summary', {}, `${params.length - FIRST} more`),
        ...params.slice(FIRST).map(param => this.drawParam(one, param))));
    }
    if (effect.caution) box.append(made('details', {}, made('summary', {}, 'Caution'), made('p', {className: 'caution'}, effect.caution)));
    return box;
  }

  settable(param) {
    return param.format !== 'path' || param.enum?.length;
  }

  drawParam(one, param) {
    const id = `p-${Math.random().toString(36).slice(2)}`;
    const value = one.params[param.name] ?? param.default;
    const set = next => {
      one.params[param.name] = next;
      this.changed(this.value);
    };
    const label = made('label', {htmlFor: id, title: param.description}, param.name.replaceAll('_', ' '));
    const row = made('div', {className: 'param'}, label);
    row.append(...control(param, id, value, set));
    return row;
  }

  adding() {
    const select = made('select', {ariaLabel: 'Effect to add'});
    for (const [family, said] of Object.entries(FAMILIES)) {
      const names = [...this.known.values()].filter(one => one.family === family && this.addable(one));
      select.append(made('optgroup', {label: said}, ...names.map(one => made('option', {value: one.name}, one.name))));
    }
    select.append(made('optgroup', {label: 'Presets'},
      ...[...this.presets.keys()].map(name => made('option', {value: name}, name.slice(1)))));
    const add = made('button', {className: 'plain', type: 'button'}, 'Add');
    add.onclick = () => {
      this.chain.push(...this.read(select.value).map(one => this.filled(one)));
      this.draw();
      this.changed(this.value);
    };
    return made('div', {className: 'add'}, select, add);
  }

  addable(effect) {
    return effect.params.every(param => !param.required || param.enum?.length);
  }

  // What must be named is named at once, with the first that there is.
  filled(one) {
    for (const param of this.known.get(one.name)?.params || []) {
      if (param.required && !(param.name in one.params)) one.params[param.name] = param.enum[0];
    }
    return one;
  }
}

function control(param, id, value, set) {
  const low = param.minimum ?? param.exclusiveMinimum, high = param.maximum ?? param.exclusiveMaximum;
  if (param.enum) {
    const options = param.enum.map(one => made('option', {value: one, selected: one === value}, String(one).replace('builtin:', '')));
    const select = made('select', {id}, ...options);
    select.onchange = () => set(select.value);
    return [select];
  }
  if (param.type === 'boolean') {
    const box = made('input', {id, type: 'checkbox', checked: Boolean(value)});
    box.onchange = () => set(box.checked);
    return [box];
  }
  if ((param.type === 'number' || param.type === 'integer') && low !== undefined && high !== undefined) {
    return slider(param, id, value, set, low, high);
  }
  const colour = param.format === 'colour' && /^#[0-9a-f]{6}$/i.test(value ?? '');
  const field = made('input', {id, type: colour ? 'color' : 'text', value: value ?? ''});
  field.onchange = field.oninput = () => set(param.type === 'number' || param.type === 'integer' ? Number(field.value) : field.value);
  if (!colour) field.oninput = null;
  return [field];
}

function slider(param, id, value, set, low, high) {
  const whole = param.type === 'integer';
  const step = whole ? 1 : (high - low) / 100;
  const fine = high - low >= 20 ? 1 : high - low >= 0.5 ? 2 : 3;
  // A bound that may not be reached is left alone by one step.
  const min = param.minimum === undefined ? low + step : low, max = param.maximum === undefined ? high - step : high;
  const told = number => whole ? String(number) : Number(number).toFixed(fine);
  const output = made('output', {htmlFor: id}, told(value ?? min));
  const range = made('input', {id, type: 'range', min, max, step});
  range.value = value ?? min;
  range.oninput = () => {
    output.textContent = told(range.value);
    set(whole ? Math.round(range.value) : Number(Number(range.value).toFixed(6)));
  };
  return [output, range];
}
