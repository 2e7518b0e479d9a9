(() => {
  const bar = document.querySelector(".filter");
  if (!bar) return;
  const [text, state, count] = bar.children;
  const videos = [...document.querySelectorAll(".video")];
  const names = videos.map(video => video.querySelector(".name").textContent.toLowerCase());
  const show = () => {
    const wanted = text.value.toLowerCase();
    let shown = 0;
    videos.forEach((video, i) => {
      const fits = names[i].includes(wanted)
        && (!state.value || (state.value === "look" ? "look" in video.dataset : video.classList.contains(state.value)));
      video.hidden = !fits;
      shown += fits;
    });
    count.textContent = `${shown} of ${videos.length} shown`;
  };
  bar.hidden = false;
  text.addEventListener("input", show);
  state.addEventListener("change", show);
})();
