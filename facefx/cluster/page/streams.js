// The list of streams, and the one that is looked at: previews, figures, the way of a frame, effects.

const STAGES = ['decode', 'detect', 'landmark', 'blend', 'encode'];
const SPAN_MS = 4000;

class StreamsView {
  constructor(effects) {
    this.known = new Map();
    this.id = null;
    this.events = null;
    this.past = [];
    this.sliders = new Sliders(byId('stream-effects'), effects, steadied(chain => this.change(chain), 120));
    byId('stream-stop').onclick = () => this.stop();
    byId('begin-form').onsubmit = event => this.begin(event);
    const names = effects.effects.filter(one => one.params.every(param => !param.required)).map(one => one.name);
    byId('begin-form').elements.effect.append(...['solid', ...names.filter(name => name !== 'solid'), ...effects.presets.map(one => one.name)]
      .map(name => made('option', {value: name}, name)));
  }

  async refresh() {
    const {streams} = await askedJson('/v1/streams');
    this.known = new Map(streams.map(record => [record.id, record]));
    byId('no-streams').hidden = streams.length > 0;
    byId('begin').open ||= !streams.length && !this.asked;
    this.asked = true;
    byId('stream-list').replaceChildren(...streams.map(record => this.item(record)));
    if (this.id && !this.known.has(this.id)) this.choose(null);
  }

  item(record) {
    const button = made('button', {type: 'button'}, made('span', {className: `dot ${record.state}`}), made('b', {}, record.id),
      made('span', {className: 'small muted'}, record.state), made('small', {}, chainSaid(record.settings.effects)));
    button.setAttribute('aria-current', record.id === this.id);
    button.onclick = () => this.choose(record.id);
    return made('li', {}, button);
  }

  choose(id) {
    this.events?.close();
    this.id = id;
    this.past = [];
    this.stats = null;
    for (const name of ['stream', 'stream-effects']) byId(name).hidden = !id;
    byId('no-stream').hidden = Boolean(id);
    history.replaceState(null, '', id ? `#${encodeURIComponent(id)}` : '#');
    for (const button of document.querySelectorAll('#stream-list button')) {
      button.setAttribute('aria-current', button.querySelector('b').textContent === id);
    }
    if (!id) return;
    const record = this.known.get(id);
    byId('stream-name').textContent = id;
    for (const side of ['before', 'after']) byId(side).hidden = true;
    byId('waterfall').replaceChildren(made('p', {className: 'muted small'}, 'Waiting for the first frames'));
    byId('tiles').replaceChildren();
    byId('stream-error').textContent = '';
    this.sliders.show(record.settings.effects || []);
    this.sliders.say('Changes act from the next frame on.');
    this.shown(record);
    this.follow(id);
    this.look(id);
  }

  shown(record) {
    this.hides = record.hides;
    byId('stream-state').textContent = record.state;
    byId('stream-dot').className = `dot ${record.state}`;
    byId('stream-stop').disabled = ['ended', 'failed'].includes(record.state);
    byId('previews').classList.toggle('one', record.hides);
    if (record.hides) byId('before').hidden = true;
    byId('before-note').textContent = record.hides ? 'Not shown: this stream hides faces.' : 'Waiting for the first frame';
    byId('stream-error').textContent = record.error || '';
  }

  follow(id) {
    const events = this.events = new EventSource(`/v1/streams/${encodeURIComponent(id)}/events`);
    events.addEventListener('stats', event => {
      const {record, stats} = JSON.parse(event.data);
      this.shown(record);
      this.figures(stats, record);
    });
    events.addEventListener('wait', event => {
      byId('stream-error').textContent = JSON.parse(event.data).error;
    });
    events.addEventListener('end', event => {
      events.close();
      const record = JSON.parse(event.data);
      byId('stream-state').textContent = record.state;
      byId('stream-dot').className = `dot ${record.state}`;
      byId('stream-stop').disabled = true;
      this.refresh();
    });
  }

  // Previews come as fast as they are shown, no faster.
  async look(id) {
    while (this.id === id) {
      const shown = document.visibilityState === 'visible' && !byId('streams').hidden;
      if (shown) await Promise.all((this.hides ? ['after'] : ['after', 'before']).map(side => this.picture(id, side)));
      await new Promise(next => setTimeout(next, 400));
    }
  }

  async picture(id, side) {
    try {
      const answer = await asked(`/v1/streams/${encodeURIComponent(id)}/preview.jpg?side=${side}`);
      const url = URL.createObjectURL(await answer.blob());
      const image = byId(side);
      const old = image.src;
      image.src = url;
      await image.decode().catch(() => {});
      if (old.startsWith('blob:')) URL.revokeObjectURL(old);
      image.hidden = this.id !== id || (side === 'before' && this.hides);
    } catch (error) {
      if (this.id === id) byId(`${side}-note`).textContent = error.status === 404 ? 'No frame to show yet' : error.message;
    }
  }

  figures(stats, record) {
    const lost = total(stats.dropped), covered = total(stats.covered);
    byId('tiles').replaceChildren(
      tile('Frames/s', (stats.fps ?? 0).toFixed(1), `${stats.frames_out ?? 0} in all`),
      tile('Latency p95', inMs(stats.p95_s ?? 0), `p50 ${inMs(stats.p50_s ?? 0)}`, (stats.p95_s ?? 0) > (record.settings.budget_s ?? 1)),
      tile('Faces', stats.faces ?? 0),
      tile('Dropped', lost, reasons(stats.dropped), lost > 0),
      tile('Covered', covered, reasons(stats.covered)),
      tile('Reconnects', stats.reconnects ?? 0));
    const now = performance.now();
    this.past = [...this.past.filter(one => now - one.at < SPAN_MS), {at: now, latency: stats.latency || {}}];
    const way = recent(this.past[0].latency, stats.latency || {});
    if (way.length) byId('waterfall').replaceChildren(waterfall(way, record.settings.budget_s, byId('waterfall').clientWidth));
  }

  async change(chain) {
    try {
      const record = await (await sent(`/v1/streams/${encodeURIComponent(this.id)}`, 'PATCH', {effects: chain})).json();
      this.sliders.say(`In force: ${chainSaid(record.settings.effects)}`);
      this.refresh();
    } catch (error) {
      this.sliders.say(error.message, true);
    }
  }

  async stop() {
    if (!confirm(`End the stream ${this.id}? Whoever watches it sees it end.`)) return;
    try {
      await asked(`/v1/streams/${encodeURIComponent(this.id)}`, {method: 'DELETE'});
    } catch (error) {
      byId('stream-error').textContent = error.message;
    }
    this.refresh();
  }

  async begin(event) {
    event.preventDefault();
    const said = byId('begin-form').elements;
    const value = {source: said.source.value, targets: said.target.value ? [said.target.value] : [], effects: [said.effect.value]};
    if (said.id.value) value.id = said.id.value;
    byId('begin-note').textContent = '';
    try {
      const record = await (await sent('/v1/streams', 'POST', value)).json();
      byId('begin-form').reset();
      await this.refresh();
      this.choose(record.id);
    } catch (error) {
      byId('begin-note').textContent = error.message;
    }
  }
}

const reasons = counts => Object.entries(counts || {}).map(([why, count]) => `${count} ${why}`).join(', ');

const chainSaid = chain => (chain || []).map(one => typeof one === 'string' ? one : Object.keys(one).join(', ')).join(' · ') || 'no effects';

// Mean seconds of a frame in each stage between two looks at the histograms; since the start where too few came.
function recent(before, after) {
  const mean = (stage, kind) => {
    const a = before[stage]?.[kind], b = after[stage]?.[kind];
    if (!b?.count) return 0;
    const count = b.count - (a?.count ?? 0);
    return count > 0 ? (b.sum_s - (a?.sum_s ?? 0)) / count : b.sum_s / b.count;
  };
  const names = [...STAGES.filter(name => after[name]), ...Object.keys(after).filter(name => !STAGES.includes(name))];
  return names.map(name => ({name, waiting: mean(name, 'waiting'), working: mean(name, 'working')}));
}

// Stages one below the other, each beginning where the one before it ended, as a network panel shows requests.
function waterfall(way, budget, width) {
  const end = way.reduce((sum, one) => sum + one.waiting + one.working, 0);
  const span = Math.max(end * 1.12, budget < end * 2.2 ? budget * 1.04 : 0, 0.004);
  const left = 76, right = 60, row = 26, height = way.length * row;
  const x = seconds => left + seconds / span * (width - left - right);
  const text = `A frame takes ${inMs(end)} from packet in to packet out: ` + way.map(one => `${one.name} ${inMs(one.working)}`).join(', ');
  const svg = drawn('svg', {class: 'waterfall', viewBox: `0 0 ${width} ${height + 24}`, role: 'img', 'aria-label': text});
  const step = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5].find(one => span / one <= 6) ?? 10;
  for (let at = 0; at <= span; at += step) {
    svg.append(drawn('line', {x1: x(at), x2: x(at), y1: 0, y2: height}),
      drawn('text', {class: 'axis', x: x(at), y: height + 17, 'text-anchor': 'middle'}, `${+(1000 * at).toFixed(1)}${at ? '' : ' ms'}`));
  }
  let at = 0;
  way.forEach((one, index) => {
    const y = index * row;
    svg.append(drawn('text', {x: left - 10, y: y + 17, 'text-anchor': 'end'}, one.name));
    for (const [kind, seconds] of [['wait', one.waiting], ['work', one.working]]) {
      const wide = Math.max(x(at + seconds) - x(at), seconds > 0 ? 1 : 0);
      svg.append(drawn('rect', {class: kind, x: x(at), y: y + 5, width: wide, height: row - 10, rx: Math.min(3, wide / 2)}));
      at += seconds;
    }
    svg.append(drawn('text', {class: 'axis', x: x(at) + 7, y: y + 17}, inMs(one.waiting + one.working)));
  });
  if (budget && budget <= span) {
    svg.append(drawn('line', {class: 'budget', x1: x(budget), x2: x(budget), y1: 0, y2: height}),
      drawn('text', {class: 'axis', x: x(budget) - 5, y: 11, 'text-anchor': 'end'}, 'budget'));
  }
  return svg;
}
