// Replaces the parts of the page that have changed at the server. While somebody
// has opened details in a part, or types into it, the script does not yet
// replace this part.
const waiting = new Map();

function busy(part) {
  const at = document.activeElement;
  return part.querySelector("details[open]") || part.contains(at) && at.matches("input, select");
}

function bringUpToDate() {
  for (const [id, html] of waiting) {
    const part = document.getElementById(id);
    if (busy(part)) continue;
    const at = part.contains(document.activeElement) ? document.activeElement.id : "";
    part.innerHTML = html;
    if (at) document.getElementById(at)?.focus();
    waiting.delete(id);
  }
}

const source = new EventSource("/sandbox/live");
for (const id of ["orders", "links", "settled", "queued", "log"])
  source.addEventListener(id, event => { waiting.set(id, JSON.parse(event.data)); bringUpToDate(); });
addEventListener("focusout", () => setTimeout(bringUpToDate));
addEventListener("toggle", bringUpToDate, true);

document.documentElement.classList.add("script");
addEventListener("click", async event => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(button.dataset.copy);
  button.textContent = "Copied";
});

const state = document.getElementById("live");
source.onopen = () => { state.textContent = "Live"; };
source.onerror = () => { state.textContent = "The sandbox does not answer. Reload to try again."; };
