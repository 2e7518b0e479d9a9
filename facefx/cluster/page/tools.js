'use strict';
// Small things that every part of the page uses. Text is only ever set as text, never as HTML.

const byId = id => document.getElementById(id);

function made(name, props = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(props)) {
    if (key in node) node[key] = value;
    else node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
}

function drawn(name, props = {}, ...children) {
  const node = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(props)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

// An answer of the service; what it refuses is thrown with its own words.
async function asked(path, options = {}) {
  const headers = {'X-Facefx-Page': '1', ...options.headers};
  const answer = await fetch(path, {...options, headers, cache: 'no-store'});
  if (answer.status === 401) location.reload();
  if (answer.ok) return answer;
  const said = await answer.json().catch(() => ({}));
  const error = new Error(said.error || `the service answered ${answer.status}`);
  error.status = answer.status;
  throw error;
}

const askedJson = async (path, options) => (await asked(path, options)).json();

const sent = (path, method, value) => asked(path, {
  method, body: JSON.stringify(value), headers: {'Content-Type': 'application/json'},
});

// Calls at most once in so many milliseconds, with the newest value, never two at a time.
function steadied(call, pause) {
  let timer = 0, busy = false, waiting = null;
  const run = async () => {
    timer = 0;
    if (busy) return;
    busy = true;
    while (waiting) {
      const [value] = waiting;
      waiting = null;
      await call(value);
    }
    busy = false;
  };
  return value => {
    waiting = [value];
    if (!timer && !busy) timer = setTimeout(run, pause);
  };
}

const inMs = seconds => seconds >= 1 ? `${seconds.toFixed(2)} s` : `${(1000 * seconds).toFixed(seconds < 0.01 ? 1 : 0)} ms`;

const total = counts => Object.values(counts || {}).reduce((sum, value) => sum + value, 0);

function tile(name, value, more = '', bad = false) {
  const dd = made('dd', {}, String(value));
  if (more) dd.append(made('small', {}, more));
  return made('div', {className: bad ? 'tile bad' : 'tile'}, made('dt', {}, name), dd);
}
