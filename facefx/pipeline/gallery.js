document.body.classList.add("moves");
for (const pair of document.querySelectorAll(".pair:has(img)")) {
  const show = (event) => {
    const box = pair.getBoundingClientRect();
    const part = Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1);
    pair.style.setProperty("--split", `${(100 * part).toFixed(1)}%`);
    pair.classList.add("split");
  };
  const hide = () => {
    pair.style.removeProperty("--split");
    pair.classList.remove("split");
  };
  pair.addEventListener("pointermove", show);
  pair.addEventListener("pointerdown", show);
  for (const end of ["pointerleave", "pointercancel"]) pair.addEventListener(end, hide);
}
