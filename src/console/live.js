// Refreshes the overview by itself. Without it, the link on the page does.
"use strict";
(() => {
  const now = document.getElementById("nu");
  const toggle = document.getElementById("vanzelf");
  if (!now || !toggle) return;
  const EVERY = 5000;
  let on = true;
  toggle.hidden = false;
  toggle.addEventListener("click", () => {
    on = !on;
    toggle.textContent = on ? toggle.dataset.pause : toggle.dataset.resume;
  });
  setInterval(async () => {
    // Nothing moves under somebody's fingers, and nobody looks at a page that is not seen.
    if (!on || document.hidden || now.contains(document.activeElement)) return;
    try {
      const answer = await fetch(now.dataset.from, { redirect: "error" });
      if (answer.ok && !now.contains(document.activeElement)) now.innerHTML = await answer.text();
    } catch {
      // Another time; the page says when it was refreshed last.
    }
  }, EVERY);
})();
