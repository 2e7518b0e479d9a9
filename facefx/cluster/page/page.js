// The page itself: which view is shown, and what is asked again and again.

const VIEWS = ['streams', 'image'];
const AGAIN_MS = 3000;

function show(name) {
  for (const view of VIEWS) {
    byId(view).hidden = view !== name;
    byId(`tab-${view}`).setAttribute('aria-selected', view === name);
    byId(`tab-${view}`).tabIndex = view === name ? 0 : -1;
  }
}

function trouble(error) {
  byId('trouble').hidden = !error;
  byId('trouble').textContent = error ? error.message : '';
}

async function start() {
  for (const view of VIEWS) byId(`tab-${view}`).onclick = () => show(view);
  document.querySelector('.tabs').onkeydown = event => {
    const step = {ArrowRight: 1, ArrowLeft: -1}[event.key];
    if (!step) return;
    const at = VIEWS.findIndex(view => !byId(view).hidden);
    const next = VIEWS[(at + step + VIEWS.length) % VIEWS.length];
    show(next);
    byId(`tab-${next}`).focus();
  };
  byId('signout').onclick = async () => {
    await fetch('/signout', {method: 'POST', headers: {'X-Facefx-Page': '1'}});
    location.assign('/');
  };
  const effects = await askedJson('/v1/effects');
  new ImageView(effects);
  const streams = new StreamsView(effects);
  const again = async () => {
    try {
      if (document.visibilityState === 'visible') await streams.refresh();
      trouble(null);
    } catch (error) {
      if (error.status === 404) return noStreams();
      trouble(error);
    }
    setTimeout(again, AGAIN_MS);
  };
  await again();
  const wanted = decodeURIComponent(location.hash.slice(1));
  const first = streams.known.has(wanted) ? wanted : streams.known.keys().next().value;
  if (first) streams.choose(first);
}

// A service of images alone has no streams to show.
function noStreams() {
  byId('tab-streams').hidden = true;
  show('image');
}

start().catch(trouble);
