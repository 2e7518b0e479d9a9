// A photo that is dropped here, before and after.

class ImageView {
  constructor(effects) {
    this.file = null;
    this.urls = {};
    this.sliders = new Sliders(byId('image-effects'), effects, steadied(() => this.again(), 120));
    this.sliders.show([{pixelate: {cells: 8}}]);
    const drop = byId('drop');
    byId('file').onchange = event => this.take(event.target.files[0]);
    byId('split').oninput = event => byId('compare').style.setProperty('--split', `${event.target.value}%`);
    for (const name of ['dragenter', 'dragover']) {
      addEventListener(name, event => {
        event.preventDefault();
        drop.classList.add('over');
      });
    }
    addEventListener('dragleave', event => {
      if (!event.relatedTarget) drop.classList.remove('over');
    });
    addEventListener('drop', event => {
      event.preventDefault();
      drop.classList.remove('over');
      if (byId('image').hidden) show('image');
      this.take(event.dataTransfer.files[0]);
    });
  }

  async take(file) {
    if (!file) return;
    this.file = file;
    this.put('before', file);
    await this.again();
  }

  put(side, blob) {
    if (this.urls[side]) URL.revokeObjectURL(this.urls[side]);
    this.urls[side] = URL.createObjectURL(blob);
    byId(`image-${side}`).src = this.urls[side];
  }

  async again() {
    if (!this.file) return;
    const file = this.file;
    byId('compare').classList.add('busy');
    try {
      const answer = await asked(`/v1/images?${new URLSearchParams({effects: JSON.stringify(this.sliders.value)})}`,
        {method: 'POST', body: file, headers: {'Content-Type': file.type || 'application/octet-stream'}});
      const blob = await answer.blob();
      if (this.file !== file) return;
      this.put('after', blob);
      this.told(answer, blob);
      byId('image-wrong').textContent = '';
      byId('result').hidden = false;
      byId('drop').classList.add('small-drop');
    } catch (error) {
      byId('image-wrong').textContent = error.message;
    } finally {
      byId('compare').classList.remove('busy');
    }
  }

  told(answer, blob) {
    const times = {};
    for (const part of (answer.headers.get('server-timing') || '').split(',')) {
      const [name, spent] = part.trim().split(';dur=');
      if (spent) times[name] = Number(spent) / 1000;
    }
    const spent = total(times);
    const kind = blob.type.replace('image/', '').toUpperCase();
    byId('image-tiles').replaceChildren(
      tile('Faces', answer.headers.get('x-facefx-faces')),
      tile('Size', (answer.headers.get('x-facefx-size') || '').replace('x', '×')),
      tile('In all', inMs(spent)),
      ...['decode', 'detect', 'blend', 'encode'].filter(name => name in times).map(name => tile(name, inMs(times[name]))));
    const notes = JSON.parse(answer.headers.get('x-facefx-notes') || '[]');
    byId('image-notes').textContent = `${kind}, ${Math.max(1, Math.round(blob.size / 1024))} KB${notes.length ? `; ${notes.join('; ')}` : ''}`;
    const stem = this.file.name.replace(/\.[^.]*$/, '');
    byId('download').href = this.urls.after;
    byId('download').download = `${stem}-facefx.${kind === 'JPEG' ? 'jpg' : kind.toLowerCase()}`;
  }
}
